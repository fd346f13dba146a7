import { describe, expect, it } from 'vitest';

import { RedoubtError } from '../../../src/core/errors.ts';
import { encodeStored, encodeValue } from '../../../src/services/cache/entry.ts';
import { modeOf, startRig, unavailable } from './rig.ts';

describe('memory fallback of the cache', () => {
  it('tells a copy from before the outage, an own write, an own delete and an unknown key apart', async () => {
    await using rig = startRig();
    await rig.cache.set('copy', 'before');
    await rig.cache.set('deleted', 'before');
    await rig.clock.advance(100);
    rig.lose();
    await rig.cache.set('own', 'now');
    await rig.cache.delete('deleted');
    await rig.clock.advance(10);
    expect(await rig.cache.lookup('copy')).toEqual({ status: 'stale', value: 'before', source: 'memory', ageMs: 110 });
    expect(await rig.cache.lookup('own')).toEqual({ status: 'hit', value: 'now', source: 'memory', ageMs: 10 });
    expect(await rig.cache.lookup('deleted')).toEqual({ status: 'miss', source: 'memory' });
    expect(await rig.cache.lookup('never')).toEqual({
      status: 'unknown',
      source: 'memory',
      reason: 'ERR_REDIS_UNAVAILABLE',
    });
    expect(await rig.cache.get('never')).toBeUndefined();
  });

  it('serves a copy no longer than cache.grace after Redis was lost', async () => {
    await using rig = startRig({ grace: '10s' });
    await rig.cache.set('k', 1, { ttlMs: 600_000 });
    await rig.clock.advance(60_000);
    rig.lose();
    await rig.clock.advance(10_000);
    expect((await rig.cache.lookup('k')).status).toBe('stale');
    await rig.clock.advance(1);
    expect((await rig.cache.lookup('k')).status).toBe('unknown');
  });

  it('asks Redis for nothing in mode memory', async () => {
    await using rig = startRig();
    rig.lose();
    const { calls } = rig.redis;
    await rig.cache.set('k', 1);
    await rig.cache.get('k');
    await rig.cache.delete('k');
    await rig.cache.getOrSet('l', () => 1);
    await rig.cache.clear();
    expect(rig.redis.calls).toBe(calls);
  });

  it.each(['ERR_DEADLINE', 'ERR_REDIS_UNAVAILABLE', 'ERR_BACKPRESSURE', 'ERR_REDIS_REPLY'] as const)(
    'answers from memory at once when a call fails with %s, and says why',
    async (code) => {
      await using rig = startRig();
      await rig.cache.set('k', 1);
      rig.redis.fail = new RedoubtError(code);
      expect(await rig.cache.lookup('never')).toMatchObject({ status: 'unknown', reason: code });
      expect(await rig.cache.lookup('k')).toMatchObject({ status: 'stale', value: 1 });
      await expect(rig.cache.set('l', 1)).resolves.toBeUndefined();
      await expect(rig.cache.delete('k')).resolves.toBe(true);
      await expect(rig.cache.clear()).resolves.toBeUndefined();
    },
  );

  it('never lets the writer read its old value after a write that failed, though Redis stays in use', async () => {
    await using rig = startRig();
    await rig.cache.set('k', 'old');
    await rig.cache.set('gone', 'old');
    rig.redis.fail = unavailable();
    await rig.cache.set('k', 'new');
    await rig.cache.delete('gone');
    rig.redis.fail = undefined;
    expect(await rig.cache.lookup('k')).toMatchObject({ status: 'hit', value: 'new', source: 'memory' });
    expect(await rig.cache.lookup('gone')).toEqual({ status: 'miss', source: 'memory' });
    await rig.clock.advance(1000);
    expect(rig.cache.stats().journal).toBe(0);
    expect(await rig.cache.lookup('k')).toMatchObject({ status: 'hit', value: 'new', source: 'redis' });
    expect(await rig.cache.lookup('gone')).toEqual({ status: 'miss', source: 'redis' });
  });

  it('keeps trying in the background until Redis takes the write, and no longer', async () => {
    await using rig = startRig();
    rig.redis.fail = unavailable();
    await rig.cache.set('k', 1);
    await rig.clock.advance(10_000);
    expect(rig.cache.stats().journal).toBe(1);
    rig.redis.fail = undefined;
    await rig.clock.advance(1000);
    const { calls } = rig.redis;
    await rig.clock.advance(10_000);
    expect(rig.redis.calls).toBe(calls);
    expect(rig.redis.writes).toEqual(['k']);
  });

  it('does not keep a copy that was read before a delete and answered after it', async () => {
    await using rig = startRig();
    await rig.cache.set('k', 'old');
    const release = rig.redis.hold();
    const read = rig.cache.get('k');
    await rig.clock.settle();
    const deleted = rig.cache.delete('k');
    release();
    await Promise.all([read, deleted]);
    rig.lose();
    expect(await rig.cache.get('k')).toBeUndefined();
  });

  it('fault 11: does not raise the version of a write that nobody waits for any more', async () => {
    await using rig = startRig();
    await rig.cache.set('k', 'first');
    const [key = ''] = rig.redis.values.keys();
    const payload = encodeValue('ahead', 1000);
    const ahead = { payload, version: '19999999999999991234', writtenAt: 0, expiresAt: 0, tags: [] };
    rig.redis.values.set(key, Buffer.from(encodeStored(ahead) as string));
    const thaw = rig.redis.freeze();
    await rig.cache.set('k', 'timed out');
    thaw();
    await rig.clock.advance(1000);
    expect(rig.cache.stats().journal).toBe(0);
    expect(await rig.cache.get('k')).toBe('ahead');
  });

  it('remembers a deletion by another instance that it has seen', async () => {
    await using rig = startRig();
    await rig.cache.set('k', 'old');
    for (const key of rig.redis.values.keys()) rig.redis.values.delete(key);
    expect(await rig.cache.get('k')).toBeUndefined();
    rig.lose();
    expect((await rig.cache.lookup('k')).status).toBe('unknown');
  });
});

describe('the return of Redis', () => {
  it('replays the last write of each key, and no other', async () => {
    await using rig = startRig();
    await rig.cache.set('a', 0);
    rig.redis.writes.length = 0;
    rig.lose();
    await rig.cache.set('a', 1);
    await rig.cache.set('a', 2);
    await rig.cache.set('b', 1);
    await rig.cache.delete('b');
    expect(rig.cache.stats().journal).toBe(2);
    await rig.comeBack();
    expect(rig.redis.writes.toSorted()).toEqual(['a', 'b']);
    expect(await rig.cache.lookup('a')).toMatchObject({ status: 'hit', value: 2, source: 'redis' });
    expect(await rig.cache.lookup('b')).toEqual({ status: 'miss', source: 'redis' });
    expect(rig.cache.stats().journal).toBe(0);
  });

  it('waits for the journal no longer than it may, and replays the rest while Redis is used', async () => {
    await using rig = startRig({ replayWait: '0ms' });
    await rig.cache.set('a', 'old');
    await rig.cache.set('untouched', 1);
    rig.lose();
    await rig.cache.set('a', 'new');
    rig.redis.writes.length = 0;
    await rig.comeBack();
    expect(rig.redis.writes).toEqual([]);
    expect(await rig.cache.lookup('a')).toMatchObject({ status: 'hit', value: 'new', source: 'memory' });
    expect(await rig.cache.lookup('untouched')).toMatchObject({ status: 'hit', source: 'redis' });
    await rig.clock.advance(50);
    expect(rig.redis.writes).toEqual(['a']);
    expect(await rig.cache.lookup('a')).toMatchObject({ status: 'hit', value: 'new', source: 'redis' });
    expect(rig.cache.stats().journal).toBe(0);
  });

  it('puts a deletion where memory has evicted the value: the old one must not come back', async () => {
    await using rig = startRig({ maxEntries: 1 });
    await rig.cache.set('a', 'old');
    rig.lose();
    await rig.cache.set('a', 'new');
    await rig.cache.set('b', 1);
    expect((await rig.cache.lookup('a')).status).toBe('unknown');
    await rig.comeBack();
    expect(await rig.cache.lookup('a')).toEqual({ status: 'miss', source: 'redis' });
    expect(await rig.cache.get('b')).toBe(1);
  });

  it('gives replayed values only what is left of their lifetime', async () => {
    await using rig = startRig();
    rig.lose();
    await rig.cache.set('over', 1, { ttlMs: 1000 });
    await rig.cache.set('half', 1, { ttlMs: 4000 });
    await rig.clock.advance(2000);
    await rig.comeBack();
    expect(await rig.cache.lookup('over')).toEqual({ status: 'miss', source: 'redis' });
    rig.lose();
    expect((await rig.cache.lookup('half')).status).toBe('stale');
    await rig.clock.advance(2000);
    expect(await rig.cache.get('half')).toBeUndefined();
  });

  it('starts a new epoch when the journal overflowed: cold, but never wrong', async () => {
    await using rig = startRig({ journalMax: 3 });
    for (let n = 0; n < 6; n += 1) await rig.cache.set(`k${n}`, 'old');
    rig.lose();
    for (let n = 0; n < 5; n += 1) await rig.cache.set(`k${n}`, 'new');
    expect(rig.cache.stats().journal).toBe(3);
    expect(rig.cache.report().notice).toContain('cold');
    expect(await rig.cache.get('k0')).toBe('new');
    await rig.comeBack();
    const values = await Promise.all(Array.from({ length: 6 }, (_, n) => rig.cache.get(`k${n}`)));
    expect(values).toEqual([undefined, undefined, 'new', 'new', 'new', undefined]);
  });

  it('carries a clear() over: what was before is gone, what came after is there', async () => {
    await using rig = startRig();
    await rig.cache.set('before', 1);
    rig.lose();
    await rig.cache.set('during', 1);
    await rig.cache.clear();
    expect(await rig.cache.lookup('before')).toEqual({ status: 'miss', source: 'memory' });
    await rig.cache.set('after', 1);
    await rig.comeBack();
    expect(await rig.cache.get('before')).toBeUndefined();
    expect(await rig.cache.get('during')).toBeUndefined();
    expect(await rig.cache.get('after')).toBe(1);
  });

  it('fault 34: starts a new epoch when Redis was restarted from an old snapshot', async () => {
    await using rig = startRig();
    await rig.cache.set('k', 'old');
    const snapshot = new Map(rig.redis.values);
    await rig.cache.delete('k');
    rig.redis.restart('b2', { empty: false });
    for (const [key, value] of snapshot) rig.redis.values.set(key, value);
    expect(await rig.cache.get('k')).toBeUndefined();
  });

  it('fault 34: brings the writes of the outage to a Redis that came back empty', async () => {
    await using rig = startRig();
    await rig.cache.set('k', 1);
    rig.lose();
    await rig.cache.set('k', 2);
    rig.redis.restart('b2', { empty: true });
    await rig.comeBack();
    expect(await rig.cache.lookup('k')).toMatchObject({ status: 'hit', value: 2, source: 'redis' });
  });

  it('rejects and keeps the journal when Redis fails again meanwhile, or when it is told to stop', async () => {
    await using rig = startRig();
    rig.lose();
    await rig.cache.set('k', 1);
    const { signal } = new AbortController();
    await expect(rig.cache.reconcile('redis', signal)).rejects.toMatchObject({ code: 'ERR_REDIS_UNAVAILABLE' });
    const stop = AbortSignal.abort(new Error('stop'));
    await expect(rig.cache.reconcile('redis', stop)).rejects.toThrow('stop');
    expect(rig.cache.stats().journal).toBe(1);
    expect(await rig.cache.get('k')).toBe(1);
  });

  it('reports its backend, what is preferred, and one sentence while it is less than that', async () => {
    await using rig = startRig();
    await rig.redis.hear();
    expect(rig.cache.report()).toMatchObject({ backend: 'redis', preferred: 'redis', scope: 'fleet' });
    expect(rig.cache.report()).not.toHaveProperty('notice');
    rig.lose();
    await rig.cache.set('k', 1);
    const report = rig.cache.report();
    expect(report).toMatchObject({
      backend: 'memory',
      preferred: 'redis',
      scope: 'instance',
      counters: { journal: 1 },
    });
    expect(report.notice).toMatch(/memory/);
    expect(Object.values(report.counters).every(Number.isFinite)).toBe(true);
    rig.cache.applyMode(modeOf('memory'));
  });
});
