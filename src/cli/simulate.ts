import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { RedoubtError } from '../core/errors.ts';
import { suggest } from '../core/format.ts';
import { type Extensions, loadExtensions } from '../runtime/extensions.ts';
import { loadCheckedMachines, machineIdsOf } from '../runtime/load.ts';
import { compareResults } from '../runtime/simulate/compare.ts';
import type { SimulationResult } from '../runtime/simulate/result.ts';
import { type Script, parseScript } from '../runtime/simulate/script.ts';
import { simulate as runScript } from '../runtime/simulate/simulate.ts';
import type { MachineDefinition } from '../runtime/types.ts';
import { type Command, type Context, EXIT, type Invocation } from './command.ts';
import { comparisonText, simulationText } from './simulate-text.ts';
import { columns } from './usage.ts';

/** `redoubt simulate --script FILE`. */
export const simulate: Command = {
  usage: 'simulate --script FILE [--config FILE] [--machines DIR] [--compare FILE] [--json]',
  description: `Runs the machines and their detectors, as configured, against a scripted outage on a simulated clock, and
prints what happens and what users feel. Nothing is connected and nothing is changed; an hour takes less than a
second. A script without a path is one of the shipped ones (--list). Exit code 0 when it ran, 1 for a mistake
in the script, the configuration or a machine, and for a --record that the simulation does not repeat.`,
  options: {
    script: { type: 'string', value: 'FILE', doc: 'The outage: a JSON5 file, or the name of a shipped script.' },
    config: { type: 'string', value: 'FILE', doc: 'One more configuration file on top (REDOUBT_CONFIG).' },
    machines: { type: 'string', value: 'DIR', doc: 'Folder of *.machine.json files (REDOUBT_MACHINES).' },
    compare: { type: 'string', value: 'FILE', doc: 'A second policy: this configuration file in place of the first.' },
    seed: { type: 'string', value: 'NUMBER', doc: "Another seed for the jitter than the script's." },
    list: { type: 'boolean', doc: 'List the shipped scripts.' },
    record: {
      type: 'string',
      value: 'FILE or URL',
      doc: 'Print a script made from a real run: a log of redoubt serve, or a /health.',
    },
    json: { type: 'boolean', doc: 'Print the whole result, for programs.' },
  },
  positionals: 0,
  run: runSimulate,
};

const SHIPPED = fileURLToPath(new URL('../../simulations/', import.meta.url));
const SUFFIX = '.json5';

/** What a policy is made of. */
interface Policy {
  readonly config: Config;
  readonly extensions: Extensions;
  readonly definitions: readonly MachineDefinition[];
}

async function runSimulate({ values }: Invocation, context: Context): Promise<number> {
  const text = (name: string): string | undefined => {
    const value = values[name];
    return typeof value === 'string' ? value : undefined;
  };
  if (values['list'] === true) return list(values['json'] === true, context);
  const policy = await loadPolicy(text('config'), text('machines'), context);
  const recordFrom = text('record');
  if (recordFrom !== undefined) {
    const { record } = await import('./simulate-record.ts');
    return record({ from: recordFrom, ...policy }, context);
  }
  const name = text('script');
  if (name === undefined) {
    throw new RedoubtError('ERR_USAGE', { message: 'simulate needs --script FILE; --list shows the shipped ones' });
  }
  const script = { ...readScript(name, policy, context), ...seedOf(text('seed')) };
  const result = await runScript({ script, ...policy });
  const compare = text('compare');
  if (compare === undefined) {
    context.out(values['json'] === true ? JSON.stringify(result, null, 2) : simulationText(result));
    return EXIT.fine;
  }
  const other = await loadPolicy(compare, text('machines'), context);
  const names = [basename(text('config') ?? 'default'), basename(compare)] as const;
  const second = await runScript({ script, ...other });
  context.out(values['json'] === true ? comparisonJson(result, second) : comparisonText(result, second, names));
  return EXIT.fine;
}

function comparisonJson(first: SimulationResult, second: SimulationResult): string {
  const differences = compareResults(first, second)
    .filter(({ differs }) => differs)
    .map(({ name, label, first: a, second: b }) => ({ name, label, first: a, second: b }));
  return JSON.stringify({ first, second, differences }, null, 2);
}

async function loadPolicy(file: string | undefined, dir: string | undefined, context: Context): Promise<Policy> {
  const path = file === undefined ? undefined : resolve(context.cwd, file);
  const { config } = loadConfig({ audience: 'server', file: path, env: context.env });
  const extensions = await loadExtensions(config.runtime.extensions, context.cwd);
  const machines = dir === undefined ? config.machines.dir : resolve(context.cwd, dir);
  return { config, extensions, definitions: loadCheckedMachines({ dir: machines, config, extensions }) };
}

function readScript(name: string, { config, extensions }: Policy, context: Context): Script {
  const file = fileOf(name, context);
  const names = { machines: machineIdsOf(config, extensions), events: Object.keys(extensions.events ?? {}) };
  return parseScript(readFileSync(file, 'utf8'), name, names);
}

/** A path is taken as it is; a bare name is looked up in the working folder, then among the shipped scripts. */
function fileOf(name: string, context: Context): string {
  const own = resolve(context.cwd, name);
  if (existsSync(own)) return own;
  const shipped = join(SHIPPED, basename(name).endsWith(SUFFIX) ? basename(name) : `${basename(name)}${SUFFIX}`);
  if (basename(name) === name && existsSync(shipped)) return shipped;
  const near = suggest(basename(name, SUFFIX), shippedNames());
  throw new RedoubtError('ERR_USAGE', {
    message: `there is no script ${name}${near ? ` (did you mean ${near}?)` : ''}`,
  });
}

function shippedNames(): readonly string[] {
  return readdirSync(SHIPPED)
    .filter((file) => file.endsWith(SUFFIX))
    .map((file) => file.slice(0, -SUFFIX.length))
    .toSorted();
}

function list(json: boolean, context: Context): number {
  const scripts = shippedNames().map((name) => {
    const script = parseScript(readFileSync(join(SHIPPED, name + SUFFIX), 'utf8'), name, {
      machines: ['redis', 'postgres'],
      events: [],
    });
    return { name, title: script.title, durationMs: script.durationMs };
  });
  context.out(json ? JSON.stringify(scripts, null, 2) : columns(scripts.map(({ name, title }) => [name, title])));
  return EXIT.fine;
}

function seedOf(text: string | undefined): { readonly seed?: number } {
  if (text === undefined) return {};
  const seed = Number(text);
  if (Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32) return { seed };
  throw new RedoubtError('ERR_USAGE', { message: `--seed must be a whole number from 0, found ${text}` });
}
