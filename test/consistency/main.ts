// `npm run test:history -- --minutes 10 --seed 7`: one long run, its history kept in a file. Exit code 0 where
// nothing is wrong, 1 where something is, 2 for a wrong usage.
import { createWriteStream, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { parseArgs } from 'node:util';

import type { Operation } from './history.ts';
import { STORES, type StoreName } from './instances.ts';
import { type HistoryRun, describeResult, describeViolations, runHistory } from './run.ts';
import { FAULT_KINDS, type FaultKind, LINKS, type Link } from './schedule.ts';

const USAGE = `usage: npm run test:history -- [--minutes 10] [--seed N] [--clients 12] [--tabs 2] [--instances 3]
  --store ${STORES.join('|')}   default redoubt; the others are controls that must fail
  --faults ${FAULT_KINDS.join(',')}   default all
  --links ${LINKS.join(',')}   what cut, silence and one-way may hit; default both
  --main FILE   another redoubt than the sources, such as dist/cli/main.js
  --set NAME=VALUE   more environment for the servers, any number of times
`;
const MAX_MINUTES = 120;

const say = (line: string): boolean => process.stdout.write(`${line}\n`);
const given = readArguments();
if (given === undefined) process.stderr.write(USAGE);
const code = given === undefined ? 2 : await runOne(given);
// Everything has been disposed; Node 24.21 sometimes spins for ever in its own teardown (CleanupHandles).
process.exit(code);

/** @returns the exit code */
async function runOne(run: HistoryRun): Promise<0 | 1> {
  const result = await runHistory({ ...run, log: say });
  const { judgement, operations, recovered } = result;
  for (const line of describeResult(result)) say(line);
  for (const line of describeViolations(result)) say(line);
  say(`history: ${await keep(operations)}`);
  return judgement.violations.length === 0 && recovered ? 0 : 1;
}

function readArguments(): HistoryRun | undefined {
  try {
    const text = { type: 'string' } as const;
    const { values } = parseArgs({
      options: {
        minutes: { ...text, default: '10' },
        seed: text,
        clients: { ...text, default: '12' },
        tabs: { ...text, default: '2' },
        instances: { ...text, default: '3' },
        store: { ...text, default: 'redoubt' },
        faults: { ...text, default: FAULT_KINDS.join(',') },
        links: { ...text, default: LINKS.join(',') },
        main: text,
        set: { ...text, multiple: true, default: [] },
      },
    });
    const [store] = someOf<StoreName>(values.store, STORES);
    return {
      store: store!,
      kinds: someOf<FaultKind>(values.faults, FAULT_KINDS),
      links: someOf<Link>(values.links, LINKS),
      durationMs: numberIn(values.minutes, 0.1, MAX_MINUTES) * 60_000,
      ...(values.seed === undefined ? {} : { seed: numberIn(values.seed, 0, 2 ** 32) }),
      clients: numberIn(values.clients, 1, 200),
      tabs: numberIn(values.tabs, 1, 5),
      instances: numberIn(values.instances, 2, 8),
      ...(values.main === undefined ? {} : { main: values.main }),
      env: Object.fromEntries(values.set.map((pair) => pair.split(/=(.*)/s, 2))),
    };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return undefined;
  }
}

function someOf<T extends string>(text: string, known: readonly T[]): T[] {
  const names = text.split(',');
  const unknown = names.filter((name) => !known.includes(name as T));
  if (unknown.length > 0) throw new Error(`unknown: ${unknown.join(', ')}`);
  return names as T[];
}

function numberIn(text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= least && value <= most)) {
    throw new Error(`${text} is no number between ${least} and ${most}`);
  }
  return value;
}

/** Writes the history as JSON lines and returns the file's name. */
async function keep(operations: readonly Operation[]): Promise<string> {
  const file = join(mkdtempSync(join(tmpdir(), 'redoubt-history-')), 'history.jsonl');
  const out = createWriteStream(file);
  for (const operation of operations) out.write(`${JSON.stringify(operation)}\n`);
  out.end();
  await finished(out);
  return file;
}
