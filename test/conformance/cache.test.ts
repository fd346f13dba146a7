import { setTimeout as delay } from 'node:timers/promises';

import { type Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type RedisControl, createRedisBackend } from '../../src/backends/redis.ts';
import type { RedisBackend } from '../../src/backends/types.ts';
import { loadConfig } from '../../src/config/load.ts';
import { systemClock } from '../../src/core/clock.ts';
import { RedoubtError } from '../../src/core/errors.ts';
import type { Mode } from '../../src/core/mode.ts';
import { silentLogger } from '../../src/observe/log.ts';
import { createCache } from '../../src/services/cache/cache.ts';
import { encodeStored, encodeValue } from '../../src/services/cache/entry.ts';
import { WRITE } from '../../src/services/cache/scripts.ts';
import { eventually } from '../support/eventually.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';

const MODES = ['redis', 'memory'] as const;
type Backend = (typeof MODES)[number];

let server: TestRedis;
let plain: Redis;
let prefixes = 0;

beforeAll(async () => {
  server = await startRedis();
  plain = server.client();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const never = new AbortController().signal;
const freshPrefix = (): string => `t${(prefixes += 1)}:`;

function modeOf(backend: Backend): Mode {
  const reason = { code: 'TEST', message: 'The test wants it so.' };
  return { service: 'cache', backend, usable: [backend], preferred: 'redis', since: 0, reason };
}

interface InstanceOptions {
  readonly url?: string;
  readonly keyPrefix?: string;
  readonly backend?: Backend;
  readonly cache?: object;
  /** Default: none, as long after a recovery. */
  readonly ramp?: object;
  /** Stands between the cache and the real backend. */
  readonly between?: (redis: RedisControl) => RedisBackend;
}

/** One instance of the cache on the real Redis; several with one prefix are a fleet. */
async function startInstance({ keyPrefix = freshPrefix(), backend = 'redis', ...more }: InstanceOptions = {}) {
  const overrides = {
    redis: { url: more.url ?? server.url, keyPrefix, ramp: more.ramp ?? { start: 10_000 } },
    cache: more.cache ?? {},
  };
  const { config } = loadConfig({ env: { NODE_ENV: 'test' }, overrides });
  const parts = { config, clock: systemClock, random: Math.random };
  const redis = createRedisBackend({ ...parts, instance: 'test', observe: () => undefined });
  const cache = createCache({ ...parts, redis: more.between?.(redis) ?? redis, log: silentLogger });
  const lose = (): void => {
    redis.disengage();
    cache.applyMode(modeOf('memory'));
  };
  const comeBack = async (): Promise<void> => {
    await redis.engage(never);
    await cache.reconcile('redis', never);
    cache.applyMode(modeOf('redis'));
  };
  cache.applyMode(modeOf('memory'));
  if (backend === 'redis') await comeBack();
  const close = async (): Promise<void> => {
    await cache[Symbol.asyncDispose]();
    await redis.close();
  };
  return { cache, redis, keyPrefix, lose, comeBack, [Symbol.asyncDispose]: close };
}

describe.each(MODES)('cache operations in mode %s', (backend) => {
  const start = (options: InstanceOptions = {}) => startInstance({ backend, ...options });

  it.each([[{ a: [1, { b: null }], c: 'ü' }], [[]], ['text'], [''], [0], [-1.5], [true], [false], [null]])(
    'gives back %j as it was set',
    async (value) => {
      await using instance = await start();
      await instance.cache.set('k', value);
      expect(await instance.cache.get('k')).toEqual(value);
      const found = await instance.cache.lookup('k');
      expect(found).toMatchObject({ status: 'hit', value });
      expect(backend === 'redis' ? ['l1', 'redis'] : ['memory']).toContain(found.source);
      expect(found.status === 'hit' && found.ageMs).toBeGreaterThanOrEqual(0);
    },
  );

  it('gives back a Buffer as a Buffer, byte for byte, also an empty and a large one', async () => {
    await using instance = await start();
    const every = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
    for (const bytes of [every, Buffer.alloc(0), Buffer.alloc(1_000_000, 7)]) {
      await instance.cache.set('k', bytes);
      const found = await instance.cache.get<Buffer>('k');
      expect(Buffer.isBuffer(found) && found.equals(bytes)).toBe(true);
    }
  });

  it.each(['ключ', '鍵', '🔑', 'a b\r\nc', 'a:b:c', '{tag}', '*', 'epoch', '__proto__'])(
    'takes the key %j',
    async (key) => {
      await using instance = await start();
      await instance.cache.set(key, key);
      expect(await instance.cache.get(key)).toBe(key);
      expect(await instance.cache.delete(key)).toBe(true);
      expect(await instance.cache.has(key)).toBe(false);
    },
  );

  it('has nothing under a key that was never set', async () => {
    await using instance = await start();
    expect(await instance.cache.get('none')).toBeUndefined();
    expect(await instance.cache.has('none')).toBe(false);
    expect(await instance.cache.delete('none')).toBe(false);
    const status = backend === 'redis' ? 'miss' : 'unknown';
    expect((await instance.cache.lookup('never')).status).toBe(status);
  });

  it('says whether a deleted key was there', async () => {
    await using instance = await start();
    await instance.cache.set('k', 1);
    expect(await instance.cache.delete('k')).toBe(true);
    expect(await instance.cache.delete('k')).toBe(false);
    expect((await instance.cache.lookup('k')).status).toBe('miss');
    await instance.cache.set('k', 2);
    expect(await instance.cache.get('k')).toBe(2);
  });

  it('forgets every key with clear(), and goes on', async () => {
    await using instance = await start();
    await Promise.all(Array.from({ length: 50 }, (_, n) => instance.cache.set(`k${n}`, n)));
    await instance.cache.clear();
    const found = await Promise.all(Array.from({ length: 50 }, (_, n) => instance.cache.has(`k${n}`)));
    expect(found).not.toContain(true);
    await instance.cache.set('k0', 'again');
    expect(await instance.cache.get('k0')).toBe('again');
  });

  it('TTL: a value is gone after its lifetime, and another stays', async () => {
    await using instance = await start();
    await instance.cache.set('short', 1, { ttlMs: 60 });
    await instance.cache.set('long', 1, { ttlMs: 60_000 });
    await eventually(async () => !(await instance.cache.has('short')));
    expect(await instance.cache.get('long')).toBe(1);
    expect((await instance.cache.lookup('short')).status).toBe('miss');
  });

  it('TTL: setting a key again gives it a new lifetime', async () => {
    await using instance = await start();
    await instance.cache.set('k', 1, { ttlMs: 40 });
    await instance.cache.set('k', 2, { ttlMs: 60_000 });
    await instance.cache.set('witness', 1, { ttlMs: 60 });
    await eventually(async () => !(await instance.cache.has('witness')));
    expect(await instance.cache.get('k')).toBe(2);
  });

  it('concurrent operations on one key end with the last one called', async () => {
    await using instance = await start();
    const { cache } = instance;
    await Promise.all(Array.from({ length: 201 }, (_, n) => (n % 3 === 2 ? cache.delete('k') : cache.set('k', n))));
    expect(await cache.get('k')).toBeUndefined();
    await Promise.all(Array.from({ length: 100 }, (_, n) => cache.set('k', n)));
    expect(await cache.get('k')).toBe(99);
  });

  it('concurrent operations on many keys do not mix their answers', async () => {
    await using instance = await start();
    const { cache } = instance;
    const answers = await Promise.all(
      Array.from({ length: 300 }, async (_, n) => {
        await cache.set(`k${n}`, { n });
        return cache.get<{ n: number }>(`k${n}`);
      }),
    );
    expect(answers.map((answer) => answer?.n)).toEqual(Array.from({ length: 300 }, (_, n) => n));
  });

  it('fault 37: loads once for 1,000 concurrent callers of a cold key, and not again', async () => {
    await using instance = await start();
    let loads = 0;
    const load = (): string => {
      loads += 1;
      return 'loaded';
    };
    const answers = await Promise.all(Array.from({ length: 1000 }, () => instance.cache.getOrSet('cold', load)));
    expect(new Set(answers)).toEqual(new Set(['loaded']));
    expect(await instance.cache.getOrSet('cold', load)).toBe('loaded');
    expect(loads).toBe(1);
  });

  it('loads once also while Redis takes only some of the calls', async () => {
    await using instance = await start({ ramp: { start: 1, step: '10s' } });
    let loads = 0;
    await Promise.all(Array.from({ length: 100 }, () => instance.cache.getOrSet('cold', () => (loads += 1))));
    expect(loads).toBe(1);
  });

  it("rejects with the loader's own error, and with nothing else", async () => {
    await using instance = await start();
    const error = new Error('database', { cause: new Error('socket') });
    await expect(instance.cache.getOrSet('k', () => Promise.reject(error))).rejects.toBe(error);
    const lastGood = await instance.cache.getOrSet('l', () => 'good', { ttlMs: 30, graceMs: 60_000 });
    await eventually(async () => !(await instance.cache.has('l')));
    expect(await instance.cache.getOrSet('l', () => Promise.reject(error), { graceMs: 60_000 })).toBe(lastGood);
  });

  it('refuses what cannot be a key, a value or a lifetime', async () => {
    await using instance = await start();
    await expect(instance.cache.set('', 1)).rejects.toMatchObject({ code: 'ERR_CACHE_KEY' });
    await expect(instance.cache.get('x'.repeat(513))).rejects.toMatchObject({ code: 'ERR_CACHE_KEY' });
    await expect(instance.cache.set('k', undefined)).rejects.toMatchObject({ code: 'ERR_CACHE_VALUE' });
    await expect(instance.cache.set('k', 'x'.repeat(1_048_577))).rejects.toMatchObject({ code: 'ERR_CACHE_VALUE' });
    await expect(instance.cache.set('k', 1, { ttlMs: 0 })).rejects.toMatchObject({ code: 'ERR_CACHE_VALUE' });
    expect(await instance.cache.has('k')).toBe(false);
  });

  it('counts what it does', async () => {
    await using instance = await start();
    const { cache } = instance;
    await cache.set('k', 1);
    await cache.get('k');
    await cache.get('none');
    await cache.delete('k');
    await cache.getOrSet('l', () => 1);
    const expected = backend === 'redis' ? { misses: 2, unknown: 0 } : { misses: 0, unknown: 2 };
    expect(cache.stats()).toMatchObject({ ...expected, hits: 1, stale: 0, sets: 2, deletes: 1, loads: 1, entries: 1 });
  });
});

const soon = (read: () => Promise<unknown>, value: unknown): Promise<unknown> =>
  eventually(async () => expect(await read()).toBe(value), { withinMs: 250 });

describe('a fleet of caches on one Redis', () => {
  describe.each(['tracking', 'published', 'none'] as const)('that hear of changes by %s', (hearing) => {
    it('sees writes, deletes and clear() of the others, from memory as well', async () => {
      await using a = await startInstance({ cache: { hearing } });
      await using b = await startInstance({ keyPrefix: a.keyPrefix, cache: { hearing } });
      await a.cache.set('k', 1);
      expect(await b.cache.get('k')).toBe(1);
      if (hearing !== 'none') {
        await eventually(async () => (await b.cache.lookup('k')).source === 'l1');
      }
      await b.cache.set('k', 2);
      await soon(() => a.cache.get('k'), 2);
      await a.cache.delete('k');
      await soon(() => b.cache.get('k'), undefined);
      await b.cache.set('l', 1);
      await b.cache.get('l');
      await a.cache.clear();
      await soon(() => b.cache.get('l'), undefined);
      await b.cache.set('m', 1);
      await soon(() => a.cache.get('m'), 1);
    });
  });

  it('hears by messages where tracking is refused, and says so', async () => {
    await plain.acl('SETUSER', 'untracked', 'on', '>secret', '~*', '&*', '+@all', '-client|tracking');
    const url = server.url.replace('//', '//untracked:secret@');
    await using a = await startInstance({ url });
    await using b = await startInstance({ url, keyPrefix: a.keyPrefix });
    expect(a.cache.report().notice).toMatch(/refuses tracking/);
    await a.cache.set('k', 1);
    await b.cache.get('k');
    await eventually(async () => (await b.cache.lookup('k')).source === 'l1');
    await a.cache.set('k', 2);
    await eventually(async () => expect(await b.cache.get('k')).toBe(2), { withinMs: 250 });
    expect(await a.cache.lookup('k')).toMatchObject({ value: 2, source: 'l1' });
  });

  it('notices what others than Redoubt do to its keys', async () => {
    await using a = await startInstance();
    await a.cache.set('k', 1);
    await eventually(async () => (await a.cache.lookup('k')).source === 'l1');
    // Its own write is looked after, and no longer taken for the cause of reports.
    await delay(50);
    for (const key of await plain.keys(`${a.keyPrefix}c:*:k`)) await plain.del(key);
    await eventually(async () => expect(await a.cache.get('k')).toBeUndefined());
  });

  it('agrees on the value of keys that two instances write in one turn of Redis', async () => {
    await using a = await startInstance();
    await using b = await startInstance({ keyPrefix: a.keyPrefix });
    for (let round = 0; round < 5; round += 1) {
      await Promise.all(HUNDRED.flatMap((key) => [a.cache.set(key, `a${round}`), b.cache.set(key, `b${round}`)]));
    }
    await delay(250);
    const [ofA, ofB] = await Promise.all([a.cache.getMany(HUNDRED), b.cache.getMany(HUNDRED)]);
    expect(ofA).toEqual(ofB);
  });

  it('serves nothing of what was cleared to reads that cross the news of it', async () => {
    await using a = await startInstance();
    await using b = await startInstance({ keyPrefix: a.keyPrefix });
    await Promise.all(HUNDRED.map((key) => b.cache.set(key, 'before')));
    await a.cache.clear();
    const reads: Promise<unknown>[] = [];
    for (const key of HUNDRED) {
      reads.push(b.cache.get(key));
      await new Promise(setImmediate);
    }
    expect(await Promise.all(reads)).toEqual(HUNDRED.map(() => undefined));
  });

  it('carries a delete and a set over when another instance has cleared the cache just before', async () => {
    await using a = await startInstance();
    await using b = await startInstance({ keyPrefix: a.keyPrefix });
    await b.cache.set('k', 'before');
    await a.cache.clear();
    await a.cache.set('k', 'after');
    expect(await b.cache.delete('k')).toBe(true);
    expect(await a.cache.get('k')).toBeUndefined();
    await a.cache.clear();
    await b.cache.set('l', 'after');
    expect(await a.cache.get('l')).toBe('after');
  });

  it('lets the live writer win over a version from a clock that is ahead, and a replayed one yield', async () => {
    await using a = await startInstance();
    await using b = await startInstance({ keyPrefix: a.keyPrefix });
    await b.cache.set('k', 'mark');
    b.lose();
    await b.cache.set('replayed', 'older');
    const now = Date.now();
    const future = `${(now + 60_000) * 1000}0000`;
    const payload = encodeValue('ahead', 1000);
    const ahead = encodeStored({ payload, version: future, writtenAt: now, expiresAt: now + 60_000, tags: [] });
    const [markKey = ''] = await plain.keys(`${a.keyPrefix}c:*:k`);
    await plain.set(markKey, ahead);
    await plain.set(markKey.replace(/k$/, 'replayed'), ahead);
    await a.cache.set('k', 'live');
    expect(await a.cache.get('k')).toBe('live');
    await b.comeBack();
    expect(await a.cache.get('replayed')).toBe('ahead');
    b.lose();
    expect((await b.cache.lookup('replayed')).status).toBe('unknown');
  });

  it('does not bring a write of the outage back that another instance has cleared since', async () => {
    await using a = await startInstance();
    await using b = await startInstance({ keyPrefix: a.keyPrefix });
    b.lose();
    // Apart, what they do is ordered by Redis' time, which each knows to within half a round trip.
    await b.cache.set('k', 'before the clear');
    await delay(30);
    await a.cache.clear();
    await delay(30);
    await b.cache.set('l', 'after the clear');
    await b.comeBack();
    expect(await a.cache.get('k')).toBeUndefined();
    expect(await b.cache.get('k')).toBeUndefined();
    expect(await a.cache.get('l')).toBe('after the clear');
  });

  it('fault 34: serves nothing old from a Redis that lost its data or was restarted with an old snapshot', async () => {
    await using a = await startInstance();
    await a.cache.set('deleted', 'old');
    await a.cache.set('changed', 'old');
    await plain.save();
    await a.cache.delete('deleted');
    await a.cache.set('changed', 'new');
    a.lose();
    await server.restart();
    await a.cache.set('during', 1);
    await using fresh = await startInstance({ keyPrefix: a.keyPrefix });
    expect(await fresh.cache.get('deleted')).toBeUndefined();
    expect(await fresh.cache.get('changed')).toBeUndefined();
    await a.comeBack();
    expect(await a.cache.get('deleted')).toBeUndefined();
    expect(await a.cache.get('changed')).toBeUndefined();
    expect(await fresh.cache.get('during')).toBe(1);
    await plain.flushall();
    expect(await a.cache.get('during')).toBeUndefined();
    await a.cache.set('again', 1);
    expect(await fresh.cache.get('again')).toBe(1);
  });

  it('works on when Redis has forgotten the scripts', async () => {
    await using a = await startInstance();
    await plain.script('FLUSH');
    await a.cache.set('k', 1);
    expect(await a.cache.lookup('k')).toMatchObject({ status: 'hit', value: 1 });
  });
});

/** Keeps the write scripts of a chosen moment back, and lets the test execute them late, as a woken Redis does. */
function lateWrites() {
  const late: (() => Promise<unknown>)[] = [];
  const state = { holding: false };
  const holding = (client: Redis): Redis => {
    const evalsha = async (...args: Parameters<Redis['evalsha']>): Promise<unknown> => {
      if (!state.holding || args[0] !== WRITE.sha) return await client.evalsha(...args);
      late.push(() => plain.evalsha(...args));
      // As long as everything takes that was written in the same turn: they all run into their deadline together.
      await delay(20);
      throw new RedoubtError('ERR_DEADLINE');
    };
    const get = (target: Redis, name: string): unknown => (name === 'evalsha' ? evalsha : Reflect.get(target, name));
    return new Proxy(client, { get: get as ProxyHandler<Redis>['get'] & {} });
  };
  // One for each connection: the cache agrees with each on time and epoch before its first command.
  const held = new WeakMap<Redis, Redis>();
  const heldOf = (client: Redis): Redis => {
    const known = held.get(client) ?? holding(client);
    held.set(client, known);
    return known;
  };
  const between = (redis: RedisControl): RedisBackend => ({
    get engaged() {
      return redis.engaged;
    },
    tryGetClient: () => redis.tryGetClient(),
    call: (work, options) => redis.call((client) => work(heldOf(client)), options),
    link: (options) => redis.link(options),
  });
  return { between, late, state };
}

const HUNDRED = Array.from({ length: 100 }, (_, n) => `k${n}`);

describe.each(['set', 'delete'] as const)('a late write and a newer %s', (newer) => {
  const write = (cache: { set(k: string, v: string): Promise<void>; delete(k: string): Promise<boolean> }) =>
    Promise.all(HUNDRED.map((key) => (newer === 'set' ? cache.set(key, 'new') : cache.delete(key))));
  const expected = HUNDRED.map(() => (newer === 'set' ? 'new' : undefined));

  it.each(['the writer', 'another instance'])(
    'fault 11: the old value never wins, the newer one by %s',
    async (who) => {
      const { between, late, state } = lateWrites();
      await using a = await startInstance({ between });
      await using b = await startInstance({ keyPrefix: a.keyPrefix });
      state.holding = true;
      await Promise.all(HUNDRED.map((key) => a.cache.set(key, 'old')));
      a.cache.applyMode(modeOf('memory'));
      state.holding = false;
      const writer = who === 'the writer' ? a : b;
      await write(writer.cache);
      expect(await Promise.all(HUNDRED.map((key) => writer.cache.get(key)))).toEqual(expected);
      if (who === 'the writer') await a.comeBack();
      const replies = (await Promise.all(late.map((execute) => execute() as Promise<unknown[]>))).flat();
      expect(replies.length).toBe(100);
      expect(new Set(replies.map((reply) => String(reply)[0]))).toEqual(new Set(['v']));
      await a.comeBack();
      expect(await Promise.all(HUNDRED.map((key) => b.cache.get(key)))).toEqual(expected);
      expect(await Promise.all(HUNDRED.map((key) => a.cache.get(key)))).toEqual(expected);
    },
  );

  it('fault 11: SIGSTOP, SETs that time out, a newer write, SIGCONT: the old value never wins', async () => {
    await using a = await startInstance();
    await using b = await startInstance({ keyPrefix: a.keyPrefix });
    await plain.config('RESETSTAT');
    server.freeze();
    const startedAt = performance.now();
    await Promise.all(HUNDRED.map((key) => a.cache.set(key, 'old')));
    expect(performance.now() - startedAt).toBeGreaterThan(45);
    a.lose();
    await Promise.all([write(a.cache), Promise.all(HUNDRED.map((key) => b.cache.get(key)))]);
    expect(await Promise.all(HUNDRED.map((key) => a.cache.get(key)))).toEqual(expected);
    server.thaw();
    await a.comeBack();
    // Without these the test would show nothing: the writes that timed out were executed after all.
    await eventually(async () => {
      const calls = /cmdstat_set:calls=(\d+)/.exec(await plain.info('commandstats'))?.[1];
      expect(Number(calls)).toBeGreaterThanOrEqual(200);
    });
    // The other one has left Redis alone as well, until it is answered in time again.
    await eventually(async () => (await b.cache.lookup('asks')).source === 'redis');
    expect(await Promise.all(HUNDRED.map((key) => b.cache.get(key)))).toEqual(expected);
    expect(await Promise.all(HUNDRED.map((key) => a.cache.get(key)))).toEqual(expected);
  });
});

it('leaves a late write in Redis, in place of a deletion, where its writer has the value no more', async () => {
  const { between, late, state } = lateWrites();
  await using a = await startInstance({ between, cache: { maxEntries: 10 } });
  await using b = await startInstance({ keyPrefix: a.keyPrefix });
  state.holding = true;
  await a.cache.set('k0', 'late');
  state.holding = false;
  a.cache.applyMode(modeOf('memory'));
  await Promise.all(HUNDRED.slice(1).map((key) => a.cache.set(key, 'new')));
  expect((await a.cache.lookup('k0')).status).toBe('unknown');
  for (const execute of late) await execute();
  await a.comeBack();
  expect(await b.cache.get('k0')).toBe('late');
  expect(await b.cache.get('k1')).toBeUndefined();
});

describe('memory fallback on a real outage', () => {
  it('fault 5: answers each call of a frozen Redis by its deadline, and the writer reads what it wrote', async () => {
    await using a = await startInstance({ cache: { deadline: '100ms' } });
    await a.cache.set('k', 'old');
    await a.cache.set('copy', 'old');
    server.freeze();
    try {
      const startedAt = performance.now();
      await Promise.all([a.cache.set('k', 'new'), a.cache.delete('none')]);
      expect(await a.cache.lookup('copy')).toMatchObject({ status: 'stale', value: 'old' });
      expect(await a.cache.lookup('k')).toMatchObject({ status: 'hit', value: 'new', source: 'memory' });
      expect(await a.cache.getOrSet('cold', () => 'loaded')).toBe('loaded');
      // One wait of the deadline, for all of them.
      expect(performance.now() - startedAt).toBeLessThan(1000);
    } finally {
      server.thaw();
    }
    await eventually(async () => (await a.cache.lookup('k')).source === 'redis');
    expect(await a.cache.lookup('k')).toMatchObject({ status: 'hit', value: 'new' });
    expect(await a.cache.lookup('cold')).toMatchObject({ status: 'hit', value: 'loaded', source: 'redis' });
    expect(a.cache.stats().journal).toBe(0);
  });

  it('uses Redis again after a call without an answer, also where more is written than can be replayed', async () => {
    await using a = await startInstance();
    const counter = (name: string): unknown => a.cache.report().counters[name];
    const epochs = counter('epochs');
    server.freeze();
    try {
      await a.cache.set('k', 'first');
    } finally {
      server.thaw();
    }
    expect(counter('suspensions')).toBe(1);
    const isUsed = async (): Promise<boolean> => (await a.cache.lookup('none')).status === 'miss';
    let round = 0;
    for (; round < 200 && !(await isUsed()); round += 1) {
      // A turn in memory is over before Redis has taken as much.
      for (let i = 0; i < 1000; i += 1) await a.cache.set(`${round}:${i}`, 'x'.repeat(1000));
    }
    expect(round).toBeLessThan(200);
    // Nothing was thrown away for it.
    expect(counter('epochs')).toBe(epochs);
    expect(await a.cache.lookup('k')).toMatchObject({ status: 'hit', value: 'first' });
    await eventually(() => expect(a.cache.stats().journal).toBe(0));
  });

  it.each(['set', 'delete', 'get'] as const)('a loop of %s leaves the event loop its turns', async (operation) => {
    await using a = await startInstance();
    a.lose();
    let turns = 0;
    let isOver = false;
    const count = (): void => {
      turns += 1;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    for (let i = 0; i < 20_000; i += 1) await a.cache[operation](`k${i}`, i);
    isOver = true;
    expect(turns).toBeGreaterThanOrEqual(19);
  });

  it('fault 6: loses nothing that was written while Redis was killed and came back empty', async () => {
    await using a = await startInstance();
    await a.cache.set('k', 1);
    await server.kill();
    await expect(a.cache.set('k', 2)).resolves.toBeUndefined();
    a.lose();
    await Promise.all(HUNDRED.map((key) => a.cache.set(key, key)));
    expect(await a.cache.get('k')).toBe(2);
    await server.restart({ empty: true });
    await a.comeBack();
    await using fresh = await startInstance({ keyPrefix: a.keyPrefix });
    expect(await fresh.cache.get('k')).toBe(2);
    expect(await Promise.all(HUNDRED.map((key) => fresh.cache.get(key)))).toEqual(HUNDRED);
  });
});
