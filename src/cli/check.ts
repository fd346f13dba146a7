import { readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

import { type ConfigFinding, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { RedoubtError, isRedoubtError } from '../core/errors.ts';
import { nodeAt, placeOf, scanSource } from '../core/positions.ts';
import { type Extensions, loadExtensions } from '../runtime/extensions.ts';
import { type Finding, formatFinding, isError, locate } from '../runtime/finding.ts';
import { loadMachines } from '../runtime/load.ts';
import { type Command, type Context, EXIT, type Invocation } from './command.ts';
import { sarifOf } from './sarif.ts';

/** `redoubt check [files or folders…]`. */
export const check: Command = {
  usage: 'check [FILE or FOLDER…] [--config FILE] [--machines DIR] [--strict] [--json | --sarif]',
  description: `Checks the configuration and the machines, starting nothing: the configured ones, or those of the
folders, *.machine.json and *.json5 files that are named; a single *.json5 among them is the one that the
machines are judged by. Exit code 0 when nothing is wrong, 1 with every
finding on standard output. Warnings fail only with --strict.`,
  options: {
    config: { type: 'string', value: 'FILE', doc: 'One more configuration file on top (REDOUBT_CONFIG).' },
    machines: { type: 'string', value: 'DIR', doc: 'Folder of *.machine.json files (REDOUBT_MACHINES).' },
    strict: { type: 'boolean', doc: 'Exit with 1 for warnings too.' },
    json: {
      type: 'boolean',
      doc: 'Print { ok, checked, errors, warnings, findings: [{ file, line, column, code, severity, path, message }] }.',
    },
    sarif: { type: 'boolean', doc: 'Print SARIF 2.1.0, which CI services show beside the lines.' },
  },
  positionals: Number.POSITIVE_INFINITY,
  run: runCheck,
};

interface Checked {
  /** What was looked at, for the reader to see that it was the right thing. */
  readonly checked: string[];
  readonly findings: Finding[];
}

async function runCheck({ values, positionals }: Invocation, context: Context): Promise<number> {
  const option = (name: string): string | undefined => {
    const value = values[name];
    return typeof value === 'string' ? resolve(context.cwd, value) : undefined;
  };
  const named = positionals.map((path) => placesOf(resolve(context.cwd, path), path));

  const result: Checked = { checked: [], findings: [] };
  let config = checkConfig(option('config'), context, result);
  const configs = named.flatMap((place) => place.configs);
  // One configuration beside the machines is theirs; of several none can be told from the others.
  const isTheirs = configs.length === 1 && option('config') === undefined;
  for (const file of configs) {
    const own = checkConfig(file, context, result);
    config = own && config && (isTheirs ? own : config);
  }
  // Machines name thresholds of the configuration: without a sound one they cannot be judged.
  const extensions = config && (await checkExtensions(config, context, result));
  if (config && extensions) {
    const places =
      named.length > 0 ? named.flatMap(({ machines }) => machines) : [option('machines') ?? config.machines.dir];
    for (const place of places) checkMachines(place, config, extensions, result);
  }
  return print({ checked: result.checked, findings: unique(result.findings) }, values, context);
}

interface Places {
  readonly configs: readonly string[];
  /** A folder, whose machines are checked together, or one file of it. */
  readonly machines: readonly string[];
}

/** What can be checked at a path. @throws {RedoubtError} `ERR_USAGE` where there is nothing */
function placesOf(full: string, shown: string): Places {
  const stat = statSync(full, { throwIfNoEntry: false });
  if (!stat) throw new RedoubtError('ERR_USAGE', { message: `there is no ${shown}` });
  const files = stat.isDirectory() ? readdirSync(full).map((name) => join(full, name)) : [full];
  const configs = files.filter((file) => file.endsWith('.json5'));
  const machines = files.filter((file) => file.endsWith('.machine.json'));
  if (configs.length + machines.length === 0) {
    throw new RedoubtError('ERR_USAGE', { message: `${shown} holds neither *.machine.json nor *.json5` });
  }
  return { configs, machines: stat.isDirectory() && machines.length > 0 ? [full] : machines };
}

function checkConfig(file: string | undefined, context: Context, result: Checked): Config | undefined {
  try {
    const { config, files } = loadConfig({ audience: 'server', file, env: context.env });
    for (const each of files) if (!result.checked.includes(each)) result.checked.push(each);
    return config;
  } catch (error) {
    if (!isRedoubtError(error, 'ERR_CONFIG')) throw error;
    for (const finding of error.cause as readonly ConfigFinding[]) result.findings.push(locateSetting(finding));
    return undefined;
  }
}

/** Where a setting stands in its JSON5 file, as well as that can be told. */
function locateSetting({ file, path, message }: ConfigFinding): Finding {
  const found = locate(file, { code: 'config', path, message });
  try {
    // JSON5 says itself where it could not read on.
    const [, line, column] = /\bat (\d+):(\d+)/.exec(path === '' ? message : '') ?? [];
    if (line && column) return { ...found, line: Number(line), column: Number(column) };
    const text = readFileSync(file, 'utf8');
    const node = nodeAt(scanSource(text, 'json5').root, path);
    const isKey = !node.isScalar || message.startsWith('unknown key');
    return { ...found, ...placeOf(text, isKey ? node.key : node.value) };
  } catch {
    // The environment is no file, and what cannot be scanned has no better place than its first line.
    return found;
  }
}

async function checkExtensions(config: Config, context: Context, result: Checked): Promise<Extensions | undefined> {
  const { extensions } = config.runtime;
  try {
    return await loadExtensions(extensions, context.cwd);
  } catch (error) {
    if (!isRedoubtError(error, 'ERR_EXTENSIONS')) throw error;
    const file = resolve(context.cwd, extensions);
    result.findings.push(locate(file, { code: 'extensions', path: '', message: error.message }));
    return undefined;
  }
}

/** @param place - a folder, one file of it, or empty for Redoubt's own machines */
function checkMachines(place: string, config: Config, extensions: Extensions, result: Checked): void {
  const isFile = place !== '' && statSync(place, { throwIfNoEntry: false })?.isFile() === true;
  const { findings } = loadMachines({ dir: isFile ? dirname(place) : place, config, extensions });
  result.findings.push(...findings.filter(({ file }) => !isFile || file === place));
  result.checked.push(place === '' ? "Redoubt's own machines" : place);
}

/** Two places that share a layer report its mistakes twice. */
function unique(findings: readonly Finding[]): Finding[] {
  return [...new Map(findings.map((finding) => [JSON.stringify(finding), finding])).values()];
}

function print({ checked, findings }: Checked, values: Invocation['values'], context: Context): number {
  const errors = findings.filter(isError).length;
  const warnings = findings.length - errors;
  const ok = errors === 0 && (warnings === 0 || values['strict'] !== true);
  const show = (path: string): string => {
    const near = relative(context.cwd, path);
    return path.startsWith('/') && !near.startsWith('..') ? near || '.' : path;
  };
  if (values['sarif'] === true) context.out(JSON.stringify(sarifOf(findings, context.version, show), null, 2));
  else if (values['json'] === true) context.out(JSON.stringify({ ok, checked, errors, warnings, findings }, null, 2));
  else if (findings.length === 0) context.out(`Nothing wrong in ${checked.map(show).join(', ')}`);
  else {
    for (const finding of findings) context.out(formatFinding(finding, show(finding.file)));
    context.out(`${counted(errors, 'error')}, ${counted(warnings, 'warning')}`);
  }
  return ok ? EXIT.fine : EXIT.wrong;
}

function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
