import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.ts';
import { sharedDatabase } from '../support/postgres.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';
import { CacheRig, type CacheRigOptions } from './cache-rig.ts';

let redis: TestRedis;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

/** How long others may take to hear of an acknowledged change. */
const HEARD_MS = 250;

/** Two instances of one fleet with PostgreSQL, and a way to start more. */
async function startFleet(cache: object = {}) {
  const database = await sharedDatabase();
  const options: CacheRigOptions = { redis, database, cache };
  const a = await CacheRig.start(options);
  const more: CacheRigOptions = { ...options, keyPrefix: a.keyPrefix };
  const b = await CacheRig.start(more);
  const dispose = async (): Promise<void> => {
    await a[Symbol.asyncDispose]();
    await b[Symbol.asyncDispose]();
  };
  return { a, b, more, [Symbol.asyncDispose]: dispose };
}

const becomes = (rig: CacheRig, key: string, value: unknown, withinMs = HEARD_MS): Promise<unknown> =>
  eventually(async () => expect(await rig.cache.get(key)).toEqual(value), { withinMs, everyMs: 5 });

const replayed = ({ cache }: CacheRig): unknown => cache.report().counters['replayed'];
const journal = ({ cache }: CacheRig): number => cache.stats().journal;

describe('a fleet of caches while all is well', () => {
  it('loads once what another instance has finished loading just then', async () => {
    await using fleet = await startFleet({ deadline: '2s', lock: '20s' });
    const { a, b } = fleet;
    // Some end between the other one's look and its lock: the first, or the one after its first wait of 50 ms.
    const loadMs = [0, 1, 2, 48, 49, 50, 51, 52];
    const loads = new Map<string, number>();
    const want = async ({ cache }: CacheRig, key: string, lateMs: number, ms: number): Promise<unknown> => {
      if (lateMs > 0) await delay(lateMs);
      return cache.getOrSet(key, async () => {
        loads.set(key, (loads.get(key) ?? 0) + 1);
        if (ms > 0) await delay(ms);
        return key;
      });
    };
    for (let round = 0; round < 10; round += 1) {
      const keys = Array.from({ length: 40 }, (_, i) => `${round}:${i}`);
      await Promise.all(
        keys.map(async (key, i) => {
          const ms = loadMs[i % loadMs.length]!;
          expect(await Promise.all([want(a, key, 0, ms), want(b, key, i % 3, ms)])).toEqual([key, key]);
        }),
      );
    }
    expect([...loads.values()].filter((count) => count > 1)).toEqual([]);
    expect(loads.size).toBe(400);
  });
});

describe('a fleet of caches while Redis is down', () => {
  it('tells each other of sets and deletes through PostgreSQL, and of nothing else', async () => {
    await using fleet = await startFleet();
    const { a, b } = fleet;
    for (const key of ['set', 'deleted', 'kept']) await a.cache.set(key, 'v1');
    for (const key of ['set', 'deleted', 'kept']) expect(await b.cache.get(key)).toBe('v1');
    a.redisLost();
    b.redisLost();
    expect(await b.cache.lookup('set')).toMatchObject({ status: 'stale', value: 'v1' });
    await a.cache.set('set', 'v2');
    await a.cache.delete('deleted');
    await becomes(b, 'set', undefined);
    await becomes(b, 'deleted', undefined);
    expect(await b.cache.lookup('kept')).toMatchObject({ status: 'stale', value: 'v1' });
    expect(await a.cache.get('set')).toBe('v2');
  });

  it('lets the newest of two own writes win, on both', async () => {
    await using fleet = await startFleet();
    const { a, b } = fleet;
    a.redisLost();
    b.redisLost();
    await a.cache.set('k', 'older');
    await delay(50);
    await b.cache.set('k', 'newer');
    await becomes(a, 'k', undefined);
    await a.redisBack();
    expect(await a.cache.get('k')).toBeUndefined();
    await b.redisBack();
    await becomes(a, 'k', 'newer');
    expect(await b.cache.get('k')).toBe('newer');
  });

  it('fault 50: one that joins meanwhile, and is the first to have Redis again, serves nothing old', async () => {
    await using fleet = await startFleet();
    const { a, b, more } = fleet;
    for (const key of ['set', 'deleted', 'kept']) await a.cache.set(key, 'v1');
    a.redisLost();
    b.redisLost();
    await a.cache.set('set', 'v2');
    await b.cache.delete('deleted');
    await delay(100);
    await using fresh = await CacheRig.startWithoutRedis(more);
    await fresh.redisBack();
    expect(await fresh.cache.lookup('set')).toMatchObject({ status: 'miss' });
    expect(await fresh.cache.lookup('deleted')).toMatchObject({ status: 'miss' });
    expect(await fresh.cache.get('kept')).toBe('v1');
    await a.redisBack();
    await becomes(fresh, 'set', 'v2');
    await b.redisBack();
    expect([await b.cache.get('set'), await b.cache.get('deleted')]).toEqual(['v2', undefined]);
  });

  it('fault 49: nothing that an instance acknowledged before it died is undone', async () => {
    await using fleet = await startFleet();
    const { a, b } = fleet;
    await a.cache.set('deleted', 'v1');
    await a.cache.set('kept', 'v1');
    a.redisLost();
    b.redisLost();
    // By now it is listed as being without Redis; what it does in its last moment it tells nobody.
    await delay(50);
    await a.cache.delete('deleted');
    await a.kill();
    await b.redisBack();
    // What it may not have told in time, a new epoch makes up for, once its listing has run out.
    const { epochs } = b.cache.report().counters;
    await eventually(() => (b.cache.report().counters['epochs'] ?? 0) > (epochs ?? 0), { withinMs: 8_000 });
    expect(await b.cache.get('deleted')).toBeUndefined();
    await b.cache.set('goes on', 1);
    await delay(3_500);
    expect(await b.cache.get('goes on')).toBe(1);
  });

  it('a deleted tag holds on every instance, and after the return', async () => {
    await using fleet = await startFleet();
    const { a, b, more } = fleet;
    await a.cache.set('k', 'v1', { tags: ['t'] });
    await a.cache.set('other', 'v1');
    expect(await b.cache.get('k')).toBe('v1');
    expect(await b.cache.get('other')).toBe('v1');
    a.redisLost();
    b.redisLost();
    await a.cache.deleteByTag('t');
    await becomes(b, 'k', undefined);
    expect(await b.cache.get('other')).toBe('v1');
    await b.redisBack();
    await using fresh = await CacheRig.start(more);
    expect([await fresh.cache.get('k'), await b.cache.get('k')]).toEqual([undefined, undefined]);
    await a.redisBack();
    expect(await a.cache.get('k')).toBeUndefined();
    await a.cache.set('k', 'v2', { tags: ['t'] });
    await becomes(b, 'k', 'v2');
    await b.cache.deleteByTag('t');
    await becomes(a, 'k', undefined);
  });

  it('loads a key on one instance at a time', async () => {
    await using fleet = await startFleet();
    const { a, b } = fleet;
    for (const outage of [false, true]) {
      if (outage) {
        a.redisLost();
        b.redisLost();
      }
      let running = 0;
      let most = 0;
      let loads = 0;
      const load = async (): Promise<string> => {
        running += 1;
        loads += 1;
        most = Math.max(most, running);
        await delay(150);
        running -= 1;
        return 'loaded';
      };
      const calls = [a, b].flatMap(({ cache }) =>
        Array.from({ length: 50 }, () => cache.getOrSet(`cold ${outage}`, load)),
      );
      expect(new Set(await Promise.all(calls))).toEqual(new Set(['loaded']));
      expect(most).toBe(1);
      // Without Redis there is no way to hand the value over.
      expect(loads).toBe(outage ? 2 : 1);
    }
  });

  it('a clear() reaches the others, and Redis when it is back', async () => {
    await using fleet = await startFleet();
    const { a, b, more } = fleet;
    await a.cache.set('k', 'v1');
    await b.cache.get('k');
    a.redisLost();
    b.redisLost();
    await b.cache.set('own', 1);
    await delay(20);
    await a.cache.clear();
    await becomes(b, 'k', undefined);
    await becomes(b, 'own', undefined);
    await b.redisBack();
    await using fresh = await CacheRig.start(more);
    expect([await fresh.cache.get('k'), await fresh.cache.get('own')]).toEqual([undefined, undefined]);
  });

  it('fault 39: more changes than the journal holds leave nothing old anywhere', async () => {
    await using fleet = await startFleet({ journalMax: 100 });
    const { a, b, more } = fleet;
    const keys = Array.from({ length: 500 }, (_, n) => `k${n}`);
    await Promise.all(keys.map((key) => a.cache.set(key, 'v1')));
    await Promise.all(keys.map((key) => b.cache.get(key)));
    a.redisLost();
    b.redisLost();
    await Promise.all(keys.map((key) => a.cache.delete(key)));
    expect(a.cache.stats().journal).toBe(100);
    await eventually(async () => {
      expect((await Promise.all(keys.map((key) => b.cache.get(key)))).filter(Boolean)).toEqual([]);
    });
    await b.redisBack();
    await using fresh = await CacheRig.start(more);
    for (const rig of [b, fresh]) {
      expect((await Promise.all(keys.map((key) => rig.cache.get(key)))).filter(Boolean)).toEqual([]);
    }
    await a.redisBack();
    for (const rig of [a, b, fresh]) {
      expect((await Promise.all(keys.map((key) => rig.cache.get(key)))).filter(Boolean)).toEqual([]);
    }
  });
});

describe('a fleet of caches to which Redis returns', () => {
  const keys = Array.from({ length: 1500 }, (_, n) => `k${n}`);
  const setAll = ({ cache }: CacheRig, value: string): Promise<void[]> =>
    Promise.all(keys.map((key) => cache.set(key, value)));
  const getAll = ({ cache }: CacheRig): Promise<unknown[]> => Promise.all(keys.map((key) => cache.get(key)));

  it('brings each write to Redis once, by the instance that made it', async () => {
    await using fleet = await startFleet();
    const { a, b, more } = fleet;
    a.redisLost();
    b.redisLost();
    await setAll(a, 'v1');
    await b.cache.set('by b', 'v1');
    await eventually(() => expect([journal(a), journal(b)]).toEqual([keys.length + 1, keys.length + 1]));
    await using fresh = await CacheRig.startWithoutRedis(more);
    await Promise.all([a, b, fresh].map((rig) => rig.redisBack()));
    await eventually(() => expect([a, b, fresh].map(journal)).toEqual([0, 0, 0]));
    expect([a, b, fresh].map(replayed)).toEqual([keys.length, 1, 0]);
    for (const rig of [b, fresh]) expect(new Set(await getAll(rig))).toEqual(new Set(['v1']));
    expect(await a.cache.get('by b')).toBe('v1');
  });

  it('carries what its author does not bring, so that the key can be cached again', async () => {
    await using fleet = await startFleet();
    const { a, b, more } = fleet;
    await a.cache.set('k', 'v1');
    expect(await b.cache.get('k')).toBe('v1');
    a.redisLost();
    await a.cache.set('k', 'v2');
    await becomes(b, 'k', undefined);
    expect(await b.cache.lookup('k')).toEqual({ status: 'miss', source: 'memory' });
    await eventually(async () => {
      expect(await b.cache.lookup('k')).toEqual({ status: 'miss', source: 'redis' });
    });
    expect([journal(b), replayed(b)]).toEqual([0, 1]);
    await using fresh = await CacheRig.start(more);
    expect(await fresh.cache.get('k')).toBeUndefined();
    await a.redisBack();
    await becomes(b, 'k', 'v2');
    await becomes(fresh, 'k', 'v2');
  });

  it('uses Redis before the journal is empty, and answers for what is in it', async () => {
    await using fleet = await startFleet({ replayWait: '0ms' });
    const { a, b, more } = fleet;
    await a.cache.set('untouched', 'v1');
    await setAll(a, 'v1');
    a.redisLost();
    b.redisLost();
    await setAll(a, 'v2');
    await a.cache.delete('k0');
    await using fresh = await CacheRig.startWithoutRedis(more);
    await fresh.redisBack();
    await a.redisBack();
    expect(journal(a)).toBe(keys.length);
    expect(await a.cache.lookup('untouched')).toMatchObject({ value: 'v1', source: 'redis' });
    expect(await a.cache.lookup('k1')).toMatchObject({ status: 'hit', value: 'v2', source: 'memory' });
    expect(await a.cache.lookup('k0')).toEqual({ status: 'miss', source: 'memory' });
    const seen = new Set<unknown>();
    await eventually(async () => {
      for (const value of await getAll(fresh)) seen.add(value);
      expect([journal(a), journal(fresh)]).toEqual([0, 0]);
    });
    for (const value of await getAll(fresh)) seen.add(value);
    expect(seen).toEqual(new Set([undefined, 'v2']));
    expect(await fresh.cache.lookup('k0')).toEqual({ status: 'miss', source: 'redis' });
  });

  it('fault 49: leaves nothing old behind when an instance dies before its journal is replayed', async () => {
    await using fleet = await startFleet({ replayWait: '0ms' });
    const { a, b, more } = fleet;
    await setAll(a, 'v1');
    a.redisLost();
    await setAll(a, 'v2');
    await eventually(() => expect(journal(b)).toBeGreaterThan(0));
    await a.redisBack();
    await a.kill();
    expect(replayed(a)).toBe(0);
    await using fresh = await CacheRig.start(more);
    // Whichever of them notices first that the listing has run out begins a new epoch.
    const epochs = (): number =>
      [b, fresh].reduce((sum, { cache }) => sum + (cache.report().counters['epochs'] ?? 0), 0);
    const before = epochs();
    await eventually(() => epochs() > before, { withinMs: 8_000 });
    for (const rig of [b, fresh]) expect(new Set(await getAll(rig))).toEqual(new Set([undefined]));
  });
});

describe('a fleet of caches of which one has lost Redis', () => {
  it.each(['refuse', 'blackhole'] as const)(
    'fault 46: %s, no instance serves what was changed on any other',
    async (mode) => {
      await using fleet = await startFleet();
      const { a, b, more } = fleet;
      const keys = ['set by a', 'deleted by a', 'set by b', 'deleted by b'];
      for (const key of keys) await a.cache.set(key, 'v1');
      for (const key of keys) await b.cache.get(key);
      a.hop.mode = mode;
      // The machine has not noticed; the cache must by itself.
      await b.cache.set('set by b', 'v2');
      await b.cache.delete('deleted by b');
      await a.cache.set('set by a', 'v2');
      await a.cache.delete('deleted by a');
      expect([await a.cache.get('set by a'), await a.cache.get('deleted by a')]).toEqual(['v2', undefined]);
      await becomes(b, 'set by a', undefined);
      await becomes(b, 'deleted by a', undefined);
      await becomes(a, 'set by b', undefined, 500);
      await becomes(a, 'deleted by b', undefined, 500);
      a.redisLost();
      await using fresh = await CacheRig.start(more);
      expect(await Promise.all(keys.map((key) => fresh.cache.get(key)))).toEqual([
        undefined,
        undefined,
        'v2',
        undefined,
      ]);
      await b.cache.set('set by b', 'v3');
      await becomes(a, 'set by b', undefined);
      a.hop.mode = 'pass';
      await a.redisBack();
      for (const rig of [a, b, fresh]) {
        await becomes(rig, 'set by a', 'v2');
        await becomes(rig, 'set by b', 'v3');
        expect(await rig.cache.get('deleted by a')).toBeUndefined();
        expect(await rig.cache.get('deleted by b')).toBeUndefined();
      }
    },
  );

  it('fault 48: one that was paused for longer than its lease serves nothing old when it wakes', async () => {
    await using fleet = await startFleet();
    const { a, b } = fleet;
    await a.cache.set('k', 'v1');
    await b.cache.get('k');
    await eventually(async () => (await b.cache.lookup('k')).source === 'l1');
    // All of this process stops, b's connections included, while Redis goes on: as a pause of b looks to b.
    const plain = redis.client();
    const [name = ''] = await plain.keys(`${a.keyPrefix}c:*:k`);
    const deleted = plain.del(name);
    const endsAt = performance.now() + 400;
    while (performance.now() < endsAt);
    // The first thing that it does: before any news, and before any timer.
    expect((await b.cache.lookup('k')).source).not.toBe('l1');
    await deleted;
  });
});

describe('a fleet of caches of which one has lost PostgreSQL', () => {
  it('fault 47: all of them go on hearing of changes through Redis', async () => {
    await using fleet = await startFleet();
    const { a, b } = fleet;
    a.sql.disengage();
    await a.cache.set('k', 'v1');
    await becomes(b, 'k', 'v1');
    await b.cache.set('k', 'v2');
    await becomes(a, 'k', 'v2');
    await a.cache.delete('k');
    await becomes(b, 'k', undefined);
    await a.postgresBack();
    expect(await a.cache.get('k')).toBeUndefined();
  });
});

describe('one instance on the embedded PostgreSQL', () => {
  it('fault 49: makes up at its next start for having died without Redis', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'redoubt-bus-'));
    try {
      const options: CacheRigOptions = { redis, database: `pglite:${dir}` };
      const first = await CacheRig.start(options);
      await first.cache.set('deleted', 'v1');
      first.redisLost();
      await delay(200);
      await first.cache.delete('deleted');
      await first.kill();
      await first[Symbol.asyncDispose]();
      // Its listing has to run out first.
      await delay(3_000);
      await using second = await CacheRig.start({ ...options, keyPrefix: first.keyPrefix });
      expect(await second.cache.get('deleted')).toBeUndefined();
      await second.cache.set('goes on', 1);
      await delay(1_500);
      expect(await second.cache.get('goes on')).toBe(1);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});

describe('a fleet of caches without PostgreSQL', () => {
  it('keeps to the greatest staleness, down to none', async () => {
    await using some = await CacheRig.start({ redis, cache: { maxStale: '300ms' } });
    await using never = await CacheRig.start({ redis, cache: { maxStale: '0ms' } });
    for (const rig of [some, never]) {
      await rig.cache.set('k', 'v1');
      rig.redisLost();
    }
    expect(await never.cache.lookup('k')).toMatchObject({ status: 'unknown' });
    expect(await some.cache.lookup('k')).toMatchObject({ status: 'stale' });
    await eventually(async () => (await some.cache.lookup('k')).status === 'unknown', { withinMs: 600 });
  });
});
