import { describe, expect, it } from 'vitest';

import { decodeStored, decodeValue, encodeStored, encodeValue } from '../../../src/services/cache/entry.ts';

const version = '17640000000000001234';
const roundTrip = (value: unknown) => {
  const stored = {
    payload: encodeValue(value, 1e6),
    version,
    writtenAt: 1_764_000_000_000.7,
    expiresAt: 1_764_000_060_000,
  };
  return decodeStored(Buffer.from(encodeStored(stored) as string));
};

describe('the stored form of a cache entry', () => {
  it.each([[{ a: [1, null, 'ü😀'] }], ['text'], [0], [false], [null], ['']])('carries %j and its facts', (value) => {
    const stored = roundTrip(value);
    expect(stored).toMatchObject({ version, writtenAt: 1_764_000_000_000, expiresAt: 1_764_000_060_000 });
    expect(decodeValue(stored!.payload!)).toEqual(value);
  });

  it('keeps a Buffer a Buffer, byte for byte', () => {
    const bytes = Buffer.from([0, 255, 10, 13, 0xc3, 0x28]);
    expect(decodeValue(roundTrip(bytes)!.payload!)).toEqual(bytes);
  });

  it('tells a tombstone from a value', () => {
    const tombstone = encodeStored({ payload: undefined, version, writtenAt: 1, expiresAt: 2 });
    expect(decodeStored(Buffer.from(tombstone as string))).toMatchObject({ version, payload: undefined });
  });

  it.each(['', 'short', `2j${version}${'0'.repeat(26)}{}`, `1z${version}${'0'.repeat(26)}{}`])(
    'takes the unknown form %j for nothing',
    (text) => {
      expect(decodeStored(Buffer.from(text))).toBeUndefined();
    },
  );
});
