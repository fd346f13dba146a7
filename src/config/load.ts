import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import convict from 'convict';
import JSON5 from 'json5';

import { RedoubtError } from '../core/errors.ts';
import { suggest } from '../core/format.ts';
import { SECTION, isSameFolder, layersIn, ownPartOf } from './application.ts';
import { FORMAT_NAMES, formatOf } from './formats.ts';
import { type Config, type Group, type Leaf, SCHEMA, defaultEnvName, envName, isLeaf, walkSchema } from './schema.ts';

/** One mistake in the configuration; `file` is a path, or `environment`, or `options`. */
export interface ConfigFinding {
  readonly file: string;
  readonly path: string;
  readonly message: string;
}

/** For whom settings are read: `serve`, which has the process to itself, or an application that uses Redoubt. */
export type Audience = 'server' | 'library';

export interface LoadOptions {
  /** Default: `library`. */
  readonly audience?: Audience;
  /** Folder of `default.json5` and `$NODE_ENV.json5`; default: Redoubt's own `config/`. */
  readonly dir?: string;
  /** The application's folder of the same names; default: `config` in the working directory, none where `dir` is given. */
  readonly appDir?: string;
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
  /** Files beside the application that are somebody else's, by their keys; `shared`: those that Redoubt has too. */
  readonly foreign: readonly { readonly file: string; readonly shared: readonly string[] }[];
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
 * Reads the layers (`default.json5`, `$NODE_ENV.json5`, the same two of the application, one more file, the
 * caller's, the environment), checks each, and merges them.
 *
 * @returns the frozen configuration
 * @throws {RedoubtError} `ERR_CONFIG` naming every mistake at once: file, path, what was found and what is allowed
 */
export function loadConfig(options: LoadOptions = {}): LoadedConfig {
  const {
    audience = 'library',
    dir = OWN_DIR,
    appDir = options.dir === undefined ? resolve('config') : undefined,
  } = options;
  const env = readableEnv(options.env ?? process.env, audience);
  const extra = options.file ?? (env['REDOUBT_CONFIG'] || undefined);
  const kind = env['NODE_ENV'] || 'development';

  const findings: ConfigFinding[] = [];
  const files = layersIn(dir, kind);
  const layers = files.map((file) => readLayer(file, findings));
  const foreign: LoadedConfig['foreign'][number][] = [];
  for (const file of appDir === undefined || isSameFolder(appDir, dir) ? [] : layersIn(appDir, kind)) {
    const layer = readApplicationLayer(file, findings);
    if ('shared' in layer) foreign.push({ file, ...layer });
    else {
      layers.push(layer.settings);
      files.push(file);
    }
  }
  if (extra) {
    files.push(extra);
    layers.push(readLayer(extra, findings));
  }
  if (options.overrides) {
    checkLayer(options.overrides, SCHEMA, 'options', '', findings);
    layers.push(options.overrides as Record<string, unknown>);
  }
  checkEnvironment(env, audience, findings);
  if (findings.length > 0) throw configError(findings);

  const merged = convict(convictSchema(SCHEMA, env, audience) as convict.Schema<Record<string, unknown>>, {
    env,
    args: [],
  });
  for (const layer of layers) merged.load(layer);
  merged.validate({ allowed: 'strict' });
  const config = freezeInCode(merged.getProperties(), SCHEMA) as unknown as Config;
  return { config: audience === 'server' ? withEmbedded(config) : config, files, foreign };
}

/** Where the embedded PostgreSQL keeps its data by itself. */
const EMBEDDED_URL = 'pglite:.redoubt/postgres';

/** Only the server brings a database by itself, and only where nobody takes it for a real one. */
function withEmbedded(config: Config): Config {
  if (config.postgres.url !== '' || config.env === 'production') return config;
  return Object.freeze({ ...config, postgres: Object.freeze({ ...config.postgres, url: EMBEDDED_URL }) });
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
  const layer = parseLayer(file, findings);
  // What editors go by, and no setting.
  const { $schema: _, ...settings } = layer ?? {};
  checkLayer(settings, SCHEMA, file, '', findings);
  return settings;
}

type ApplicationLayer = { readonly settings: Record<string, unknown> } | { readonly shared: readonly string[] };

/** The part of an application's file that is for Redoubt; where none is, the keys that are Redoubt's too. */
function readApplicationLayer(file: string, findings: ConfigFinding[]): ApplicationLayer {
  const layer = parseLayer(file, findings) ?? {};
  const part = ownPartOf(layer);
  if (!part) return { shared: Object.keys(layer).filter((key) => Object.hasOwn(SCHEMA, key)) };
  const { $schema: _, ...settings } = part;
  const found = findings.length;
  checkLayer(settings, SCHEMA, file, part === layer ? '' : `${SECTION}.`, findings);
  if (part === layer && findings.length > found) {
    const message = `taken for Redoubt's by its keys; if it is another's, its own settings belong under "${SECTION}"`;
    findings.push({ file, path: '', message });
  }
  return { settings };
}

function parseLayer(file: string, findings: ConfigFinding[]): Record<string, unknown> | undefined {
  let layer: unknown;
  try {
    layer = JSON5.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    findings.push({ file, path: '', message: `cannot be read: ${(error as Error).message.replace(/^JSON5: /, '')}` });
    return undefined;
  }
  if (typeof layer !== 'object' || layer === null || Array.isArray(layer)) {
    findings.push({ file, path: '', message: 'must hold one object' });
    return undefined;
  }
  return layer as Record<string, unknown>;
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

function checkEnvironment(env: NodeJS.ProcessEnv, audience: Audience, findings: ConfigFinding[]): void {
  const names = new Map(
    [...walkSchema()].flatMap(([path, leaf]) => namesOf(path, leaf, audience).map((name) => [name, leaf] as const)),
  );
  for (const [name, leaf] of names) {
    const value = env[name];
    if (value !== undefined) checkValue(value, leaf, 'environment', name, findings);
  }
  for (const name of Object.keys(env)) {
    if (!name.startsWith('REDOUBT_') || name === 'REDOUBT_CONFIG' || names.has(name)) continue;
    const near = contractName(name) ?? suggest(name, [...names.keys()]);
    findings.push({
      file: 'environment',
      path: name,
      message: `unknown variable${near ? ` (did you mean ${near}?)` : ''}`,
    });
  }
}

/** The variables of a setting, the one that wins first. */
function namesOf(path: string, leaf: Leaf, audience: Audience): string[] {
  const { serverEnv } = leaf;
  return [envName(path, leaf), ...(serverEnv !== undefined && audience === 'server' ? [serverEnv] : [])];
}

/** `REDIS_URL` for `REDOUBT_REDIS_URL`: the contract gives some settings a name of their own. */
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

/**
 * The variables that say something to this audience. An empty one is what `NAME=` in an env file gives: unset for a
 * text, and for all else a mistake.
 */
function readableEnv(env: NodeJS.ProcessEnv, audience: Audience): NodeJS.ProcessEnv {
  // A Service named redoubt-server would otherwise be the port to listen on.
  const kept = Object.fromEntries(
    Object.entries(env).filter(([name, value = '']) => !name.startsWith('REDOUBT_') || !isKubernetesLink(name, value)),
  );
  for (const [path, leaf] of walkSchema()) {
    for (const name of namesOf(path, leaf, audience))
      if (kept[name] === '' && TEXTS.has(leaf.format)) delete kept[name];
  }
  return kept;
}

function convictSchema(group: Group, env: NodeJS.ProcessEnv, audience: Audience, prefix = ''): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(group).map(([key, node]) => {
      if (!isLeaf(node)) return [key, convictSchema(node, env, audience, `${prefix}${key}.`)];
      const format = typeof node.format === 'string' ? `redoubt-${node.format}` : [...node.format];
      const names = namesOf(prefix + key, node, audience);
      return [key, { ...node, format, env: names.find((name) => env[name] !== undefined) ?? names[0] }];
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
