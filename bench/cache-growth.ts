/**
 * How the cache's speed changes with the number of keys and the size of values, as ratios to a raw ioredis get (or
 * plain set) of the same keys in the same round. `node --expose-gc cache-growth.ts [--keys 1000000] [--rounds 3] [--library FILE]`
 * fills 10³, 10⁴ … keys of 1 KB up to that many, then 10³ keys of 1, 2, 4 and 8 KB. Prints two tables, in which an
 * awaited lru-cache shows what more keys cost any memory.
 * There is no bar, only figures. Exit code 0, 1: something else than hits was measured, 2: wrong usage.
 */
import { parseArgs } from 'node:util';

import { startRedis } from '../test/support/redis.ts';
import { type Contender, openLru, openRaw, openRedoubt } from './cache/contenders.ts';
import { type Tier, prove } from './cache/prove.ts';
import { type Result, compare } from './cache/rounds.ts';

const CALLERS = 50;
const ROUND_MS = 200;
const KB = 1024;
const MAX_KEYS = 1_000_000;
const NO_L1_ENTRIES = 10;
const FILL_CALLERS = 200;

const given = readArguments();
if (!given) {
  process.stderr.write('usage: node --expose-gc cache-growth.ts [--keys 1000000] [--rounds 3] [--library FILE]\n');
  process.exit(2);
}
const { rounds, library } = given;
let missed = 0;
await using redis = await startRedis();
const byKeys: object[] = [];
for (let keys = 1000; keys <= given.most; keys *= 10) byKeys.push(await row(keys, KB));
console.table(byKeys);
const bySize: object[] = [];
for (const size of [1, 2, 4, 8]) bySize.push(await row(1000, size * KB));
console.table(bySize);
console.log(`${CALLERS} callers, median of ${rounds} interleaved rounds; ratios to ioredis within a round`);
await redis[Symbol.asyncDispose]();
process.exit(missed === 0 ? 0 : 1);

async function row(count: number, bytes: number): Promise<object> {
  await redis.client().flushall();
  const names = Array.from({ length: count }, (_, i) => `grow:${i}`);
  const text = 'x'.repeat(bytes);
  await using raw = openRaw(redis.url);
  await using l1 = await openRedoubt({ url: redis.url, library, maxEntries: count * 2, name: 'redoubt, L1' });
  const l2 = await openRedoubt({ url: redis.url, library, maxEntries: NO_L1_ENTRIES, name: 'redoubt, Redis' });
  await using lru = openLru(count * 2);
  await fill(lru, names, bytes);
  const before = settledBytes();
  const startedAt = performance.now();
  await fill(l1, names, bytes);
  const fillPerSecond = Math.round((count * 1000) / (performance.now() - startedAt));
  await fill(raw, names, bytes);
  // Not in the order in which they were written.
  const keys = names.map((_, i) => names[(i * 7919) % count]!);
  const gets = await compare({ contenders: [raw, l1, l2, lru], keys, callers: CALLERS, rounds, roundMs: ROUND_MS });
  await assertHits(l1, 'l1', names, bytes);
  await assertHits(l2, 'redis', names, bytes);
  const perEntry = Math.round((settledBytes() - before) / count);
  // In this process it would hear, and pay for, every set of the other.
  await l2[Symbol.asyncDispose]();
  const work = (one: Contender, key: string): Promise<unknown> => one.set(key, text);
  const sets = await compare({ contenders: [raw, l1], keys, callers: CALLERS, rounds, roundMs: ROUND_MS, work });
  return {
    keys: count,
    'value KB': bytes / KB,
    'ioredis get/s': gets[0]!.perSecond,
    'L1 get': ratio(gets[1]!),
    'lru-cache get': ratio(gets[3]!),
    'Redis get': ratio(gets[2]!),
    set: ratio(sets[1]!),
    'fill/s': fillPerSecond,
    // Below, what else the process does outweighs it.
    'bytes an entry in memory': count < 10_000 ? '' : perEntry,
  };
}

/** Each value a text of its own that only the cache keeps, so that memory tells what an entry costs. */
async function fill(contender: Contender, names: readonly string[], bytes: number): Promise<void> {
  for (let i = 0; i < names.length; i += FILL_CALLERS) {
    const some = names.slice(i, i + FILL_CALLERS);
    await Promise.all(some.map((key) => contender.set(key, valueOf(key, bytes))));
  }
}

/** Names what is not measured as it should be; a thousand keys are enough to see it. */
async function assertHits(contender: Contender, tier: Tier, names: readonly string[], bytes: number): Promise<void> {
  const step = names.length / 1000;
  const sample = Array.from({ length: 1000 }, (_, i) => names[Math.floor(i * step)]!);
  try {
    await prove(contender, new Map(sample.map((key) => [key, valueOf(key, bytes)])), tier, redis);
  } catch (error) {
    missed += 1;
    console.log(`NOT a hit, ${names.length} keys: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function valueOf(key: string, bytes: number): string {
  return Buffer.alloc(bytes, key).toString('latin1');
}

function ratio({ ratio: median, from, to }: Result): string {
  return `${hundredth(median)} (${hundredth(from)} … ${hundredth(to)})`;
}

function hundredth(value: number): number {
  return Math.round(value * 100) / 100;
}

function settledBytes(): number {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function readArguments():
  | { readonly most: number; readonly rounds: number; readonly library: string | undefined }
  | undefined {
  try {
    const text = { type: 'string' } as const;
    const { values } = parseArgs({
      options: { keys: { ...text, default: '1000000' }, rounds: { ...text, default: '3' }, library: text },
    });
    const most = Number(values.keys);
    const count = Number(values.rounds);
    const fine = most >= 1000 && most <= MAX_KEYS && Number.isInteger(count) && count >= 1 && count <= 20;
    return fine ? { most, rounds: count, library: values.library } : undefined;
  } catch {
    // parseArgs names what it does not know; the usage says it shorter.
    return undefined;
  }
}
