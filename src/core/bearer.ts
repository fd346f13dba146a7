import { createHash, timingSafeEqual } from 'node:crypto';

/**
 * Whether an `Authorization` header carries this bearer token.
 *
 * Both sides are hashed first: equal lengths for the constant-time comparison, and the time tells
 * nothing about the token's length either.
 *
 * @param token - the expected one; an empty one matches nothing
 */
export function bearerMatches(header: string | undefined, token: string): boolean {
  if (token === '' || header === undefined) return false;
  const given = /^bearer +(\S+) *$/i.exec(header)?.[1];
  return given !== undefined && timingSafeEqual(digest(given), digest(token));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
