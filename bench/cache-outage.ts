/**
 * The cache while Redis fails and after it has come back: two instances in processes of their own, a fresh third
 * at the return, about 1,000 operations/s; every read is held against what was acknowledged before it.
 * `node cache-outage.ts [--seconds 8] [--fault NAME] …`; exit code 0: every bar met, 1: some missed, 2: wrong usage.
 */
import { parseArgs } from 'node:util';

import { printBars } from './cache/bars.ts';
import { runFault } from './cache/fault-run.ts';
import { FAULTS } from './cache/faults.ts';
import { runInvalidation } from './cache/invalidate.ts';
import { describeStale } from './cache/judge.ts';
import { runLoaders } from './cache/loaders.ts';
import { runMillion } from './cache/million.ts';
import { STORES, type StoreName } from './cache/stores.ts';
import { describeWaited } from './cache/verdict.ts';
import { runZombies } from './cache/zombie.ts';

const USAGE = `usage: node cache-outage.ts [--seconds 8] [--fault ${Object.keys(FAULTS).join('|')}] [--rate 1000] [--seed 1]
  --zombie       100 writes that Redis executes after it was frozen, overtaken by newer ones
  --invalidate   how soon the other instance shows a write while Redis is down
  --loaders      loaders of getOrSet on cold keys, with Redis and without
  --million [--keys 1000000] [--seconds 60]   distinct keys written in one outage
  --store ${STORES.join('|')}   default redoubt; plain (ioredis + lru-cache by hand) is the control that must fail
  --library FILE   module with createRedoubt in place of the sources, such as dist/index.js
`;
const MAX_SECONDS = 300;
const MAX_KEYS = 2_000_000;
const MAX_RATE = 5000;

type Mode = 'faults' | 'zombie' | 'invalidate' | 'loaders' | 'million';

interface Arguments {
  readonly mode: Mode;
  readonly keys: number;
  readonly faults: readonly string[];
  readonly faultMs: number;
  readonly ratePerSecond: number;
  readonly seed: number;
  readonly store: StoreName;
  readonly library: string | undefined;
}

const given = readArguments();
if (given === undefined) {
  process.stderr.write(USAGE);
  process.exit(2);
}
const MODES: Readonly<Record<Mode, (given: Arguments) => Promise<number>>> = {
  faults: runFaults,
  zombie: runZombies,
  invalidate: runInvalidation,
  loaders: runLoaders,
  million: ({ faultMs, ...start }) => runMillion({ ...start, forMs: faultMs }),
};
const missed = await MODES[given.mode](given);
console.log(missed === 0 ? '\nevery bar met' : `\n${missed} bars missed`);
// Everything has been disposed; Node 24.21 sometimes spins for ever in its own teardown (CleanupHandles).
process.exit(missed === 0 ? 0 : 1);

async function runFaults({ faults, ...start }: Arguments): Promise<number> {
  let missedBars = 0;
  const rows: object[] = [];
  for (const fault of faults) {
    const { verdict, run } = await runFault({ ...start, fault });
    missedBars += printBars(`${fault}, ${start.faultMs / 1000} s, ${start.store}`, verdict.bars);
    for (const line of describeStale(verdict.stale, run.marks.faultAt)) console.log(`    ${line}`);
    for (const line of describeWaited(verdict.waited)) console.log(`    ${line}`);
    rows.push(verdict.row);
  }
  // Transposed: a column for each fault.
  const names = Object.keys(rows[0] ?? {}).filter((name) => name !== 'fault');
  const table = names.map((name) => [
    name,
    Object.fromEntries(rows.map((row) => [(row as { fault: string }).fault, (row as Record<string, unknown>)[name]])),
  ]);
  console.table(Object.fromEntries(table));
  return missedBars;
}

function readArguments(): Arguments | undefined {
  try {
    const text = { type: 'string' } as const;
    const flag = { type: 'boolean', default: false } as const;
    const { values } = parseArgs({
      options: {
        zombie: flag,
        invalidate: flag,
        loaders: flag,
        million: flag,
        keys: { ...text, default: '1000000' },
        seconds: text,
        fault: text,
        rate: { ...text, default: '1000' },
        seed: { ...text, default: '1' },
        store: { ...text, default: 'redoubt' },
        library: text,
      },
    });
    const faults = values.fault === undefined ? Object.keys(FAULTS) : [values.fault];
    const store = STORES.find((name) => name === values.store);
    const modes = (['zombie', 'invalidate', 'loaders', 'million'] as const).filter((name) => values[name]);
    if (!faults.every((fault) => fault in FAULTS) || !store || modes.length > 1) return undefined;
    const mode = modes[0] ?? 'faults';
    const seconds = values.seconds ?? (mode === 'million' ? '60' : '8');
    return {
      mode,
      faults,
      keys: numberIn(values.keys, 1000, MAX_KEYS),
      store,
      faultMs: numberIn(seconds, 2, MAX_SECONDS) * 1000,
      ratePerSecond: numberIn(values.rate, 10, MAX_RATE),
      seed: numberIn(values.seed, 0, 2 ** 32),
      library: values.library,
    };
  } catch {
    // parseArgs names what it does not know; the usage says it shorter.
    return undefined;
  }
}

function numberIn(value: string, least: number, most: number): number {
  const number = Number(value);
  if (!(number >= least && number <= most)) throw new RangeError(`${value} is not within ${least} … ${most}`);
  return number;
}
