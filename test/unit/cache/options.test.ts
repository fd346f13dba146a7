import { describe, expect, it } from 'vitest';

import type { CacheSetOptions, GetOrSetOptions, NamespaceOptions } from '../../../src/services/cache/types.ts';
import { startRig } from './rig.ts';

const refused = (details: object) => ({ code: 'ERR_CACHE_VALUE', details });
const thrownBy = (call: () => unknown): unknown => {
  try {
    return call();
  } catch (error) {
    return error;
  }
};

describe('an option that the cache does not know', () => {
  it('is refused by name, with the one that was meant: { ttl: 60 }', async () => {
    await using rig = startRig();
    const options = { ttl: 60 } as CacheSetOptions;
    const ttl = refused({ option: 'ttl', suggestion: 'ttlMs' });
    await expect(rig.cache.set('k', 1, options)).rejects.toMatchObject(ttl);
    await expect(rig.cache.set('k', 1, options)).rejects.toThrow('unknown option ttl (did you mean ttlMs?)');
    await expect(rig.cache.setMany([], options)).rejects.toMatchObject(ttl);
    await expect(rig.cache.getOrSet('k', () => 1, options)).rejects.toMatchObject(ttl);
    expect(thrownBy(() => rig.cache.namespace('n', options))).toMatchObject(ttl);
    await expect(rig.cache.namespace('n').set('k', 1, options)).rejects.toMatchObject(ttl);
    expect(await rig.cache.has('k')).toBe(false);
  });

  it.each([
    ['ttlSeconds', 'ttlMs'],
    ['TTLMS', 'ttlMs'],
    ['tag', 'tags'],
    ['grace', 'graceMs'],
    ['softTimeout', 'softTimeoutMs'],
    ['staleWhileRevalidate', 'staleWhileRevalidateMs'],
  ])('is told from what is near: %s is %s', async (option, suggestion) => {
    await using rig = startRig();
    const call = rig.cache.getOrSet('k', () => 1, { [option]: 1 } as GetOrSetOptions);
    await expect(call).rejects.toMatchObject(refused({ option, suggestion }));
  });

  it('is answered with those that there are, where none is near', async () => {
    await using rig = startRig();
    const call = rig.cache.set('k', 1, { compressed: true } as CacheSetOptions);
    await expect(call).rejects.toThrow('unknown option compressed (known are ttlMs, tags)');
  });

  it('is one not given where it is undefined', async () => {
    await using rig = startRig();
    const undefineds = { ttlMs: undefined, tags: undefined, ttl: undefined } as unknown as CacheSetOptions;
    await rig.cache.set('k', 1, undefineds);
    await rig.cache.setMany([['l', 2]], undefined);
    expect(await rig.cache.getOrSet('m', () => 3, { ...undefineds, jitter: undefined } as GetOrSetOptions)).toBe(3);
    expect(await rig.cache.getMany(['k', 'l'])).toEqual([1, 2]);
  });
});

describe('an option that cannot be used', () => {
  it.each([
    ['ttlMs', 'x', 'string'],
    ['ttlMs', Number.NaN, 'NaN'],
    ['ttlMs', -1, '-1'],
    ['graceMs', -1, '-1'],
    ['staleWhileRevalidateMs', '1s', 'string'],
    ['eager', 80, '80'],
    ['jitter', -0.1, '-0.1'],
    ['softTimeoutMs', 'fast', 'string'],
    ['hardTimeoutMs', -5, '-5'],
    ['negativeTtlMs', null, 'null'],
    ['lockMs', Number.NaN, 'NaN'],
    ['tags', 'users', 'string'],
  ])('is refused with what was found: %s %j', async (option, given, found) => {
    await using rig = startRig();
    const call = rig.cache.getOrSet('k', () => 1, { [option]: given } as GetOrSetOptions);
    await expect(call).rejects.toMatchObject(refused({ option, found }));
  });

  it.each([
    ['ttlMs', 0, '0'],
    ['maxStaleMs', '30s', 'string'],
    ['maxEntries', 0, '0'],
    ['maxBytes', 1.5, '1.5'],
    ['jitter', 2, '2'],
    ['serializer', JSON, 'object'],
  ])('is refused by namespace(): %s %j', async (option, given, found) => {
    await using rig = startRig();
    const make = () => rig.cache.namespace('n', { [option]: given } as NamespaceOptions);
    expect(thrownBy(make)).toMatchObject(refused({ option, found }));
    // The name is not taken by what was refused.
    await rig.cache.namespace('n', { ttlMs: 1 }).set('k', 1);
  });

  it.each([60, null, 'ttl', [60]])('is refused where there are no options but %j', async (options) => {
    await using rig = startRig();
    const given = options as unknown as CacheSetOptions;
    await expect(rig.cache.set('k', 1, given)).rejects.toMatchObject(refused({ option: 'options' }));
    await expect(rig.cache.getOrSet('k', () => 1, given)).rejects.toMatchObject(refused({ option: 'options' }));
  });

  it('is a load that is no function, and entries that are no list', async () => {
    await using rig = startRig();
    const load = 'value' as unknown as () => string;
    await expect(rig.cache.getOrSet('k', load)).rejects.toMatchObject(refused({ option: 'load', found: 'string' }));
    const entries = { k: 1 } as unknown as Map<string, unknown>;
    await expect(rig.cache.setMany(entries)).rejects.toMatchObject(refused({ option: 'entries', found: 'object' }));
  });
});
