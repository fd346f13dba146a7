import { RedoubtError } from '../../core/errors.ts';

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
export function assertTags(tags: readonly string[], maxKeyBytes: number, ttlMs: number, tagLifeMs: number): void {
  for (const tag of tags) assertKey(tag, maxKeyBytes);
  if (tags.length > MAX_TAGS) {
    throw new RedoubtError('ERR_CACHE_KEY', { message: `a value has at most ${MAX_TAGS} tags, found ${tags.length}` });
  }
  if (ttlMs > tagLifeMs) throw refused('ttlMs', `at most ${tagLifeMs} ms for a value with tags`, ttlMs);
}

const MAX_TAGS = 32;

/**
 * The lifetime that a caller asked for, in whole milliseconds, or the default.
 *
 * @throws {RedoubtError} `ERR_CACHE_VALUE` unless it is a finite number above 0
 */
export function lifetimeMs(ttlMs: unknown, defaultMs: number): number {
  if (ttlMs === undefined) return defaultMs;
  if (typeof ttlMs === 'number' && Number.isFinite(ttlMs) && ttlMs > 0 && ttlMs <= MAX_LIFETIME_MS) {
    return Math.ceil(ttlMs);
  }
  throw refused('ttlMs', 'a number of milliseconds above 0', ttlMs);
}

/**
 * The grace that a caller asked for, in milliseconds, or the default; 0 for none.
 *
 * @throws {RedoubtError} `ERR_CACHE_VALUE` unless it is a finite number from 0
 */
export function graceMsOf(graceMs: unknown, defaultMs: number): number {
  if (graceMs === undefined) return defaultMs;
  if (typeof graceMs === 'number' && Number.isFinite(graceMs) && graceMs >= 0 && graceMs <= MAX_LIFETIME_MS) {
    return Math.ceil(graceMs);
  }
  throw refused('graceMs', 'a number of milliseconds from 0', graceMs);
}

// A hundred years: past it the expiry date no longer fits the header, and Redis refuses it too.
const MAX_LIFETIME_MS = 100 * 365 * 86_400_000;

function refused(option: string, allowed: string, found: unknown): RedoubtError {
  const shown = describe(found);
  return new RedoubtError('ERR_CACHE_VALUE', {
    message: `${option} must be ${allowed}, found ${shown}`,
    option,
    found: shown,
  });
}

/** Numbers as they are; of all else only the type, since it may be somebody's secret. */
function describe(value: unknown): string {
  if (typeof value === 'number') return String(value);
  return value === null ? 'null' : typeof value;
}
