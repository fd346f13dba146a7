/**
 * An HTTP body as the cache holds it: one Buffer, because a Buffer is the one value that comes back
 * byte for byte from every backend.
 *
 *     magic (4 bytes) · length of the content type (2 bytes) · content type · body
 */
const MAGIC = Buffer.from('rbH1');
const HEADER_BYTES = MAGIC.length + 2;
const MAX_TYPE_BYTES = 255;

export interface CachedBody {
  /** The Content-Type header it was sent with. */
  readonly type: string;
  readonly body: Buffer;
}

/** The value to store. A content type over 255 bytes is not one; it is kept as plain bytes. */
export function encodeBody({ type, body }: CachedBody): Buffer {
  const typeBytes = Buffer.from(type, 'latin1');
  const kept = typeBytes.length <= MAX_TYPE_BYTES ? typeBytes : Buffer.from('application/octet-stream');
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt16BE(kept.length, MAGIC.length);
  return Buffer.concat([header, kept, body]);
}

/** The body of a stored value; what the library stored without HTTP is answered as JSON, or as plain bytes. */
export function decodeBody(value: unknown): CachedBody {
  if (!Buffer.isBuffer(value)) return { type: 'application/json', body: Buffer.from(JSON.stringify(value)) };
  if (value.length < HEADER_BYTES || !value.subarray(0, MAGIC.length).equals(MAGIC)) {
    return { type: 'application/octet-stream', body: value };
  }
  const bodyAt = HEADER_BYTES + value.readUInt16BE(MAGIC.length);
  return { type: value.toString('latin1', HEADER_BYTES, bodyAt), body: value.subarray(bodyAt) };
}
