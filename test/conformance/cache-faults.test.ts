import { mkdirSync, rmSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';
import { CacheRig } from './cache-rig.ts';

/** What makes a Redis refuse writes and still answer reads, and what ends it. */
const REFUSALS: readonly {
  readonly name: string;
  readonly begin: (redis: TestRedis) => Promise<void>;
  readonly end: (redis: TestRedis) => Promise<unknown>;
}[] = [
  {
    name: 'fault 17: OOM',
    begin: async (redis) => void (await redis.client().config('SET', 'maxmemory', '1')),
    end: (redis) => redis.client().config('SET', 'maxmemory', '0'),
  },
  {
    name: 'fault 18: MISCONF',
    begin: async (redis) => {
      const client = redis.client();
      rmSync(redis.dir, { recursive: true });
      await client.config('SET', 'save', '3600 1');
      await client.bgsave();
      await eventually(async () => /rdb_last_bgsave_status:err/.test(await client.info('persistence')));
    },
    end: async (redis) => {
      mkdirSync(redis.dir);
      return redis.client().config('SET', 'stop-writes-on-bgsave-error', 'no');
    },
  },
  {
    name: 'fault 19: READONLY',
    begin: async (redis) => void (await redis.client().replicaof('127.0.0.1', 1)),
    end: (redis) => redis.client().replicaof('NO', 'ONE'),
  },
];

describe.each(REFUSALS)('$name', ({ begin, end }) => {
  it('leaves reads on Redis, keeps writes here, and brings them to Redis afterwards', async () => {
    await using redis = await startRedis();
    await using a = await CacheRig.start({ redis });
    await using b = await CacheRig.start({ redis, keyPrefix: a.keyPrefix });
    for (const key of ['read', 'set', 'deleted']) await a.cache.set(key, 'v1');
    await begin(redis);
    const accepted = a.hop.accepted;
    const startedAt = performance.now();
    await a.cache.set('set', 'v2');
    await a.cache.delete('deleted');
    expect(await b.cache.lookup('read')).toMatchObject({ status: 'hit', value: 'v1', source: 'redis' });
    expect(await a.cache.get('set')).toBe('v2');
    expect(await a.cache.lookup('deleted')).toMatchObject({ status: 'miss' });
    expect(await a.cache.getOrSet('cold', () => 'loaded')).toBe('loaded');
    // It answers, so nobody waits and nothing is suspended.
    expect(performance.now() - startedAt).toBeLessThan(1000);
    expect(a.cache.report().counters['suspensions']).toBe(0);
    expect(a.cache.stats().journal).toBeGreaterThan(0);
    expect(a.hop.accepted).toBe(accepted);
    await end(redis);
    await eventually(() => a.cache.stats().journal === 0);
    await eventually(async () => {
      expect(await b.cache.getMany(['read', 'set', 'deleted', 'cold'])).toEqual(['v1', 'v2', undefined, 'loaded']);
    });
  });
});

describe('calls of one tick', () => {
  it('fault 29: have an outcome each while Redis is out of memory', async () => {
    await using redis = await startRedis();
    await using a = await CacheRig.start({ redis });
    await a.cache.set('known', 1);
    await redis.client().config('SET', 'maxmemory', '1');
    const keys = Array.from({ length: 200 }, (_, n) => `k${n}`);
    const outcomes = await Promise.allSettled([
      a.cache.get('known'),
      a.cache.get('none'),
      a.cache.delete('known'),
      ...keys.map((key) => a.cache.set(key, key)),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(outcomes.map(() => 'fulfilled'));
    expect(await a.cache.getMany(keys)).toEqual(keys);
    await redis.client().config('SET', 'maxmemory', '0');
    await eventually(() => a.cache.stats().journal === 0);
    await using fresh = await CacheRig.start({ redis, keyPrefix: a.keyPrefix });
    expect(await fresh.cache.getMany(['known', ...keys])).toEqual([undefined, ...keys]);
  });
});

describe('an answer that is lost', () => {
  it('fault 10: a write that was executed unnoticed is there once, as it was written', async () => {
    await using redis = await startRedis();
    await using a = await CacheRig.start({ redis });
    await a.cache.set('k', 'v1');
    redis.freeze();
    // It lies in Redis' socket, and is executed when nobody waits for its answer any more.
    const write = a.cache.set('k', 'v2', { ttlMs: 60_000 });
    await write;
    a.hop.mode = 'refuse';
    redis.thaw();
    expect(await a.cache.get('k')).toBe('v2');
    await using b = await CacheRig.start({ redis, keyPrefix: a.keyPrefix });
    expect(await b.cache.get('k')).toBe('v2');
    await b.cache.set('k', 'v3');
    a.redisLost();
    a.hop.mode = 'pass';
    await a.hop.settled();
    await a.redisBack();
    expect([await a.cache.get('k'), await b.cache.get('k')]).toEqual(['v3', 'v3']);
  });
});

describe('the return of Redis under load', () => {
  it('fault 38: lets calls back by and by, and neither Redis nor the loaders are trampled', async () => {
    await using redis = await startRedis();
    await using a = await CacheRig.start({ redis, ramp: { start: 2, step: '10s' } });
    const keys = Array.from({ length: 300 }, (_, n) => `k${n}`);
    await a.cache.setMany(keys.map((key) => [key, 'v']));
    a.redisLost();
    await a.redisBack();
    let loads = 0;
    const answers = await Promise.all(
      keys.map(async (key, n) => {
        // In turns of their own, so that each is a call of its own.
        for (let turn = 0; turn < n % 20; turn += 1) await new Promise(setImmediate);
        return a.cache.getOrSet(key, () => `loaded ${(loads += 1)}`);
      }),
    );
    expect(new Set(answers)).toEqual(new Set(['v']));
    expect(loads).toBe(0);
    const sent = (await redis.client().info('commandstats')).match(/cmdstat_mget:calls=(\d+)/)?.[1];
    expect(Number(sent)).toBeLessThan(60);
  });
});
