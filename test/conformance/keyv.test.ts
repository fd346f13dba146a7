import { setTimeout as delay } from 'node:timers/promises';

import { Keyv as Keyv6 } from 'keyv';
import Keyv4 from 'keyv4';
import { Keyv as Keyv5 } from 'keyv5';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type KeyvStore, createKeyvStore } from '../../src/services/cache/keyv.ts';
import type { CacheSpace } from '../../src/services/cache/types.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';
import { CacheRig } from './cache-rig.ts';

/** What the three majors have in common. */
interface AnyKeyv {
  get(key: string): Promise<unknown>;
  get(keys: string[]): Promise<unknown[]>;
  set(key: string, value: unknown, ttl?: number): Promise<boolean>;
  has(key: string): Promise<boolean>;
  delete(key: string | string[]): Promise<boolean | boolean[]>;
  clear(): Promise<void>;
  disconnect(): Promise<void> | undefined;
  iterator(): AsyncGenerator<[string, unknown]>;
  on(event: 'error', listener: (error: unknown) => void): unknown;
}

interface Options {
  readonly store: KeyvStore;
  readonly namespace?: string;
  readonly ttl?: number;
}

const MAKERS: Readonly<Record<4 | 5 | 6, (options: Options) => AnyKeyv>> = {
  4: (options) => new Keyv4(options) as unknown as AnyKeyv,
  5: (options) => new Keyv5(options) as unknown as AnyKeyv,
  6: (options) => new Keyv6(options) as unknown as AnyKeyv,
};
const MAJORS = [4, 5, 6] as const;

/** Others use the machine too: only a frozen Redis is to be late. */
const CACHE = { deadline: '250ms' };

let redis: TestRedis;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

const ways = MAJORS.flatMap((major) =>
  (['up', 'gone', 'frozen'] as const).flatMap((state) =>
    // Keyv 4 and 5 clear what was set last, so each has a store of its own.
    (major === 6 ? (['one createKeyvStore', 'two of them'] as const) : (['two of them'] as const)).map((stores) => ({
      major,
      state,
      stores,
    })),
  ),
);

/** Two namespaces of Keyv on one namespace of the cache, with Redis as it is in that state. */
async function start(major: 4 | 5 | 6, state: 'up' | 'gone' | 'frozen', stores: 'one createKeyvStore' | 'two of them') {
  const rig = await CacheRig.start({ redis, cache: CACHE });
  const space = rig.cache.namespace('keyv');
  const errors: unknown[] = [];
  const make = (namespace: string, store: KeyvStore): AnyKeyv => {
    const keyv = MAKERS[major]({ store, namespace });
    keyv.on('error', (error) => errors.push(error));
    return keyv;
  };
  const store = createKeyvStore(space);
  const a = make('a', store);
  const b = make('b', stores === 'one createKeyvStore' ? store : createKeyvStore(space));
  if (state === 'gone') rig.redisLost();
  if (state === 'frozen') rig.hop.mode = 'blackhole';
  return { rig, space, a, b, errors, make, [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
}

const entriesOf = async (keyv: AnyKeyv): Promise<unknown> => {
  const entries: [string, unknown][] = [];
  for await (const entry of keyv.iterator()) entries.push(entry);
  return Object.fromEntries(entries);
};

describe.each(ways)('two Keyv $major with namespaces on $stores, Redis $state', ({ major, state, stores }) => {
  it('see only their own keys', async () => {
    await using rig = await start(major, state, stores);
    const { a, b, errors } = rig;
    await a.set('k', 'of a');
    await a.set('only a', 1);
    await b.set('k', 'of b');
    expect([await a.get('k'), await b.get('k')]).toEqual(['of a', 'of b']);
    expect(await b.get(['k', 'only a'])).toEqual(['of b', undefined]);
    expect([await a.has('only a'), await b.has('only a')]).toEqual([true, false]);
    expect([await b.delete('only a'), await a.delete('k'), await a.delete('k')]).toEqual([false, true, false]);
    expect([await a.get('only a'), await b.get('k')]).toEqual([1, 'of b']);
    expect(errors).toEqual([]);
  });

  it('clear only their own keys, and are cleared before they are written again', async () => {
    await using rig = await start(major, state, stores);
    const { a, b, space, errors } = rig;
    await space.set('k', 'not of Keyv');
    for (const key of ['k', 'l']) {
      await a.set(key, 'of a');
      await b.set(key, 'of b');
    }
    expect(await a.clear()).toBeUndefined();
    expect([await a.get(['k', 'l']), await b.get(['k', 'l'])]).toEqual([
      [undefined, undefined],
      ['of b', 'of b'],
    ]);
    expect([await a.has('k'), await b.has('k'), await space.get('k')]).toEqual([false, true, 'not of Keyv']);
    await a.set('k', 'again');
    expect([await a.get('k'), await b.get('l')]).toEqual(['again', 'of b']);
    expect(errors).toEqual([]);
  });

  it('iterate over their own entries, without what has expired', async () => {
    await using rig = await start(major, state, stores);
    const { a, b, errors } = rig;
    const own = Object.fromEntries(Array.from({ length: 250 }, (_, i) => [`k:${i}`, { n: i }]));
    await Promise.all(Object.entries(own).map(([key, value]) => b.set(key, value)));
    await a.set('k:0', 'of a');
    await b.set('short', 1, 30);
    await delay(100);
    expect(await entriesOf(b)).toEqual(own);
    expect(await entriesOf(a)).toEqual({ 'k:0': 'of a' });
    expect([await a.get('k:0'), await b.get('k:0')]).toEqual(['of a', { n: 0 }]);
    expect(errors).toEqual([]);
  });

  it('get back what they set, until its ttl is over', async () => {
    await using rig = await start(major, state, stores);
    const { a, errors } = rig;
    const value = { n: 1.5, list: ['ü', null, true], bytes: Buffer.from([0, 255]) };
    expect(await a.set('k', value, 60_000)).toBe(true);
    expect(await a.get('k')).toEqual(value);
    for (const plain of ['text', 0, false, null, '', "'"]) {
      await a.set('plain', plain);
      expect(await a.get('plain')).toEqual(plain);
    }
    await a.set('short', 1, 40);
    await delay(50);
    expect([await a.get('short'), await a.has('short'), await a.has('k')]).toEqual([undefined, false, true]);
    await a.disconnect();
    expect(await a.get('k')).toEqual(value);
    expect(errors).toEqual([]);
  });
});

describe.each(MAJORS)('Keyv %i through an outage', (major) => {
  it.each(['gone', 'frozen'] as const)('stays cleared when a Redis that was %s is back', async (state) => {
    await using rig = await start(major, 'up', major === 6 ? 'one createKeyvStore' : 'two of them');
    const { a, b } = rig;
    const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
    await Promise.all(keys.flatMap((key) => [a.set(key, 'of a'), b.set(key, 'of b')]));
    if (state === 'gone') rig.rig.redisLost();
    else rig.rig.hop.mode = 'blackhole';
    await a.clear();
    await a.set('k0', 'during');
    expect(await a.get(keys)).toEqual(['during', ...keys.slice(1).map(() => undefined)]);
    if (state === 'frozen') {
      rig.rig.redisLost();
      rig.rig.hop.mode = 'pass';
    }
    await rig.rig.redisBack();
    expect(await a.get(keys)).toEqual(['during', ...keys.slice(1).map(() => undefined)]);
    expect(await b.get(keys)).toEqual(keys.map(() => 'of b'));
    await using fresh = await CacheRig.start({ redis, cache: CACHE, keyPrefix: rig.rig.keyPrefix });
    const elsewhere = rig.make('a', createKeyvStore(fresh.cache.namespace('keyv')));
    expect(await elsewhere.get(keys)).toEqual(['during', ...keys.slice(1).map(() => undefined)]);
    expect(await entriesOf(elsewhere)).toEqual({ k0: 'during' });
  });
});

describe.each([4, 5] as const)('two Keyv %i with namespaces on one store', (major) => {
  it('keep their keys apart, and clear nothing where nobody can tell whose', async () => {
    await using rig = await CacheRig.start({ redis, cache: CACHE });
    const store = createKeyvStore(rig.cache.namespace('keyv'));
    const errors: unknown[] = [];
    const [a, b] = ['a', 'b'].map((namespace) => MAKERS[major]({ store, namespace })) as [AnyKeyv, AnyKeyv];
    for (const keyv of [a, b]) keyv.on('error', (error) => errors.push(error));
    await a.set('k', 'of a');
    await b.set('k', 'of b');
    await a.clear().catch((error: unknown) => errors.push(error));
    expect(errors).toMatchObject([{ code: 'ERR_CACHE_VALUE', details: { option: 'namespace' } }]);
    expect([await a.get('k'), await b.get('k')]).toEqual(['of a', 'of b']);
  });
});

describe('a store for Keyv', () => {
  it('clears a namespace of Keyv 6 by one write', async () => {
    await using rig = await start(6, 'up', 'one createKeyvStore');
    await Promise.all(Array.from({ length: 300 }, (_, i) => rig.a.set(`k${i}`, i)));
    const { sets, deletes } = rig.rig.cache.stats();
    await rig.a.clear();
    expect([rig.rig.cache.stats().sets - sets, rig.rig.cache.stats().deletes - deletes]).toEqual([1, 0]);
    expect(await entriesOf(rig.a)).toEqual({});
  });

  it('clears no more than the namespace where one begins like another', async () => {
    await using rig = await start(6, 'up', 'one createKeyvStore');
    const store = createKeyvStore(rig.space);
    const [user, users] = ['user', 'users'].map((namespace) => MAKERS[6]({ store, namespace })) as [AnyKeyv, AnyKeyv];
    await user.set('::1', 1);
    await users.set('::1', 2);
    await user.clear();
    expect([await user.get('::1'), await users.get('::1')]).toEqual([undefined, 2]);
    expect(await entriesOf(users)).toEqual({ '::1': 2 });
  });

  it('puts the namespace before the keys where Keyv 5 is told not to', async () => {
    await using rig = await start(5, 'up', 'two of them');
    const make = (namespace: string) =>
      new Keyv5({ store: createKeyvStore(rig.space), namespace, useKeyPrefix: false }) as unknown as AnyKeyv;
    const [a, b] = [make('a'), make('b')];
    await a.set('k', 1);
    await b.set('k', 2);
    expect([await a.get('k'), await entriesOf(b)]).toEqual([1, { k: 2 }]);
    await a.clear();
    expect([await a.get('k'), await b.get('k')]).toEqual([undefined, 2]);
  });

  it('says of many which were stored and which were there', async () => {
    await using rig = await start(6, 'up', 'two of them');
    const a = rig.a as unknown as Keyv6;
    const entries = [
      { key: 'k', value: 'small' },
      { key: 'large', value: 'x'.repeat(1_048_577) },
    ];
    expect(await a.setMany(entries)).toEqual([true, false]);
    expect(rig.errors).toMatchObject([{ code: 'ERR_CACHE_VALUE' }]);
    expect([await a.hasMany(['k', 'large']), await a.deleteMany(['k', 'large'])]).toEqual([
      [true, false],
      [true, false],
    ]);
    const five = MAKERS[5]({ store: createKeyvStore(rig.space) });
    await five.set('k', 1);
    expect([await five.delete(['k', 'none']), await five.delete(['none'])]).toEqual([false, false]);
  });

  it('lets a ttl of years end after 30 days, and takes one of 0 for none', async () => {
    await using rig = await start(6, 'up', 'one createKeyvStore');
    await rig.a.set('years', 1, 10 * 365 * 86_400_000);
    await createKeyvStore(rig.space).set('none', 1, 0);
    await createKeyvStore(rig.space).set('over', 1, -1);
    expect([await rig.a.get('years'), await rig.space.get('none'), await rig.space.get('over')]).toEqual([
      1,
      1,
      undefined,
    ]);
    expect(rig.errors).toEqual([]);
  });

  it('is refused for what is not the cache', () => {
    const space = new Map() as unknown as CacheSpace;
    expect(() => createKeyvStore(space)).toThrow('space must be redoubt.cache or one of its namespaces, found object');
  });
});
