import { RedoubtError } from '../../core/errors.ts';

/** A value in its serialised form, which is what every tier holds: nobody can change it through a reference. */
export type Payload =
  | { readonly kind: 'json'; readonly data: string; readonly bytes: number }
  | { readonly kind: 'buffer'; readonly data: Buffer; readonly bytes: number };

/** What Redis holds under a key; without a payload it is a tombstone. Times are in Redis' milliseconds since 1970. */
export interface Stored {
  readonly version: string;
  readonly writtenAt: number;
  readonly expiresAt: number;
  readonly payload: Payload | undefined;
}

/** Digits of a version. */
export const VERSION_LENGTH = 20;

// Header: format, kind, version, written at, expires, all of fixed width, so that Lua reads the
// version with one GETRANGE and nobody parses what he does not need. Then the payload as it is.
const FORMAT = '1';
const KINDS = { json: 'j', buffer: 'b', tombstone: 'x' } as const;
const TIME_LENGTH = 13;
const VERSION_AT = 2;
const WRITTEN_AT = VERSION_AT + VERSION_LENGTH;
const EXPIRES_AT = WRITTEN_AT + TIME_LENGTH;
const HEADER_LENGTH = EXPIRES_AT + TIME_LENGTH;

/**
 * Serialises a value: a Buffer (or any Uint8Array) by its bytes, anything else as JSON.
 *
 * @param maxBytes - `cache.maxValueBytes`
 * @throws {RedoubtError} `ERR_CACHE_VALUE` for what JSON cannot carry or for too many bytes
 */
export function encodeValue(value: unknown, maxBytes: number): Payload {
  const payload = value instanceof Uint8Array ? bufferPayload(value) : jsonPayload(value);
  if (payload.bytes > maxBytes) {
    throw new RedoubtError('ERR_CACHE_VALUE', {
      message: `it takes ${payload.bytes} bytes, at most ${maxBytes} are allowed`,
      bytes: payload.bytes,
      maxValueBytes: maxBytes,
    });
  }
  return payload;
}

/** A fresh copy of the value: what its receiver does to it changes nothing here. */
export function decodeValue(payload: Payload): unknown {
  return payload.kind === 'json' ? (JSON.parse(payload.data) as unknown) : Buffer.from(payload.data);
}

/** The stored form of a value or, without a payload, of a tombstone. */
export function encodeStored({ payload, version, writtenAt, expiresAt }: Stored): string | Buffer {
  const kind = KINDS[payload?.kind ?? 'tombstone'];
  const header = `${FORMAT}${kind}${version}${timeDigits(writtenAt)}${timeDigits(expiresAt)}`;
  if (!payload) return header;
  return payload.kind === 'json' ? header + payload.data : Buffer.concat([Buffer.from(header, 'latin1'), payload.data]);
}

/** Reads the stored form; `undefined` for anything this version of Redoubt does not know, which is then a miss. */
export function decodeStored(bytes: Buffer): Stored | undefined {
  if (bytes.length < HEADER_LENGTH) return undefined;
  const header = bytes.toString('latin1', 0, HEADER_LENGTH);
  const kind = header[1];
  if (header[0] !== FORMAT || (kind !== KINDS.json && kind !== KINDS.buffer && kind !== KINDS.tombstone)) {
    return undefined;
  }
  return {
    version: header.slice(VERSION_AT, WRITTEN_AT),
    writtenAt: Number(header.slice(WRITTEN_AT, EXPIRES_AT)),
    expiresAt: Number(header.slice(EXPIRES_AT)),
    payload: kind === KINDS.tombstone ? undefined : decodePayload(kind, bytes),
  };
}

function decodePayload(kind: 'j' | 'b', bytes: Buffer): Payload {
  const length = bytes.length - HEADER_LENGTH;
  if (kind === KINDS.json) return { kind: 'json', data: bytes.toString('utf8', HEADER_LENGTH), bytes: length };
  // A copy of its own: the driver hands out slices, and one kept slice would hold a whole 64 KB read.
  const data = Buffer.allocUnsafeSlow(length);
  bytes.copy(data, 0, HEADER_LENGTH);
  return { kind: 'buffer', data, bytes: length };
}

function bufferPayload(value: Uint8Array): Payload {
  const data = Buffer.allocUnsafeSlow(value.byteLength);
  data.set(value);
  return { kind: 'buffer', data, bytes: data.length };
}

function jsonPayload(value: unknown): Payload {
  let data: string | undefined;
  try {
    data = JSON.stringify(value);
  } catch (error) {
    throw new RedoubtError(
      'ERR_CACHE_VALUE',
      { message: 'JSON cannot carry it', found: typeof value },
      { cause: error },
    );
  }
  if (data === undefined) {
    throw new RedoubtError('ERR_CACHE_VALUE', { message: `JSON has no ${typeof value}`, found: typeof value });
  }
  return { kind: 'json', data, bytes: Buffer.byteLength(data) };
}

const timeDigits = (ms: number): string => String(Math.floor(ms)).padStart(TIME_LENGTH, '0').slice(-TIME_LENGTH);
