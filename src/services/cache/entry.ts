import type * as zlibTypes from 'node:zlib';

import { RedoubtError } from '../../core/errors.ts';
import { assertStorable } from './storable.ts';

/** A value in its serialised form, as its giver cannot change it any more. */
export type Payload =
  /** `text`: the value itself. `json`: what JSON makes of it. */
  | { readonly kind: 'text' | 'json'; readonly data: string; readonly bytes: number }
  /** "There is none", as a loader said. */
  | { readonly kind: 'none'; readonly data: ''; readonly bytes: 0 }
  /** `buffer`: the value's own bytes. `custom`: what a namespace's serializer made of it. */
  | { readonly kind: 'buffer' | 'custom'; readonly data: Buffer; readonly bytes: number };

/** How a namespace turns values into bytes and back, in place of JSON. */
export interface Serializer {
  serialize(value: unknown): Uint8Array | string;
  deserialize(data: Buffer): unknown;
}

/** What Redis holds under a key; without a payload it is a tombstone. Times are in Redis' milliseconds since 1970. */
export interface Stored {
  readonly version: string;
  readonly writtenAt: number;
  readonly expiresAt: number;
  readonly payload: Payload | undefined;
  readonly tags: readonly string[];
}

/** Digits of a version. */
export const VERSION_LENGTH = 20;

// Not by an import: values are compressed only where cache.compressAbove says so.
const zlib = (): typeof zlibTypes => process.getBuiltinModule('node:zlib');

// Header: format, kind, version, written at, expires, length of the tags, all of fixed width, so that
// Lua reads the version with one GETRANGE and nobody parses what he does not need. Then the tags, then
// the payload as it is. A kind in capitals is compressed.
const FORMAT = '2';
const KINDS = { text: 't', json: 'j', buffer: 'b', custom: 's', none: 'n', tombstone: 'x' } as const;
const KIND_OF: Readonly<Record<string, Payload['kind'] | 'tombstone'>> = {
  t: 'text',
  j: 'json',
  b: 'buffer',
  s: 'custom',
  n: 'none',
  x: 'tombstone',
};
const TIME_LENGTH = 13;
const VERSION_AT = 2;
const WRITTEN_AT = VERSION_AT + VERSION_LENGTH;
const EXPIRES_AT = WRITTEN_AT + TIME_LENGTH;
const TAGS_AT = EXPIRES_AT + TIME_LENGTH;
const TAGS_DIGITS = 5;
const HEADER_LENGTH = TAGS_AT + TAGS_DIGITS;
const NO_TAGS: readonly string[] = [];

/**
 * Serialises a value: a text as it is, a Buffer (or any Uint8Array) by its bytes, anything else as JSON; or by the
 * serializer.
 *
 * @param maxBytes - `cache.maxValueBytes`
 * @throws {RedoubtError} `ERR_CACHE_VALUE` for what JSON would change or for too many bytes
 */
export function encodeValue(value: unknown, maxBytes: number, serializer?: Serializer): Payload {
  if (!serializer && typeof value !== 'string' && !(value instanceof Uint8Array)) assertStorable(value, maxBytes);
  const payload = serialise(value, serializer);
  if (payload.bytes > maxBytes) {
    throw new RedoubtError('ERR_CACHE_VALUE', {
      message: `it takes ${payload.bytes} bytes, at most ${maxBytes} are allowed`,
      bytes: payload.bytes,
      maxValueBytes: maxBytes,
    });
  }
  return payload;
}

/** As `encodeValue`, for what has been a value before. */
export function serialise(value: unknown, serializer: Serializer | undefined): Payload {
  if (serializer) {
    const made = serializer.serialize(value);
    const data = typeof made === 'string' ? Buffer.from(made) : copyOf(made);
    return { kind: 'custom', data, bytes: data.length };
  }
  if (value instanceof Uint8Array) {
    const data = copyOf(value);
    return { kind: 'buffer', data, bytes: data.length };
  }
  // UTF-8 has no form for half of a surrogate pair, JSON has.
  return typeof value === 'string' && value.isWellFormed() ? textPayload(value) : jsonPayload(value);
}

/** A fresh copy of the value: what its receiver does to it changes nothing here. */
export function decodeValue(payload: Payload, serializer?: Serializer): unknown {
  if (payload.kind === 'text') return payload.data;
  if (payload.kind === 'json') return JSON.parse(payload.data) as unknown;
  if (payload.kind === 'none') return undefined;
  const copy = Buffer.from(payload.data);
  return payload.kind === 'custom' && serializer ? serializer.deserialize(copy) : copy;
}

/**
 * The stored form of a value or, without a payload, of a tombstone.
 *
 * @param compressAbove - payloads of more bytes are compressed (zstd); infinite for never
 */
export function encodeStored(
  { payload, version, writtenAt, expiresAt, tags }: Stored,
  compressAbove = Number.POSITIVE_INFINITY,
): string | Buffer {
  const kind = KINDS[payload?.kind ?? 'tombstone'];
  const tagText = tags.length === 0 ? '' : JSON.stringify(tags);
  const tagBytes = String(Buffer.byteLength(tagText)).padStart(TAGS_DIGITS, '0');
  const rest = `${version}${timeDigits(writtenAt)}${timeDigits(expiresAt)}${tagBytes}${tagText}`;
  if (!payload) return `${FORMAT}${kind}${rest}`;
  if (payload.bytes > compressAbove) {
    const packed = zlib().zstdCompressSync(payload.data);
    if (packed.length < payload.bytes) {
      return Buffer.concat([Buffer.from(`${FORMAT}${kind.toUpperCase()}${rest}`), packed]);
    }
  }
  const header = `${FORMAT}${kind}${rest}`;
  return typeof payload.data === 'string' ? header + payload.data : Buffer.concat([Buffer.from(header), payload.data]);
}

/** Reads the stored form; `undefined` for anything this version of Redoubt does not know, which is then a miss. */
export function decodeStored(bytes: Buffer): Stored | undefined {
  if (bytes.length < HEADER_LENGTH) return undefined;
  const header = bytes.toString('latin1', 0, HEADER_LENGTH);
  const letter = header[1] ?? '';
  const kind = KIND_OF[letter.toLowerCase()];
  if (header[0] !== FORMAT || !kind) return undefined;
  const payloadAt = HEADER_LENGTH + Number(header.slice(TAGS_AT));
  try {
    return {
      version: header.slice(VERSION_AT, WRITTEN_AT),
      writtenAt: Number(header.slice(WRITTEN_AT, EXPIRES_AT)),
      expiresAt: Number(header.slice(EXPIRES_AT, TAGS_AT)),
      payload: kind === 'tombstone' ? undefined : decodePayload(kind, letter !== KINDS[kind], bytes, payloadAt),
      tags:
        payloadAt === HEADER_LENGTH
          ? NO_TAGS
          : (JSON.parse(bytes.toString('utf8', HEADER_LENGTH, payloadAt)) as string[]),
    };
  } catch {
    // Damaged, or compressed by something newer: as good as not there.
    return undefined;
  }
}

/** What stands for "there is none". */
export const NONE: Payload = { kind: 'none', data: '', bytes: 0 };

function decodePayload(kind: Payload['kind'], packed: boolean, bytes: Buffer, at: number): Payload {
  if (kind === 'none') return NONE;
  if (packed) {
    const data = zlib().zstdDecompressSync(bytes.subarray(at));
    return kind === 'text' || kind === 'json'
      ? { kind, data: data.toString('utf8'), bytes: data.length }
      : { kind, data, bytes: data.length };
  }
  const length = bytes.length - at;
  if (kind === 'text' || kind === 'json') return { kind, data: bytes.toString('utf8', at), bytes: length };
  // A copy of its own: the driver hands out slices, and one kept slice would hold a whole 64 KB read.
  const data = Buffer.allocUnsafeSlow(length);
  bytes.copy(data, 0, at);
  return { kind, data, bytes: length };
}

/** A copy of its own: a piece of a text would keep the whole of it in memory. */
function textPayload(value: string): Payload {
  const bytes = Buffer.from(value);
  return { kind: 'text', data: bytes.toString(), bytes: bytes.length };
}

function copyOf(bytes: Uint8Array): Buffer {
  const data = Buffer.allocUnsafeSlow(bytes.byteLength);
  data.set(bytes);
  return data;
}

function jsonPayload(value: unknown): Payload {
  const data = JSON.stringify(value);
  return { kind: 'json', data, bytes: Buffer.byteLength(data) };
}

const timeDigits = (ms: number): string => String(Math.floor(ms)).padStart(TIME_LENGTH, '0').slice(-TIME_LENGTH);
