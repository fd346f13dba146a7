import { describe, expect, it } from 'vitest';

import { startRig } from './rig.ts';

const never = (): Promise<never> => new Promise(() => undefined);

function startLocal(cacheConfig: object = {}) {
  const rig = startRig(cacheConfig);
  rig.lose();
  return rig;
}

describe('getOrSet with options', () => {
  it('serves a value past its lifetime at once, and loads a new one behind it', async () => {
    await using rig = startLocal();
    const options = { ttlMs: 1000, staleWhileRevalidateMs: 5000, graceMs: 0 };
    await rig.cache.getOrSet('k', () => 'old', options);
    await rig.clock.advance(1500);
    expect(await rig.cache.getOrSet('k', () => 'new', options)).toBe('old');
    await rig.clock.settle();
    expect(await rig.cache.get('k')).toBe('new');
    await rig.clock.advance(6001);
    expect(await rig.cache.getOrSet('k', () => 'newest', options)).toBe('newest');
  });

  it('loads anew on a hit when the chosen share of the lifetime is over', async () => {
    await using rig = startLocal();
    let loads = 0;
    const get = (): Promise<number> => rig.cache.getOrSet('k', () => (loads += 1), { ttlMs: 1000, eager: 0.8 });
    await get();
    await rig.clock.advance(799);
    expect(await get()).toBe(1);
    expect(loads).toBe(1);
    await rig.clock.advance(1);
    expect(await get()).toBe(1);
    await rig.clock.settle();
    expect(await get()).toBe(2);
    expect(loads).toBe(2);
  });

  it('shortens lifetimes by the jitter', async () => {
    await using rig = startLocal();
    await rig.cache.getOrSet('k', () => 1, { ttlMs: 1000, jitter: 0.5 });
    // The rig's random number is always 0.5.
    await rig.clock.advance(749);
    expect(await rig.cache.has('k')).toBe(true);
    await rig.clock.advance(1);
    expect(await rig.cache.has('k')).toBe(false);
  });

  it('falls back on the last value at the soft timeout, and keeps what comes later', async () => {
    await using rig = startLocal();
    await rig.cache.getOrSet('k', () => 'old', { ttlMs: 1000, graceMs: 60_000 });
    await rig.clock.advance(1000);
    const { promise, resolve } = Promise.withResolvers<string>();
    const slow = rig.cache.getOrSet('k', () => promise, { graceMs: 60_000, softTimeoutMs: 100 });
    await rig.clock.advance(100);
    expect(await slow).toBe('old');
    resolve('new');
    await rig.clock.settle();
    expect(await rig.cache.get('k')).toBe('new');
  });

  it('refuses with a code at the hard timeout, and loads again the next time', async () => {
    await using rig = startLocal();
    const call = rig.cache.getOrSet('k', never, { hardTimeoutMs: 200 });
    const [answer] = await Promise.all([call.catch((error: unknown) => error), rig.clock.advance(200)]);
    expect(answer).toMatchObject({ code: 'ERR_CACHE_LOAD_TIMEOUT' });
    expect(await rig.cache.getOrSet('k', () => 'new')).toBe('new');
  });

  it('runs no more loaders than it may: others are served stale, or refused with a code', async () => {
    await using rig = startLocal({ maxLoads: 2 });
    await rig.cache.getOrSet('old', () => 'old', { ttlMs: 1000, graceMs: 60_000 });
    await rig.clock.advance(1000);
    const gates = [Promise.withResolvers<number>(), Promise.withResolvers<number>()];
    const running = gates.map(({ promise }, n) => rig.cache.getOrSet(`k${n}`, () => promise));
    await rig.clock.settle();
    await expect(rig.cache.getOrSet('k2', () => 2)).rejects.toMatchObject({
      code: 'ERR_BACKPRESSURE',
      details: { bound: 'cache.maxLoads' },
    });
    expect(await rig.cache.getOrSet('old', () => 'new', { graceMs: 60_000 })).toBe('old');
    for (const [n, { resolve }] of gates.entries()) resolve(n);
    expect(await Promise.all(running)).toEqual([0, 1]);
    expect(await rig.cache.getOrSet('k2', () => 2)).toBe(2);
  });

  it('remembers for a while that there is none', async () => {
    await using rig = startLocal();
    let loads = 0;
    const get = (result: undefined | null) =>
      rig.cache.getOrSet(
        `k${result}`,
        () => {
          loads += 1;
          return result;
        },
        { negativeTtlMs: 500 },
      );
    for (const result of [undefined, null]) {
      loads = 0;
      expect([await get(result), await get(result)]).toEqual([result, result]);
      expect(loads).toBe(1);
      await rig.clock.advance(500);
      await get(result);
      expect(loads).toBe(2);
    }
  });

  it('waits for the instance that loads the key already', async () => {
    await using rig = startRig();
    let loads = 0;
    await rig.cache.get('warm-up');
    rig.redis.locks.set('redoubt:l:k', 'another instance');
    const call = rig.cache.getOrSet('k', () => (loads += 1));
    await rig.clock.advance(200);
    expect(loads).toBe(0);
    rig.redis.locks.clear();
    await rig.clock.advance(60);
    expect([await call, loads]).toEqual([1, 1]);
    await rig.clock.settle();
    expect(rig.redis.locks.size).toBe(0);
  });

  it('waits no longer than the lock may be held', async () => {
    await using rig = startRig();
    await rig.cache.get('warm-up');
    rig.redis.locks.set('redoubt:l:k', 'one that died');
    const call = rig.cache.getOrSet('k', () => 'mine', { lockMs: 300 });
    await rig.clock.advance(400);
    expect(await call).toBe('mine');
  });
});
