import { describe, expect, it } from 'vitest';

import { startRig } from './rig.ts';

describe.each(['redis', 'memory'] as const)('many keys at once in mode %s', (mode) => {
  it('sets, gets and deletes them, in the order asked for', async () => {
    await using rig = startRig();
    await rig.cache.get('warm-up');
    if (mode === 'memory') rig.lose();
    const before = rig.redis.calls;
    await rig.cache.setMany([
      ['a', 1],
      ['b', { n: 2 }],
    ]);
    expect(await rig.cache.getMany(['b', 'none', 'a'])).toEqual([{ n: 2 }, undefined, 1]);
    expect(await rig.cache.deleteMany(['a', 'none', 'b'])).toBe(2);
    expect(await rig.cache.getMany(['a', 'b'])).toEqual([undefined, undefined]);
    expect(rig.redis.calls - before).toBe(mode === 'redis' ? 4 : 0);
  });
});

describe('a namespace', () => {
  it('holds no value for longer than its clear() is remembered', async () => {
    await using rig = startRig({ sweepEvery: '1d' });
    rig.lose();
    const days = 86_400_000;
    const users = rig.cache.namespace('users');
    for (const space of [rig.cache, users]) await space.set('k', 1, { ttlMs: 60 * days });
    await rig.clock.advance(30 * days - 1);
    expect(await users.get('k')).toBe(1);
    await rig.clock.advance(2);
    expect([await users.get('k'), await rig.cache.get('k')]).toEqual([undefined, 1]);
  });
});

describe.each(['redis', 'memory'] as const)('namespaces in mode %s', (mode) => {
  const start = () => {
    const rig = startRig();
    if (mode === 'memory') rig.lose();
    return rig;
  };

  it('keep the same key apart, also from the cache itself', async () => {
    await using rig = start();
    const users = rig.cache.namespace('users');
    const carts = rig.cache.namespace('carts');
    await rig.cache.set('1', 'plain');
    await users.set('1', 'user');
    await carts.set('1', 'cart');
    expect([await rig.cache.get('1'), await users.get('1'), await carts.get('1')]).toEqual(['plain', 'user', 'cart']);
    await users.delete('1');
    expect([await rig.cache.get('1'), await users.get('1'), await carts.get('1')]).toEqual([
      'plain',
      undefined,
      'cart',
    ]);
    expect(rig.cache.namespace('users')).toBe(users);
  });

  it('are cleared one by one, and all of them by the clear() of the cache', async () => {
    await using rig = start();
    const users = rig.cache.namespace('users');
    const carts = rig.cache.namespace('carts');
    for (const space of [rig.cache, users, carts]) await space.set('k', 1);
    await users.clear();
    expect([await rig.cache.get('k'), await users.get('k'), await carts.get('k')]).toEqual([1, undefined, 1]);
    await users.set('k', 2);
    expect(await users.get('k')).toBe(2);
    await rig.cache.clear();
    expect([await rig.cache.get('k'), await users.get('k'), await carts.get('k')]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('make every value void that carries a tag, and no other', async () => {
    await using rig = start();
    const users = rig.cache.namespace('users');
    await rig.cache.set('a', 1, { tags: ['t', 'u'] });
    await rig.cache.set('b', 1, { tags: ['u'] });
    await users.set('c', 1, { tags: ['t'] });
    await users.getOrSet('d', () => 1, { tags: ['t'] });
    await rig.cache.deleteByTag('t');
    expect(await rig.cache.getMany(['a', 'b'])).toEqual([undefined, 1]);
    expect(await users.getMany(['c', 'd'])).toEqual([undefined, undefined]);
    await rig.cache.set('a', 2, { tags: ['t'] });
    expect(await rig.cache.get('a')).toBe(2);
  });

  it('do not keep what was loaded while its tag was deleted', async () => {
    await using rig = start();
    const { promise, resolve } = Promise.withResolvers<string>();
    const loading = rig.cache.getOrSet('k', () => promise, { tags: ['t'] });
    await rig.clock.settle();
    await rig.cache.deleteByTag('t');
    resolve('old');
    expect(await loading).toBe('old');
    expect(await rig.cache.get('k')).toBeUndefined();
  });
});

describe('namespaces', () => {
  it('have lifetimes, bounds and a greatest staleness of their own', async () => {
    await using rig = startRig();
    const fresh = rig.cache.namespace('prices', { maxStaleMs: 0, ttlMs: 1000, maxEntries: 2 });
    await fresh.set('k', 1);
    await rig.cache.set('k', 1);
    rig.lose();
    expect((await fresh.lookup('k')).status).toBe('unknown');
    expect((await rig.cache.lookup('k')).status).toBe('stale');
    for (const key of ['a', 'b', 'c']) await fresh.set(key, 1);
    expect(await fresh.getMany(['a', 'b', 'c'])).toEqual([undefined, 1, 1]);
    await rig.clock.advance(1000);
    expect(await fresh.get('c')).toBeUndefined();
  });

  it('take a serializer of their own', async () => {
    await using rig = startRig();
    const serializer = {
      serialize: (value: unknown) => JSON.stringify([...(value as Set<number>)]),
      deserialize: (data: Buffer) => new Set(JSON.parse(data.toString()) as number[]),
    };
    const sets = rig.cache.namespace('sets', { serializer });
    await sets.set('k', new Set([1, 2]));
    expect(await sets.get('k')).toEqual(new Set([1, 2]));
    rig.lose();
    await sets.set('own', new Set([3]));
    await sets.get('own');
    await rig.comeBack();
    expect(await sets.lookup('own')).toMatchObject({ value: new Set([3]), source: 'redis' });
  });

  it('refuse keys that begin like names of their own', async () => {
    await using rig = startRig();
    await expect(rig.cache.set('\u0000n\u0000users\u00001', 1)).rejects.toMatchObject({ code: 'ERR_CACHE_KEY' });
    expect(() => rig.cache.namespace('a\u0000b')).toThrow(expect.objectContaining({ code: 'ERR_CACHE_KEY' }));
  });

  it('hold a deleted tag through an outage, and bring it to Redis', async () => {
    await using rig = startRig();
    await rig.cache.set('k', 'old', { tags: ['t'] });
    rig.lose();
    expect(await rig.cache.get('k')).toBe('old');
    await rig.cache.deleteByTag('t');
    expect(await rig.cache.get('k')).toBeUndefined();
    await rig.comeBack();
    expect(await rig.cache.lookup('k')).toEqual({ status: 'miss', source: 'redis' });
  });
});
