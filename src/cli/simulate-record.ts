import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

import type { Config } from '../config/schema.ts';
import { RedoubtError } from '../core/errors.ts';
import type { Extensions } from '../runtime/extensions.ts';
import { machineIdsOf } from '../runtime/load.ts';
import { readRecord } from '../runtime/simulate/read-record.ts';
import { scriptOf } from '../runtime/simulate/record.ts';
import { type Repetition, compareWithRecord } from '../runtime/simulate/repeats.ts';
import { parseScript } from '../runtime/simulate/script.ts';
import { simulate } from '../runtime/simulate/simulate.ts';
import type { MachineDefinition } from '../runtime/types.ts';
import { type Context, EXIT } from './command.ts';

const TIMEOUT_MS = 5000;

/** Jitter decides between ways that lie near each other: so many seeds are tried. */
const SEEDS = 8;

export interface RecordOptions {
  /** A file, or the address of a server. */
  readonly from: string;
  readonly config: Config;
  readonly extensions: Extensions;
  readonly definitions: readonly MachineDefinition[];
}

/**
 * Prints a script made from a recorded run, and on standard error whether its simulation repeats it.
 *
 * @returns exit code 1 where it does not
 */
export async function record(
  { from, config, extensions, definitions }: RecordOptions,
  context: Context,
): Promise<number> {
  const { name, text } = await read(from, config, context);
  const recorded = readRecord(text, name);
  const made = scriptOf(recorded, config, `Recorded: ${name}`);
  const names = { machines: machineIdsOf(config, extensions), events: Object.keys(extensions.events ?? {}) };
  let best: { readonly seed: number; readonly ways: readonly Repetition[] } | undefined;
  for (let seed = 1; seed <= SEEDS && !best?.ways.every(({ equal }) => equal); seed += 1) {
    const script = { ...parseScript(JSON.stringify(made), name, names), seed };
    const { transitions } = await simulate({ script, config, definitions, extensions });
    const ways = compareWithRecord(recorded, transitions);
    if (!best || ways.every(({ equal }) => equal)) best = { seed, ways };
  }
  context.out(JSON.stringify({ ...made, seed: best?.seed ?? 1 }, null, 2));
  const different = best?.ways.filter(({ equal }) => !equal) ?? [];
  if (different.length === 0) {
    context.err(`The simulation repeats all ${recorded.length} transitions of ${name}`);
    return EXIT.fine;
  }
  for (const { machine, recorded: real, simulated } of different) {
    context.err(`${machine} takes another way:\n  recorded   ${real.join(', ')}\n  simulated  ${simulated.join(', ')}`);
  }
  return EXIT.wrong;
}

async function read(from: string, config: Config, context: Context): Promise<{ name: string; text: string }> {
  if (!/^https?:\/\//.test(from)) return { name: from, text: readFileSync(resolve(context.cwd, from), 'utf8') };
  const url = new URL(from);
  if (!url.pathname.endsWith('/health')) url.pathname = `${url.pathname.replace(/\/$/, '')}/health`;
  const token = config.server.apiToken;
  // A password in the URL must not be printed.
  const name = url.origin + url.pathname;
  try {
    const headers: Record<string, string> = token === '' ? {} : { Authorization: `Bearer ${token}` };
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
    return { name, text: await response.text() };
  } catch (error) {
    throw new RedoubtError('ERR_SCRIPT', { message: `${name} cannot be reached`, findings: 1 }, { cause: error });
  }
}
