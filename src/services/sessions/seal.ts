import { createCipheriv, createDecipheriv, createHash, createSecretKey, hkdfSync, randomBytes } from 'node:crypto';

/** Seals session contents with AES-256-GCM, each bound to its session id. */
export interface Sealer {
  /** Seals under the first secret. The box is text: `keyId.base64url(iv | tag | ciphertext)`. */
  seal(sid: string, text: string): string;
  /** What was sealed for this very session id under any of the secrets; `undefined` for everything else. */
  open(sid: string, box: string): string | undefined;
  /** Whether the first secret sealed it. */
  isCurrent(box: string): boolean;
}

const IV_BYTES = 12;
const TAG_BYTES = 16;
const IVS = 256;
const CONTEXT = 'redoubt session seal 1';

/**
 * Makes keys of the secrets (HKDF-SHA256, RFC 5869) and seals under the first.
 *
 * A record moved to another session id does not open, and nothing is ever read without opening it
 * (CVE-2026-39324 was such a fallback).
 *
 * @param secrets - at least one
 */
export function createSealer(secrets: readonly string[]): Sealer {
  const keys = secrets.map((secret) => {
    const bytes = Buffer.from(hkdfSync('sha256', secret, '', CONTEXT, 32));
    // As a key object: from bytes, each cipher imports its key anew, which is two thirds of a seal's time.
    return { id: keyIdOf(bytes), key: createSecretKey(bytes) };
  });
  const byId = new Map(keys.map(({ id, key }) => [id, key]));
  const nextIv = createIvs();
  const [first] = keys;
  if (first === undefined) throw new TypeError('createSealer needs a secret');

  return {
    seal(sid, text) {
      const iv = nextIv();
      const cipher = createCipheriv('aes-256-gcm', first.key, iv);
      cipher.setAAD(Buffer.from(sid));
      const sealed = cipher.update(text, 'utf8');
      cipher.final();
      const box = Buffer.allocUnsafe(IV_BYTES + TAG_BYTES + sealed.length);
      iv.copy(box);
      cipher.getAuthTag().copy(box, IV_BYTES);
      sealed.copy(box, IV_BYTES + TAG_BYTES);
      return `${first.id}.${box.toString('base64url')}`;
    },
    open(sid, box) {
      const dot = box.indexOf('.');
      const key = byId.get(box.slice(0, dot));
      const bytes = Buffer.from(box.slice(dot + 1), 'base64url');
      if (key === undefined || bytes.length < IV_BYTES + TAG_BYTES) return undefined;
      const iv = bytes.subarray(0, IV_BYTES);
      const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES });
      decipher.setAAD(Buffer.from(sid));
      decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
      try {
        // A stream cipher: all of it comes out of update(), and final() only judges it.
        const text = decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES));
        decipher.final();
        return text.toString();
      } catch {
        // Not ours, not this session's, or altered: the caller counts it as no session.
        return undefined;
      }
    },
    isCurrent: (box) => box.startsWith(`${first.id}.`),
  };
}

/** Random ivs, from the system a few hundred at a time: one by one they cost as much as the sealing. */
function createIvs(): () => Buffer {
  let pool = Buffer.alloc(0);
  return () => {
    if (pool.length < IV_BYTES) pool = randomBytes(IV_BYTES * IVS);
    const iv = pool.subarray(0, IV_BYTES);
    pool = pool.subarray(IV_BYTES);
    return iv;
  };
}

/** Of the derived key, never of the secret, so that a key id gives nothing to guess secrets against but HKDF's output. */
function keyIdOf(key: Buffer): string {
  return createHash('sha256').update(key).digest().subarray(0, 6).toString('base64url');
}
