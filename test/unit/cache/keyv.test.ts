import { Keyv } from 'keyv';
import { describe, expect, it } from 'vitest';

import { createKeyvStore } from '../../../src/services/cache/keyv.ts';
import { startRig } from './rig.ts';

describe.each(['redis', 'memory'] as const)('the real Keyv on a namespace in mode %s', (mode) => {
  const start = () => {
    const rig = startRig();
    if (mode === 'memory') rig.lose();
    const keyv = new Keyv({ store: createKeyvStore(rig.cache.namespace('keyv')), namespace: 'app' });
    const errors: unknown[] = [];
    keyv.on('error', (error: unknown) => errors.push(error));
    return { ...rig, keyv, errors, [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
  };

  it('sets, gets, has and deletes', async () => {
    await using rig = start();
    const { keyv } = rig;
    const value = { n: 1, list: ['ü', null], bytes: Buffer.from([0, 255]) };
    expect(await keyv.set('k', value)).toBe(true);
    expect(await keyv.get('k')).toEqual(value);
    expect([await keyv.has('k'), await keyv.has('none')]).toEqual([true, false]);
    expect([await keyv.delete('k'), await keyv.delete('k')]).toEqual([true, false]);
    expect(await keyv.get('k')).toBeUndefined();
    expect(rig.errors).toEqual([]);
  });

  it('takes many at once', async () => {
    await using rig = start();
    const { keyv } = rig;
    await keyv.set('a', 1);
    await keyv.set('b', 2);
    expect(await keyv.get(['a', 'none', 'b'])).toEqual([1, undefined, 2]);
    await keyv.delete(['a', 'b']);
    expect(await keyv.get(['a', 'b'])).toEqual([undefined, undefined]);
    expect(rig.errors).toEqual([]);
  });

  it('clears its own namespace and no other', async () => {
    await using rig = start();
    await rig.cache.set('k', 'kept');
    await rig.keyv.set('k', 1);
    await rig.keyv.clear();
    expect(await rig.keyv.get('k')).toBeUndefined();
    expect(await rig.cache.get('k')).toBe('kept');
  });
});

describe('the real Keyv', () => {
  it('gives its ttl on to the cache', async () => {
    await using rig = startRig();
    rig.lose();
    const keyv = new Keyv({ store: createKeyvStore(rig.cache) });
    // Keyv itself goes by the date; the cache by the clock that it was given.
    await keyv.set('k', 1, 5000);
    await rig.clock.advance(4900);
    expect(await keyv.get('k')).toBe(1);
    await rig.clock.advance(200);
    expect(await keyv.get('k')).toBeUndefined();
  });
});
