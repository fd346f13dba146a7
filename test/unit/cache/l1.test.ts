import { describe, expect, it } from 'vitest';

import { encodeStored, encodeValue } from '../../../src/services/cache/entry.ts';
import { startRig } from './rig.ts';

/** A rig that hears of changes. */
async function startHearing(cacheConfig: object = {}) {
  const rig = startRig(cacheConfig);
  await rig.redis.hear();
  // The first call greets, by which it is known that requests and reports come from one server.
  await rig.cache.get('warm-up');
  await rig.clock.advance(60);
  return rig;
}

type Rig = Awaited<ReturnType<typeof startHearing>>;

/** What another instance's write does to Redis, without its report. */
function writeElsewhere({ redis }: Rig, key: string, value: unknown): string {
  const name = [...redis.values.keys()].find((known) => known.endsWith(`:${key}`)) ?? '';
  const old = redis.values.get(name)?.toString('latin1', 2, 22) ?? '';
  const version = String(BigInt(old) + 10_000n).padStart(20, '0');
  const times = { writtenAt: 1_800_000_000_000, expiresAt: 1_900_000_000_000 };
  redis.values.set(
    name,
    Buffer.from(encodeStored({ payload: encodeValue(value, 1000), version, tags: [], ...times }) as string),
  );
  return name;
}

describe('memory in front of Redis', () => {
  it('answers a read again without asking Redis', async () => {
    await using rig = await startHearing();
    await rig.cache.set('k', { n: 1 });
    const { calls } = rig.redis;
    expect(await rig.cache.get('k')).toEqual({ n: 1 });
    expect(await rig.cache.lookup('k')).toMatchObject({ status: 'hit', value: { n: 1 }, source: 'l1' });
    expect(await rig.cache.has('k')).toBe(true);
    expect(await rig.cache.getOrSet('k', () => 2)).toEqual({ n: 1 });
    expect(rig.redis.calls).toBe(calls);
    expect(rig.cache.stats()).toMatchObject({ l1Hits: 3, redisHits: 0, memoryHits: 0 });
  });

  it('drops a key that another instance has changed', async () => {
    await using rig = await startHearing();
    await rig.cache.set('k', 'old');
    await rig.clock.advance(10);
    rig.redis.report([writeElsewhere(rig, 'k', 'new')]);
    expect(await rig.cache.lookup('k')).toMatchObject({ value: 'new', source: 'redis' });
    expect(await rig.cache.lookup('k')).toMatchObject({ value: 'new', source: 'l1' });
  });

  it('keeps its own write though Redis reports it', async () => {
    await using rig = await startHearing();
    for (let n = 0; n < 3; n += 1) {
      await rig.cache.set('k', n);
      await rig.clock.advance(20);
      expect(await rig.cache.lookup('k')).toMatchObject({ value: n, source: 'l1' });
    }
  });

  it('asks Redis nothing about a report of its own writes alone', async () => {
    await using rig = await startHearing();
    const { calls } = rig.redis;
    for (let n = 0; n < 3; n += 1) {
      // The report comes before the answer, and after it.
      const late = n === 2 ? rig.redis.deafen() : undefined;
      await rig.cache.set('k', n);
      late?.();
      await rig.clock.advance(20);
    }
    expect(rig.redis.calls).toBe(calls + 3);
    expect(await rig.cache.lookup('k')).toMatchObject({ value: 2, source: 'l1' });
  });

  it.each(['before', 'after'])(
    "finds out that its own write's report was another's as well, %s the answer",
    async (when) => {
      await using rig = await startHearing();
      const late = rig.redis.deafen();
      const release = rig.redis.hold();
      const set = rig.cache.set('k', 'mine');
      await rig.clock.settle();
      // In the same turn of Redis' event loop, so there is one report for both.
      writeElsewhere(rig, 'k', 'theirs');
      const report = (): void => late([`${rig.config.redis.keyPrefix}c:by:another`]);
      if (when === 'before') report();
      release();
      await set;
      if (when === 'after') report();
      expect(await rig.cache.get('k')).toBe('mine');
      await rig.clock.advance(10);
      expect(await rig.cache.lookup('k')).toMatchObject({ value: 'theirs', source: 'redis' });
    },
  );

  it('finds out that somebody else deleted a key in a turn in which this instance wrote others', async () => {
    await using rig = await startHearing();
    await rig.cache.set('k', 'mine');
    await rig.clock.advance(20);
    const late = rig.redis.deafen();
    await rig.cache.set('l', 1);
    const name = [...rig.redis.values.keys()].find((known) => known.endsWith(':k')) ?? '';
    rig.redis.values.delete(name);
    late([name]);
    await rig.clock.advance(10);
    expect(await rig.cache.lookup('k')).toMatchObject({ status: 'miss', source: 'redis' });
    expect(await rig.cache.lookup('l')).toMatchObject({ value: 1, source: 'l1' });
  });

  it('does not keep what was read while the key changed', async () => {
    await using rig = await startHearing();
    await rig.cache.set('k', 'old');
    await rig.clock.advance(10);
    rig.redis.breakHearing();
    await rig.redis.hear();
    await rig.clock.advance(60);
    const release = rig.redis.hold();
    const read = rig.cache.get('k');
    await rig.clock.settle();
    rig.redis.report([writeElsewhere(rig, 'k', 'new')]);
    release();
    expect(await read).toBe('old');
    expect(await rig.cache.get('k')).toBe('new');
  });

  it('does not let later readers join a read from before the change', async () => {
    await using rig = await startHearing();
    await rig.cache.set('k', 'old');
    rig.redis.report(null);
    const release = rig.redis.hold();
    const before = rig.cache.get('k');
    await rig.clock.settle();
    rig.redis.report([writeElsewhere(rig, 'k', 'new')]);
    const after = rig.cache.get('k');
    release();
    expect(await Promise.all([before, after])).toEqual(['old', 'new']);
  });

  it('fault 48: answers nothing any more a lease after its last sign of life', async () => {
    await using rig = await startHearing({ lease: '200ms' });
    await rig.cache.set('k', 'old');
    await rig.clock.advance(20);
    const late = rig.redis.deafen();
    writeElsewhere(rig, 'k', 'new');
    expect(await rig.cache.get('k')).toBe('old');
    await rig.clock.advance(260);
    expect(await rig.cache.lookup('k')).toMatchObject({ value: 'new', source: 'redis' });
    late();
  });

  it('drops everything when the connection breaks or Redis is flushed, and goes on when it hears again', async () => {
    await using rig = await startHearing();
    for (const lose of [() => rig.redis.breakHearing(), () => rig.redis.report(null)]) {
      await rig.cache.set('k', 1);
      await rig.clock.advance(20);
      lose();
      expect(await rig.cache.lookup('k')).toMatchObject({ source: 'redis' });
      await rig.redis.hear();
      await rig.clock.advance(60);
      await rig.cache.get('k');
      expect(await rig.cache.lookup('k')).toMatchObject({ source: 'l1' });
    }
  });

  it('believes no reports of a server that the requests do not go to', async () => {
    await using rig = await startHearing();
    await rig.cache.set('k', 1);
    // Requests have failed over; the other connection still hangs on the old master.
    const { runId } = rig.redis;
    rig.redis.restart('b2', { empty: false });
    rig.redis.runId = runId;
    await rig.redis.hear();
    rig.redis.runId = 'b2';
    await rig.cache.set('k', 2);
    await rig.clock.advance(100);
    expect(await rig.cache.lookup('k')).toMatchObject({ value: 2, source: 'redis' });
    expect(await rig.cache.lookup('k')).toMatchObject({ value: 2, source: 'redis' });
  });

  it('reads many keys of one tick with few calls, and one key for all who ask', async () => {
    await using rig = await startHearing();
    for (const key of ['a', 'b', 'c']) await rig.cache.set(key, key);
    rig.redis.report(null);
    const { calls } = rig.redis;
    const keys = ['a', 'b', 'c', 'a', 'none', 'b'];
    expect(await Promise.all(keys.map((key) => rig.cache.get(key)))).toEqual(['a', 'b', 'c', 'a', undefined, 'b']);
    // a, then b and c, then the one that is left.
    expect(rig.redis.calls).toBe(calls + 3);
  });

  it('writes many keys of one tick with few calls, in their order', async () => {
    await using rig = await startHearing();
    const { calls } = rig.redis;
    const writes = [rig.cache.set('a', 1), rig.cache.set('b', 1), rig.cache.set('a', 2), rig.cache.delete('b')];
    await Promise.all(writes);
    expect(rig.redis.calls).toBe(calls + 3);
    expect([await rig.cache.get('a'), await rig.cache.get('b')]).toEqual([2, undefined]);
  });
});

describe('a call without an answer in time', () => {
  it('keeps every other call from waiting, until Redis answers in time again', async () => {
    await using rig = await startHearing();
    await rig.cache.set('k', 'old');
    const thaw = rig.redis.freeze();
    await rig.cache.get('other');
    const { calls } = rig.redis;
    await rig.cache.set('k', 'new');
    expect(await rig.cache.lookup('k')).toMatchObject({ status: 'hit', value: 'new', source: 'memory' });
    await rig.cache.delete('gone');
    expect(rig.redis.calls).toBe(calls);
    thaw();
    await rig.clock.advance(2000);
    expect(await rig.cache.lookup('k')).toMatchObject({ value: 'new', source: 'redis' });
    expect(rig.cache.stats().journal).toBe(0);
  });

  it('answers those who wait with it', async () => {
    await using rig = await startHearing();
    const release = rig.redis.hold();
    const waiting = rig.cache.lookup('waits');
    await rig.clock.settle();
    const thaw = rig.redis.freeze();
    await rig.cache.lookup('misses its deadline');
    expect(await waiting).toMatchObject({ status: 'unknown' });
    thaw();
    release();
  });
});
