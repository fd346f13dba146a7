import { configJsonSchema } from '../src/config/json-schema.ts';
import { loadConfig } from '../src/config/load.ts';
import { type Group, type Leaf, SCHEMA, envName, isLeaf } from '../src/config/schema.ts';
import { ERRORS } from '../src/core/errors.ts';
import { machineJsonSchema } from '../src/runtime/json-schema.ts';

const GENERATED = '<!-- Made by npm run docs; edit the source, not this page. -->';

/** docs/config.md: a table for each group of the schema. */
export function renderConfig(): string {
  return `${[
    '# Configuration',
    GENERATED,
    `Every setting, in the order of \`config/default.json5\`. What lies on top wins: \`config/default.json5\` and \`config/$NODE_ENV.json5\` of Redoubt, the same two beside the application (in the working directory), the file of \`--config\` or \`REDOUBT_CONFIG\`, the settings given to \`createRedoubt({ config })\`, the environment. All mistakes are reported at once, with file, path, what was found and what is allowed.`,
    `**Types.** A *duration* is a text with its unit: \`250ms\`, \`5s\`, \`2m\`, \`24h\`, \`7d\`. A *size* too: \`512b\`, \`64kb\`, \`64mb\`, \`1gb\` (powers of 1024). A *count* is a whole number from 1, a *ratio* lies between 0 and 1. A *list* is an array of texts, in the environment one text with commas. An empty environment variable counts as unset where a text or a list is wanted, and is a mistake elsewhere.`,
    `**Beside an application**, a file that others read too (the package *config* has the same names) gives Redoubt its settings under one key \`redoubt\`; a file with none but the keys below is taken whole; any other one is left alone. \`PORT\`, \`HOST\`, \`LOG_LEVEL\` and \`API_TOKEN\` are read by \`redoubt serve\` only: in a library they are the application's.`,
    `**In code** (\`redoubt.config\`) durations are milliseconds under the key with \`Ms\` behind it, and sizes are bytes. *Secret* settings are masked wherever the configuration is shown.`,
    ...renderGroup(SCHEMA, ''),
  ].join('\n\n')}\n`;
}

/** docs/errors.md: every error code, with what to do about it. */
export function renderErrors(): string {
  const rows = Object.entries(ERRORS).map(([code, { message, hint, retryable, status }]) => [
    `\`${code}\``,
    message,
    hint,
    retryable ? 'yes' : 'no',
    String(status),
  ]);
  return `${[
    '# Errors',
    GENERATED,
    'Every call that Redoubt rejects rejects with a `RedoubtError`. Branch on `code`; `message` is for people; `details` holds facts, never a secret; `cause` is what the driver threw. *Retryable* says whether the same call may succeed later without a change. *Status* is what the HTTP server answers, as `application/problem+json`.',
    table(['Code', 'Message', 'What to do', 'Retryable', 'Status'], rows),
  ].join('\n\n')}\n`;
}

/** schema/machine.schema.json: of the shipped configuration, without anybody's extensions. */
export function renderMachineSchema(): string {
  return `${JSON.stringify(machineJsonSchema(loadConfig({ env: {} }).config), null, 2)}\n`;
}

/** schema/config.schema.json. */
export function renderConfigSchema(): string {
  return `${JSON.stringify(configJsonSchema(), null, 2)}\n`;
}

function renderGroup(group: Group, prefix: string): string[] {
  const nodes = Object.entries(group);
  const leaves = nodes.filter((node): node is [string, Leaf] => isLeaf(node[1]));
  const groups = nodes.filter((node): node is [string, Group] => !isLeaf(node[1]));
  const rows = leaves.map(([key, leaf]) => renderLeaf(prefix + key, leaf));
  return [
    ...(prefix ? [`## ${prefix.slice(0, -1)}`] : []),
    ...(rows.length > 0 ? [table(['Key', 'Environment variable', 'Type', 'Default', 'Meaning'], rows)] : []),
    ...groups.flatMap(([key, inner]) => renderGroup(inner, `${prefix}${key}.`)),
  ];
}

function renderLeaf(path: string, leaf: Leaf): string[] {
  const { doc, sensitive } = leaf;
  return [
    `\`${path}\``,
    [envName(path, leaf), ...(leaf.serverEnv ? [`${leaf.serverEnv} (serve)`] : [])]
      .map((name) => `\`${name}\``)
      .join(', '),
    `${renderType(leaf)}${sensitive ? ', secret' : ''}`,
    `\`${JSON.stringify(leaf.default)}\``,
    doc,
  ];
}

function renderType({ format }: Leaf): string {
  if (format === 'redisUrl' || format === 'postgresUrl') return 'text (URL)';
  return typeof format === 'string' ? format : format.map((word) => `\`${word}\``).join(', ');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map(tableRow).join('\n');
}

function tableRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
