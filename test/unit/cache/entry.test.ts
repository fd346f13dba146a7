import { randomBytes } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { describe, expect, it } from 'vitest';

import { decodeStored, decodeValue, encodeStored, encodeValue } from '../../../src/services/cache/entry.ts';

const version = '17640000000000001234';
const roundTrip = (value: unknown, tags: readonly string[] = [], compressAbove?: number) => {
  const stored = {
    payload: encodeValue(value, 1e6),
    version,
    writtenAt: 1_764_000_000_000.7,
    expiresAt: 1_764_000_060_000,
    tags,
  };
  return decodeStored(Buffer.from(encodeStored(stored, compressAbove) as string));
};

describe('the stored form of a cache entry', () => {
  it.each([[{ a: [1, null, 'ü😀'] }], ['text'], ['ü😀\ufeff\0'], ['\ud800'], [0], [false], [null], ['']])(
    'carries %j and its facts',
    (value) => {
      const stored = roundTrip(value);
      expect(stored).toMatchObject({ version, writtenAt: 1_764_000_000_000, expiresAt: 1_764_000_060_000 });
      expect(decodeValue(stored!.payload!)).toEqual(value);
    },
  );

  it('writes a text as it is', () => {
    const payload = encodeValue('say "hello"', 1000);
    expect(payload.bytes).toBe(11);
    expect(encodeStored({ payload, version, writtenAt: 0, expiresAt: 1, tags: [] })).toMatch(/0say "hello"$/);
  });

  it('keeps a piece of a text without the whole of it', () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const heapMb = (): number => {
      collect();
      return process.memoryUsage().heapUsed / 2 ** 20;
    };
    const before = heapMb();
    const pieces = Array.from({ length: 100 }, (_, i) => {
      // Less than what Node keeps outside of the heap.
      const whole = Buffer.alloc(2 ** 19, `${i} `).toString('latin1');
      return encodeValue(whole.slice(1000, 1100), 1000);
    });
    expect(heapMb() - before).toBeLessThan(25);
    expect(pieces).toHaveLength(100);
  });

  it('keeps a Buffer a Buffer, byte for byte', () => {
    const bytes = Buffer.from([0, 255, 10, 13, 0xc3, 0x28]);
    expect(decodeValue(roundTrip(bytes)!.payload!)).toEqual(bytes);
  });

  it('carries tags in any script beside the value', () => {
    const stored = roundTrip({ a: 1 }, ['users', 'ключ "1"']);
    expect(stored?.tags).toEqual(['users', 'ключ "1"']);
    expect(decodeValue(stored!.payload!)).toEqual({ a: 1 });
  });

  it.each([['x'.repeat(5000)], [Buffer.alloc(5000, 7)]])('compresses what is large, and gives it back', (value) => {
    const parts = { version, writtenAt: 0, expiresAt: 1, tags: ['t'] };
    const payload = encodeValue(value, 1e6);
    expect(Buffer.from(encodeStored({ ...parts, payload }, 1000) as string).length).toBeLessThan(500);
    expect(decodeValue(roundTrip(value, ['t'], 1000)!.payload!)).toEqual(value);
  });

  it('leaves what compression does not make smaller as it is', () => {
    const value = randomBytes(2000);
    const stored = encodeStored(
      { payload: encodeValue(value, 1e6), version, writtenAt: 0, expiresAt: 1, tags: [] },
      100,
    );
    expect(decodeStored(stored as Buffer)?.payload?.data).toEqual(value);
    expect((stored as Buffer).subarray(-2000)).toEqual(value);
  });

  it('tells a tombstone from a value', () => {
    const tombstone = encodeStored({ payload: undefined, version, writtenAt: 1, expiresAt: 2, tags: [] });
    expect(decodeStored(Buffer.from(tombstone as string))).toMatchObject({ version, payload: undefined });
  });

  it.each([
    '',
    'short',
    `1j${version}${'0'.repeat(31)}{}`,
    `2z${version}${'0'.repeat(31)}{}`,
    `2J${version}${'0'.repeat(31)}{}`,
  ])('takes the unknown form %j for nothing', (text) => {
    expect(decodeStored(Buffer.from(text))).toBeUndefined();
  });
});
