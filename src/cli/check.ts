import { readdirSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

import { type ConfigFinding, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { RedoubtError, isRedoubtError } from '../core/errors.ts';
import { type Finding, loadMachines } from '../runtime/load.ts';
import { type Command, type Context, EXIT, type Invocation } from './command.ts';

/** `redoubt check [files or folders…]`. */
export const check: Command = {
  usage: 'check [FILE or FOLDER…] [--config FILE] [--machines DIR] [--json]',
  description: `Checks the configuration and the machines, starting nothing: the configured ones, or those of the
folders, *.machine.json and *.json5 files that are named. Exit code 0 when nothing is wrong, 1 with every
finding on standard output.`,
  options: {
    config: { type: 'string', value: 'FILE', doc: 'One more configuration file on top (REDOUBT_CONFIG).' },
    machines: { type: 'string', value: 'DIR', doc: 'Folder of *.machine.json files (REDOUBT_MACHINES).' },
    json: { type: 'boolean', doc: 'Print { ok, checked, findings: [{ file, code, path, message }] }.' },
  },
  positionals: Number.POSITIVE_INFINITY,
  run: runCheck,
};

interface Checked {
  /** What was looked at, for the reader to see that it was the right thing. */
  readonly checked: string[];
  readonly findings: Finding[];
}

function runCheck({ values, positionals }: Invocation, context: Context): Promise<number> {
  const option = (name: string): string | undefined => {
    const value = values[name];
    return typeof value === 'string' ? resolve(context.cwd, value) : undefined;
  };
  const named = positionals.flatMap((path) => filesOf(resolve(context.cwd, path), path));

  const result: Checked = { checked: [], findings: [] };
  let config = checkConfig(option('config'), context, result);
  for (const file of named.filter((each) => !isMachine(each))) config = checkConfig(file, context, result) && config;
  // Machines name thresholds of the configuration: without a sound one they cannot be judged.
  if (config) {
    const places = positionals.length > 0 ? named.filter(isMachine) : [option('machines') ?? config.machines.dir];
    for (const place of places) checkMachines(place, config, result);
  }
  return Promise.resolve(print(result, values['json'] === true, context));
}

/** The files that can be checked at a path. @throws {RedoubtError} `ERR_USAGE` where there are none */
function filesOf(full: string, shown: string): string[] {
  const stat = statSync(full, { throwIfNoEntry: false });
  if (!stat) throw new RedoubtError('ERR_USAGE', { message: `there is no ${shown}` });
  const files = (stat.isDirectory() ? readdirSync(full).map((name) => join(full, name)) : [full]).filter(
    (file) => isMachine(file) || file.endsWith('.json5'),
  );
  if (files.length > 0) return files;
  throw new RedoubtError('ERR_USAGE', { message: `${shown} holds neither *.machine.json nor *.json5` });
}

function isMachine(path: string): boolean {
  return path.endsWith('.machine.json');
}

function checkConfig(file: string | undefined, context: Context, result: Checked): Config | undefined {
  try {
    const { config, files } = loadConfig({ file, env: context.env });
    for (const each of files) if (!result.checked.includes(each)) result.checked.push(each);
    return config;
  } catch (error) {
    if (!isRedoubtError(error, 'ERR_CONFIG')) throw error;
    for (const { file: found, path, message } of error.cause as readonly ConfigFinding[]) {
      result.findings.push({ file: found, code: 'config', path, message });
    }
    return undefined;
  }
}

/** @param place - a folder, one file of it, or empty for Redoubt's own machines */
function checkMachines(place: string, config: Config, result: Checked): void {
  const isFile = place !== '' && statSync(place, { throwIfNoEntry: false })?.isFile() === true;
  const { findings } = loadMachines({ dir: isFile ? dirname(place) : place, config });
  result.findings.push(...findings.filter(({ file }) => !isFile || file === place));
  result.checked.push(place === '' ? "Redoubt's own machines" : place);
}

function print({ checked, findings }: Checked, json: boolean, context: Context): number {
  const ok = findings.length === 0;
  const show = (path: string): string => {
    const near = relative(context.cwd, path);
    return path.startsWith('/') && !near.startsWith('..') ? near || '.' : path;
  };
  if (json) {
    context.out(JSON.stringify({ ok, checked, findings }, null, 2));
  } else if (ok) {
    context.out(`Nothing wrong in ${checked.map(show).join(', ')}`);
  } else {
    for (const { file, path, message, code } of findings) {
      context.out(`${show(file)}: ${path ? `${path}: ` : ''}${message} [${code}]`);
    }
    context.out(`${findings.length} ${findings.length === 1 ? 'finding' : 'findings'}`);
  }
  return ok ? EXIT.fine : EXIT.wrong;
}
