/**
 * The cache when nothing is wrong, against its peers and against a raw ioredis get, in one run: L1 hits, gets from
 * Redis, fenced sets, and the memory mode. Every contender is first proved to hit, with the right value and in the
 * right tier. `node --expose-gc cache.ts [--rounds 7] [--only l1|l2|set|memory]`; npm ci in bench/ first.
 * Exit code 0: every bar met, 1: some missed, 2: wrong usage.
 */
import { parseArgs } from 'node:util';

import { startRedis } from '../test/support/redis.ts';
import { type Contender, type Value, openLru, openRaw, openRedoubt } from './cache/contenders.ts';
import { openBentocache, openCacheManager, openCacheable, openLayeredLoader, openNodeRedis } from './cache/peers.ts';
import { type Tier, fill, prove } from './cache/prove.ts';
import { type Result, compare, medianRatio } from './cache/rounds.ts';

const KEYS = 1000;
const VALUE_BYTES = 1024;
const PARTS = ['l1', 'l2', 'set', 'memory'] as const;
const L1_CALLERS = 50;
const CALLERS = [1, 20, 100];
const L1_ROUND_MS = 150;
const REDIS_ROUND_MS = 300;
/** Far fewer entries than keys, which are read in turn: memory never has the next one. */
const NO_L1_ENTRIES = 10;

const USAGE = `usage: node --expose-gc cache.ts [--rounds 7] [--only ${PARTS.join('|')}]
  --library FILE   module with createRedoubt in place of the sources, such as dist/index.js
`;

const given = readArguments();
if (!given) {
  process.stderr.write(USAGE);
  process.exit(2);
}
const { rounds, parts, library } = given;
let missed = 0;
const kinds: Readonly<Record<string, ReadonlyMap<string, Value>>> = {
  text: valuesOf((i) => `${i}:`.padEnd(VALUE_BYTES, 'x')),
  object: valuesOf((i) => ({ id: i, text: 'x'.repeat(VALUE_BYTES - 20) })),
};
await using redis = await startRedis();
const { url } = redis;
if (parts.includes('l1')) for (const kind of Object.keys(kinds)) await measureL1(kind);
if (parts.includes('l2')) await measureL2();
if (parts.includes('set')) await measureSet();
if (parts.includes('memory')) await measureMemory();
console.log(`\nmedian of ${rounds} interleaved rounds, ${KEYS} keys of ${VALUE_BYTES} bytes; ratios within a round`);
console.log(missed === 0 ? 'every bar met' : `${missed} bars missed`);
// Everything has been let go; Node 24.21 sometimes spins for ever in its own teardown (CleanupHandles).
await redis[Symbol.asyncDispose]();
process.exit(missed === 0 ? 0 : 1);

async function measureL1(kind: string): Promise<void> {
  const raw = openRaw(url);
  const l1 = [
    await openRedoubt({ url, library, maxEntries: KEYS * 10 }),
    await openBentocache({ url, l1: true }),
    await openCacheable({ url, l1: true }),
    await openCacheManager({ url, l1: true }),
    await openLayeredLoader({ url, l1: true }),
    await openNodeRedis({ url, l1: true }),
    openLru(KEYS * 10),
  ];
  const results = await race([[raw, 'redis'], ...l1.map((one) => [one, 'l1'] as const)], kind, {
    title: `L1 hit, ${kind}`,
    callers: L1_CALLERS,
    roundMs: L1_ROUND_MS,
  });
  const redoubt = results.find(({ name }) => name === 'redoubt');
  for (const peer of results) {
    if (peer.name === 'redoubt' || peer.name === 'lru-cache' || peer.name === 'ioredis') continue;
    bar(`L1 hit, ${kind}, to ${peer.name}`, redoubt && medianRatio(redoubt, peer), 1);
  }
}

async function measureL2(): Promise<void> {
  const all: readonly Contender[] = [
    openRaw(url),
    await openRedoubt({ url, library, maxEntries: NO_L1_ENTRIES }),
    openRaw(url, true),
    await openBentocache({ url, l1: false }),
    await openCacheManager({ url, l1: false }),
    await openLayeredLoader({ url, l1: false }),
    await openNodeRedis({ url, l1: false }),
  ];
  for (const callers of CALLERS) {
    const title = `get from Redis, ${callers} caller${callers === 1 ? '' : 's'}`;
    const entries = all.map((one) => [one, 'redis'] as const);
    const results = await race(entries, 'text', { title, callers, roundMs: REDIS_ROUND_MS, keep: true });
    bar(title, results.find(({ name }) => name === 'redoubt')?.ratio, 0.95);
  }
  for (const one of all) await one[Symbol.asyncDispose]();
}

async function measureSet(): Promise<void> {
  const contenders = [openRaw(url), await openRedoubt({ url, library, maxEntries: KEYS * 10 })];
  const values = kinds['text']!;
  for (const callers of CALLERS) {
    const work = (one: Contender, key: string): Promise<unknown> => one.set(key, values.get(key)!);
    const keys = [...values.keys()];
    const results = await compare({ contenders, keys, callers, rounds, roundMs: REDIS_ROUND_MS, work });
    const title = `fenced set to a plain one, ${callers} caller${callers === 1 ? '' : 's'}`;
    print(title, results);
    bar(title, results[1]!.ratio, 0.6);
  }
  for (const one of contenders) await one[Symbol.asyncDispose]();
}

async function measureMemory(): Promise<void> {
  const redoubt = await openRedoubt({ url, library, maxEntries: KEYS * 10, isolated: true });
  const title = 'memory mode to lru-cache';
  const entries = [openLru(KEYS * 10), redoubt].map((one) => [one, 'l1'] as const);
  for (const kind of Object.keys(kinds)) {
    const keep = { title: `${title}, ${kind}`, callers: L1_CALLERS, roundMs: L1_ROUND_MS, keep: true };
    const results = await race(entries, kind, keep);
    bar(keep.title, results[1]!.ratio, 0.6);
  }
  await redoubt[Symbol.asyncDispose]();
}

interface Arguments {
  readonly rounds: number;
  readonly parts: readonly string[];
  readonly library: string | undefined;
}

interface Race {
  readonly title: string;
  readonly callers: number;
  readonly roundMs: number;
  /** Leaves the contenders open. */
  readonly keep?: boolean;
}

/** Fills and proves each contender, lets them run, and prints; one that does not hit is named. */
async function race(
  entries: readonly (readonly [Contender, Tier])[],
  kind: string,
  { title, callers, roundMs, keep }: Race,
): Promise<Result[]> {
  const values = kinds[kind]!;
  const contenders: Contender[] = [];
  for (const [contender, tier] of entries) {
    try {
      await fill(contender, values);
      await prove(contender, values, tier, redis);
    } catch (error) {
      // A figure of something else than a hit counts as missed, whoever's it is.
      missed += 1;
      console.log(`NOT a hit, ${title}: ${error instanceof Error ? error.message : String(error)}`);
    }
    contenders.push(contender);
  }
  const results = await compare({ contenders, keys: [...values.keys()], callers, rounds, roundMs });
  print(title, results);
  if (!keep) for (const [contender] of entries) await contender[Symbol.asyncDispose]();
  return results;
}

function print(title: string, results: readonly Result[]): void {
  console.log(`\n${title}`);
  console.table(
    results.map(({ name, perSecond, ratio, from, to }) => ({
      name,
      'per second': perSecond,
      ratio: hundredth(ratio),
      'from … to': `${hundredth(from)} … ${hundredth(to)}`,
    })),
  );
}

function bar(what: string, figure: number | undefined, atLeast: number): void {
  const met = figure !== undefined && figure >= atLeast;
  if (!met) missed += 1;
  console.log(`  ${met ? 'met   ' : 'MISSED'} bar 7: ${what}: ${hundredth(figure ?? 0)} (at least ${atLeast})`);
}

function valuesOf(make: (i: number) => Value): ReadonlyMap<string, Value> {
  return new Map(Array.from({ length: KEYS }, (_, i) => [`bench:${i}`, make(i)]));
}

function hundredth(value: number): number {
  return Math.round(value * 100) / 100;
}

function readArguments(): Arguments | undefined {
  try {
    const { values } = parseArgs({
      options: { rounds: { type: 'string', default: '7' }, only: { type: 'string' }, library: { type: 'string' } },
    });
    const count = Number(values.rounds);
    const only = values.only === undefined ? PARTS : PARTS.filter((part) => part === values.only);
    return Number.isInteger(count) && count >= 1 && count <= 50 && only.length > 0
      ? { rounds: count, parts: only, library: values.library }
      : undefined;
  } catch {
    // parseArgs names what it does not know; the usage says it shorter.
    return undefined;
  }
}
