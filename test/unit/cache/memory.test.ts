import { describe, expect, it } from 'vitest';

import { modeOf, startRig } from './rig.ts';

describe('cache operations in memory', () => {
  it('TTL: a value is there until its lifetime ends, and not a millisecond longer', async () => {
    await using rig = startRig();
    rig.lose();
    await rig.cache.set('k', 1, { ttlMs: 1000 });
    await rig.clock.advance(999);
    expect(await rig.cache.get('k')).toBe(1);
    await rig.clock.advance(1);
    expect(await rig.cache.lookup('k')).toEqual({ status: 'miss', source: 'memory' });
  });

  it('TTL: a value without one lives for cache.ttl', async () => {
    await using rig = startRig({ ttl: '5s' });
    rig.lose();
    await rig.cache.set('k', 1);
    await rig.clock.advance(4999);
    expect(await rig.cache.has('k')).toBe(true);
    await rig.clock.advance(1);
    expect(await rig.cache.has('k')).toBe(false);
  });

  it('sweeps expired entries out, without anybody asking for them', async () => {
    await using rig = startRig({ sweepEvery: '10s' });
    rig.lose();
    await rig.cache.set('short', 1, { ttlMs: 1000 });
    await rig.cache.set('long', 1, { ttlMs: 60_000 });
    expect(rig.cache.stats().entries).toBe(2);
    await rig.clock.advance(10_000);
    expect(rig.cache.stats().entries).toBe(1);
  });

  it('holds at most cache.maxEntries, least recently used out first, and counts evictions', async () => {
    await using rig = startRig({ maxEntries: 2 });
    rig.lose();
    await rig.cache.set('a', 1);
    await rig.cache.set('b', 2);
    await rig.cache.get('a');
    await rig.cache.set('c', 3);
    expect(await rig.cache.get('a')).toBe(1);
    expect(await rig.cache.get('b')).toBeUndefined();
    expect(rig.cache.stats()).toMatchObject({ entries: 2, evictions: 1 });
  });

  it('holds at most cache.maxBytes of keys, values and what keeping them takes', async () => {
    await using rig = startRig({ maxBytes: '2kb' });
    rig.lose();
    for (let n = 0; n < 10; n += 1) await rig.cache.set(`k${n}`, Buffer.alloc(300));
    const { bytes, entries } = rig.cache.stats();
    expect(entries).toBe(3);
    expect(bytes).toBeGreaterThanOrEqual(entries * 302);
    expect(bytes).toBeLessThanOrEqual(2048);
  });

  it('shares one frozen object between all readers, and nobody can change it', async () => {
    await using rig = startRig();
    rig.lose();
    const given = { list: [{ n: 1 }] };
    await rig.cache.set('k', given);
    given.list.push({ n: 2 });
    const first = await rig.cache.get<typeof given>('k');
    expect(() => first?.list.push({ n: 3 })).toThrow(TypeError);
    expect(() => Object.assign(first!.list[0]!, { n: 3 })).toThrow(TypeError);
    expect(await rig.cache.get('k')).toBe(first);
    expect(first).toEqual({ list: [{ n: 1 }] });
  });

  it('keeps values isolated from what their givers and receivers do to them where they are copied', async () => {
    await using rig = startRig({ values: 'copied' });
    rig.lose();
    const given = { list: [1] };
    const bytes = Buffer.from('abc');
    await rig.cache.set('object', given);
    await rig.cache.set('bytes', bytes);
    given.list.push(2);
    bytes[0] = 0;
    (await rig.cache.get<{ list: number[] }>('object'))?.list.push(3);
    (await rig.cache.get<Buffer>('bytes'))?.fill(0);
    expect(await rig.cache.get('object')).toEqual({ list: [1] });
    expect(await rig.cache.get('bytes')).toEqual(Buffer.from('abc'));
  });

  it('is neither stale nor unknown, and keeps no journal, where memory is what is wanted', async () => {
    await using rig = startRig();
    rig.cache.applyMode(modeOf('memory', 'memory'));
    await rig.cache.set('k', 1);
    await rig.clock.advance(1000);
    expect(await rig.cache.lookup('k')).toEqual({ status: 'hit', value: 1, source: 'memory', ageMs: 1000 });
    expect(await rig.cache.lookup('none')).toEqual({ status: 'miss', source: 'memory' });
    expect(rig.cache.stats().journal).toBe(0);
    expect(rig.cache.report()).not.toHaveProperty('notice');
  });

  it('leaves no timer behind when it is closed, and takes no call', async () => {
    const rig = startRig();
    rig.redis.fail = new Error('broken');
    await rig.cache.set('k', 1);
    rig.redis.fail = undefined;
    await rig.cache.close(new AbortController().signal);
    expect(rig.clock.pending).toBe(0);
    expect(rig.redis.writes).toEqual(['k']);
    await expect(rig.cache.get('k')).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });
});

describe('cache checks', () => {
  const big = 'x'.repeat(2000);
  it.each([[''], [undefined], [42], [{}], ['x'.repeat(513)], ['ü'.repeat(257)], ['\uD800']])(
    'refuses the key %j',
    async (key) => {
      await using rig = startRig();
      for (const call of [
        () => rig.cache.get(key as string),
        () => rig.cache.set(key as string, 1),
        () => rig.cache.delete(key as string),
        () => rig.cache.has(key as string),
        () => rig.cache.getOrSet(key as string, () => 1),
      ]) {
        await expect(call()).rejects.toMatchObject({ code: 'ERR_CACHE_KEY' });
      }
      expect(rig.redis.calls).toBe(0);
    },
  );

  it('takes a key of just cache.maxKeyBytes', async () => {
    await using rig = startRig();
    await rig.cache.set('ü'.repeat(256), 1);
    expect(await rig.cache.get('ü'.repeat(256))).toBe(1);
  });

  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;
  it.each([
    ['undefined', undefined],
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['a BigInt', 1n],
    ['a cycle', cycle],
    ['too many bytes', big],
    ['too long a Buffer', Buffer.alloc(1025)],
  ])('refuses %s as a value', async (_name, value) => {
    await using rig = startRig({ maxValueBytes: '1kb' });
    await expect(rig.cache.set('k', value)).rejects.toMatchObject({ code: 'ERR_CACHE_VALUE' });
    expect(await rig.cache.has('k')).toBe(false);
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, '5s', null])(
    'refuses the ttlMs %j and names it',
    async (ttlMs) => {
      await using rig = startRig();
      const found = typeof ttlMs === 'number' ? String(ttlMs) : ttlMs === null ? 'null' : 'string';
      const refused = { code: 'ERR_CACHE_VALUE', details: { option: 'ttlMs', found } };
      await expect(rig.cache.set('k', 1, { ttlMs: ttlMs as number })).rejects.toMatchObject(refused);
      await expect(rig.cache.getOrSet('k', () => 1, { ttlMs: ttlMs as number })).rejects.toMatchObject(refused);
    },
  );
});
