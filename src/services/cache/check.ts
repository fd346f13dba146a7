import { RedoubtError } from '../../core/errors.ts';
import { describe, refusedOption } from './options.ts';

/**
 * Refuses what cannot be a key.
 *
 * @throws {RedoubtError} `ERR_CACHE_KEY`
 */
export function assertKey(key: unknown, maxKeyBytes: number): asserts key is string {
  if (typeof key !== 'string') throw new RedoubtError('ERR_CACHE_KEY', { message: `found ${describe(key)}` });
  // So begins what is Redoubt's own: namespaces and tags.
  if (key.startsWith('\u0000')) throw new RedoubtError('ERR_CACHE_KEY', { message: 'it begins with U+0000' });
  if (key === '') throw new RedoubtError('ERR_CACHE_KEY', { message: 'it is empty' });
  // A lone surrogate becomes U+FFFD on the wire: two such keys would be one in Redis.
  if (!key.isWellFormed()) throw new RedoubtError('ERR_CACHE_KEY', { message: 'it is not well-formed Unicode' });
  // No character takes more than three bytes a unit, so most keys need no count.
  if (key.length * 3 <= maxKeyBytes) return;
  const bytes = Buffer.byteLength(key);
  if (bytes <= maxKeyBytes) return;
  throw new RedoubtError('ERR_CACHE_KEY', {
    message: `it takes ${bytes} bytes, at most ${maxKeyBytes} are allowed`,
    bytes,
    maxKeyBytes,
  });
}

/**
 * Refuses what cannot be tags.
 *
 * @throws {RedoubtError} `ERR_CACHE_KEY`, and `ERR_CACHE_VALUE` where the value would outlive its tags
 */
export function assertTags(
  tags: unknown,
  maxKeyBytes: number,
  ttlMs: number,
  tagLifeMs: number,
): asserts tags is readonly string[] {
  // The characters of a text are no tags.
  if (!Array.isArray(tags)) throw refusedOption('tags', 'an array of names', tags);
  for (const tag of tags) assertKey(tag, maxKeyBytes);
  if (tags.length > MAX_TAGS) {
    throw new RedoubtError('ERR_CACHE_KEY', { message: `a value has at most ${MAX_TAGS} tags, found ${tags.length}` });
  }
  if (tags.length > 0 && ttlMs > tagLifeMs)
    throw refusedOption('ttlMs', `at most ${tagLifeMs} ms for a value with tags`, ttlMs);
}

const MAX_TAGS = 32;
