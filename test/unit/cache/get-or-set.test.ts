import { describe, expect, it } from 'vitest';

import { RedoubtError } from '../../../src/core/errors.ts';
import { startRig } from './rig.ts';

const loadList = async (): Promise<{ list: number[] }> => ({ list: [1] });
const fail = (): Promise<string> => Promise.reject(new Error('down'));

describe.each(['redis', 'memory'] as const)('getOrSet in mode %s', (mode) => {
  const start = (config: object = {}) => {
    const rig = startRig(config);
    if (mode === 'memory') rig.lose();
    return rig;
  };

  it('fault 37: loads once for 1,000 concurrent callers of a cold key', async () => {
    await using rig = start();
    let loads = 0;
    const load = (): { n: number } => ({ n: (loads += 1) });
    const values = await Promise.all(Array.from({ length: 1000 }, () => rig.cache.getOrSet('cold', load)));
    expect(loads).toBe(1);
    expect(values.every(({ n }) => n === 1)).toBe(true);
    expect(rig.cache.stats().loads).toBe(1);
  });

  it('gives each caller a copy of its own where values are copied', async () => {
    await using rig = start({ values: 'copied' });
    const [a, b] = await Promise.all([rig.cache.getOrSet('k', loadList), rig.cache.getOrSet('k', loadList)]);
    a.list.push(2);
    expect(b).toEqual({ list: [1] });
    expect(await rig.cache.get('k')).toEqual({ list: [1] });
  });

  it("rejects with the loader's own error, and asks again the next time", async () => {
    await using rig = start();
    const error = new Error('database', { cause: new Error('socket') });
    await expect(rig.cache.getOrSet('k', () => Promise.reject(error))).rejects.toBe(error);
    expect(await rig.cache.getOrSet('k', () => 2)).toBe(2);
    expect(rig.cache.stats()).toMatchObject({ loads: 2, loadFailures: 1 });
  });

  it('serves the last value within its grace while the loader fails, and not beyond', async () => {
    await using rig = start();
    const options = { ttlMs: 1000, graceMs: 5000 };
    await rig.cache.getOrSet('k', () => 'last', options);
    await rig.clock.advance(999);
    expect(await rig.cache.get('k')).toBe('last');
    await rig.clock.advance(1);
    // The fake Redis knows no lifetimes.
    rig.redis.values.clear();
    expect(await rig.cache.getOrSet('k', fail, options)).toBe('last');
    await rig.clock.advance(5000);
    await expect(rig.cache.getOrSet('k', fail, options)).rejects.toThrow('down');
  });

  it('does not store what was loaded while the key was deleted, nor lets later callers join', async () => {
    await using rig = start();
    const { promise, resolve } = Promise.withResolvers<string>();
    const first = rig.cache.getOrSet('k', () => promise);
    await rig.clock.settle();
    await rig.cache.delete('k');
    expect(await rig.cache.getOrSet('k', () => 'new')).toBe('new');
    resolve('old');
    expect(await first).toBe('old');
    expect(await rig.cache.get('k')).toBe('new');
  });

  it('hands on what cannot be cached, without caching it', async () => {
    await using rig = start();
    expect(await rig.cache.getOrSet('none', () => undefined)).toBeUndefined();
    expect(await rig.cache.getOrSet('big', () => 10n)).toBe(10n);
    expect(await rig.cache.has('none')).toBe(false);
    expect(rig.cache.stats().loadFailures).toBe(0);
  });
});

describe('getOrSet in an outage', () => {
  it('does not ask Redis a second time when the first try failed', async () => {
    await using rig = startRig();
    await rig.cache.get('warm');
    rig.redis.fail = new RedoubtError('ERR_DEADLINE');
    const { calls } = rig.redis;
    expect(await rig.cache.getOrSet('k', () => 1)).toBe(1);
    expect(rig.redis.calls).toBe(calls + 1);
    expect(rig.cache.stats().journal).toBe(1);
  });
});
