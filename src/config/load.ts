import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import convict from 'convict';
import JSON5 from 'json5';

import { RedoubtError } from '../core/errors.ts';
import { suggest } from '../core/format.ts';
import { FORMAT_NAMES, formatOf } from './formats.ts';
import { type Config, type Group, type Leaf, SCHEMA, defaultEnvName, envName, isLeaf, walkSchema } from './schema.ts';

/** One mistake in the configuration; `file` is a path, or `environment`, or `options`. */
export interface ConfigFinding {
  readonly file: string;
  readonly path: string;
  readonly message: string;
}

export interface LoadOptions {
  /** Folder of `default.json5` and `$NODE_ENV.json5`; default: Redoubt's own `config/`. */
  readonly dir?: string;
  /** One more file on top; default: `REDOUBT_CONFIG`. */
  readonly file?: string | undefined;
  /** Settings of the caller, in the shape of a file; the last word but for the environment. */
  readonly overrides?: object | undefined;
  /** Default: `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
}

/** A checked configuration with where it came from. */
export interface LoadedConfig {
  readonly config: Config;
  /** The files that were read, in the order in which they lie on each other. */
  readonly files: readonly string[];
}

const TEXTS: ReadonlySet<unknown> = new Set(['text', 'instant', 'list', 'redisUrl', 'postgresUrl']);
const OWN_DIR = fileURLToPath(new URL('../../config/', import.meta.url));

for (const name of FORMAT_NAMES) {
  convict.addFormat({
    name: `redoubt-${name}`,
    validate: () => {
      // Each layer has been checked on its own before, with its file's name, which convict does not know.
    },
  });
}

/**
 * Reads the layers (`default.json5`, `$NODE_ENV.json5`, one more file, the caller's, the environment),
 * checks each, and merges them.
 *
 * @returns the frozen configuration
 * @throws {RedoubtError} `ERR_CONFIG` naming every mistake at once: file, path, what was found and what is allowed
 */
export function loadConfig(options: LoadOptions = {}): LoadedConfig {
  const env = withoutEmptyTexts(options.env ?? process.env);
  const dir = options.dir ?? OWN_DIR;
  const extra = options.file ?? (env['REDOUBT_CONFIG'] || undefined);
  const files = [join(dir, 'default.json5'), join(dir, `${env['NODE_ENV'] || 'development'}.json5`)].filter((file) =>
    existsSync(file),
  );
  if (extra) files.push(extra);

  const findings: ConfigFinding[] = [];
  const layers = files.map((file) => readLayer(file, findings));
  if (options.overrides) {
    checkLayer(options.overrides, SCHEMA, 'options', '', findings);
    layers.push(options.overrides as Record<string, unknown>);
  }
  checkEnvironment(env, findings);
  if (findings.length > 0) throw configError(findings);

  const merged = convict(convictSchema(SCHEMA) as convict.Schema<Record<string, unknown>>, { env, args: [] });
  for (const layer of layers) merged.load(layer);
  merged.validate({ allowed: 'strict' });
  return { config: freezeInCode(merged.getProperties(), SCHEMA) as unknown as Config, files };
}

/** The configuration as a person may see it: secrets and the passwords in URLs masked. */
export function maskConfig(config: Config): Record<string, unknown> {
  const masked = structuredClone(config) as unknown as Record<string, unknown>;
  for (const [path, leaf] of walkSchema()) {
    if (!leaf.sensitive) continue;
    const keys = path.split('.');
    const last = keys.pop() ?? '';
    const group = keys.reduce((node, key) => node[key] as Record<string, unknown>, masked);
    if (!isEmpty(group[last])) group[last] = '[secret]';
  }
  return masked;
}

function isEmpty(value: unknown): boolean {
  return (
    value === undefined || value === '' || (typeof value === 'object' && Object.keys(value as object).length === 0)
  );
}

function configError(findings: readonly ConfigFinding[]): RedoubtError {
  const lines = findings.map(({ file, path, message }) => `${file}: ${path ? `${path}: ` : ''}${message}`);
  // The findings are the cause, so that a program can read what the message tells people.
  return new RedoubtError(
    'ERR_CONFIG',
    { message: `\n  ${lines.join('\n  ')}`, findings: findings.length },
    { cause: findings },
  );
}

function readLayer(file: string, findings: ConfigFinding[]): Record<string, unknown> {
  let layer: unknown;
  try {
    layer = JSON5.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    findings.push({ file, path: '', message: `cannot be read: ${(error as Error).message.replace(/^JSON5: /, '')}` });
    return {};
  }
  if (typeof layer !== 'object' || layer === null || Array.isArray(layer)) {
    findings.push({ file, path: '', message: 'must hold one object' });
    return {};
  }
  // What editors go by, and no setting.
  const { $schema: _, ...settings } = layer as Record<string, unknown>;
  checkLayer(settings, SCHEMA, file, '', findings);
  return settings;
}

function checkLayer(layer: object, group: Group, file: string, prefix: string, findings: ConfigFinding[]): void {
  for (const [key, value] of Object.entries(layer)) {
    const path = prefix + key;
    // Own keys only: a key named constructor must not find Object's.
    const node: Leaf | Group | undefined = Object.hasOwn(group, key) ? group[key] : undefined;
    if (node === undefined) {
      const near = suggest(key, Object.keys(group));
      findings.push({ file, path, message: `unknown key${near ? ` (did you mean "${prefix}${near}"?)` : ''}` });
    } else if (isLeaf(node)) {
      checkValue(value, node, file, path, findings);
    } else if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      findings.push({ file, path, message: `must be an object with ${Object.keys(node).join(', ')}` });
    } else {
      checkLayer(value, node, file, `${path}.`, findings);
    }
  }
}

function checkValue(value: unknown, leaf: Leaf, file: string, path: string, findings: ConfigFinding[]): void {
  const format = formatOf(leaf);
  if (format.read(value) !== undefined) return;
  const found = leaf.sensitive ? '[secret]' : JSON.stringify(value);
  const near =
    Array.isArray(leaf.format) && typeof value === 'string' ? suggest(value, leaf.format as string[]) : undefined;
  const hint = near ? ` (did you mean "${near}"?)` : '';
  findings.push({ file, path, message: `must be ${format.allowed}, found ${found}${hint}` });
}

function checkEnvironment(env: NodeJS.ProcessEnv, findings: ConfigFinding[]): void {
  const names = new Map([...walkSchema()].map(([path, leaf]) => [envName(path, leaf), leaf]));
  for (const [name, leaf] of names) {
    const value = env[name];
    if (value !== undefined) checkValue(value, leaf, 'environment', name, findings);
  }
  for (const [name, value = ''] of Object.entries(env)) {
    if (!name.startsWith('REDOUBT_') || name === 'REDOUBT_CONFIG' || names.has(name)) continue;
    if (isKubernetesLink(name, value)) continue;
    const near = contractName(name) ?? suggest(name, [...names.keys()]);
    findings.push({
      file: 'environment',
      path: name,
      message: `unknown variable${near ? ` (did you mean ${near}?)` : ''}`,
    });
  }
}

/** `PORT` for `REDOUBT_SERVER_PORT`: the contract gives some settings a name of their own. */
function contractName(name: string): string | undefined {
  for (const [path, leaf] of walkSchema()) if (leaf.env && defaultEnvName(path) === name) return leaf.env;
  return undefined;
}

/** What Kubernetes puts into every container for a Service named `redoubt` or `redoubt-…`. */
function isKubernetesLink(name: string, value: string): boolean {
  return (
    /_SERVICE_(HOST|PORT)(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$/.test(name) || /^(tcp|udp|sctp):\/\//.test(value)
  );
}

/** An empty variable is what `NAME=` in an env file gives: unset for a text, and for all else a mistake. */
function withoutEmptyTexts(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = { ...env };
  for (const [path, leaf] of walkSchema()) {
    const name = envName(path, leaf);
    if (kept[name] === '' && TEXTS.has(leaf.format)) delete kept[name];
  }
  return kept;
}

function convictSchema(group: Group, prefix = ''): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(group).map(([key, node]) => {
      if (!isLeaf(node)) return [key, convictSchema(node, `${prefix}${key}.`)];
      const format = typeof node.format === 'string' ? `redoubt-${node.format}` : [...node.format];
      return [key, { ...node, format, env: envName(prefix + key, node) }];
    }),
  );
}

/** Durations to milliseconds under `…Ms`, all the rest as it is; frozen to the leaves. */
function freezeInCode(values: Record<string, unknown>, group: Group): Readonly<Record<string, unknown>> {
  const entries = Object.entries(group).map(([key, node]) => {
    if (!isLeaf(node)) return [key, freezeInCode(values[key] as Record<string, unknown>, node)];
    const { read } = formatOf(node);
    return [node.format === 'duration' ? `${key}Ms` : key, Object.freeze(read(values[key]))];
  });
  return Object.freeze(Object.fromEntries(entries)) as Readonly<Record<string, unknown>>;
}
