import { RedoubtError } from '../../core/errors.ts';
import { suggest } from '../../core/format.ts';
import type { Serializer } from './entry.ts';
import type { LoadOptions } from './loader.ts';
import type { CacheSetOptions, GetOrSetOptions, NamespaceOptions } from './types.ts';

/** Names of options. The type sees to it that none is forgotten. */
type Names<Options> = Readonly<Record<keyof Options, true>>;

/** Options of `set` and `setMany`. */
export const SET_OPTIONS: Names<CacheSetOptions> = { ttlMs: true, tags: true };

const LOAD_OPTIONS: Names<GetOrSetOptions> = {
  ...SET_OPTIONS,
  graceMs: true,
  staleWhileRevalidateMs: true,
  eager: true,
  jitter: true,
  softTimeoutMs: true,
  hardTimeoutMs: true,
  negativeTtlMs: true,
  lockMs: true,
};

const NAMESPACE_OPTIONS: Names<NamespaceOptions> = {
  ttlMs: true,
  graceMs: true,
  maxStaleMs: true,
  maxEntries: true,
  maxBytes: true,
  jitter: true,
  negativeTtlMs: true,
  serializer: true,
};

/** What a namespace goes by: its own options, and the cache's where it has none. */
export type NamespaceSettings = Required<Omit<NamespaceOptions, 'serializer'>> & {
  readonly serializer: Serializer | undefined;
};

/** Checks all of a namespace's options. @throws {RedoubtError} `ERR_CACHE_VALUE` */
export function namespaceSettings(
  options: NamespaceOptions,
  defaults: Required<Omit<NamespaceOptions, 'serializer' | 'negativeTtlMs'>>,
): NamespaceSettings {
  assertOptions(options, NAMESPACE_OPTIONS);
  return {
    ttlMs: lifetimeMs(options.ttlMs, defaults.ttlMs),
    graceMs: lengthMsOf('graceMs', options.graceMs, defaults.graceMs),
    maxStaleMs: lengthMsOf('maxStaleMs', options.maxStaleMs, defaults.maxStaleMs),
    maxEntries: boundOf('maxEntries', options.maxEntries, defaults.maxEntries),
    maxBytes: boundOf('maxBytes', options.maxBytes, defaults.maxBytes),
    jitter: shareOf('jitter', options.jitter, defaults.jitter),
    negativeTtlMs: lengthMsOf('negativeTtlMs', options.negativeTtlMs, 0),
    serializer: serializerOf(options.serializer),
  };
}

/** What a `getOrSet` goes by where its options say nothing. */
export interface LoadDefaults extends NamespaceSettings {
  readonly lockMs: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** The tags of a value: those that are given and those of the namespace. */
  readonly tagsOf: (given: readonly string[] | undefined, ttlMs: number) => readonly string[];
}

/** What a `getOrSet` goes by. */
export interface LoadSettings extends LoadOptions {
  /** Share of the lifetime after which a hit is loaded anew; none: never. */
  readonly eager: number | undefined;
  /** How long past its lifetime the last value is served while a new one is loaded. */
  readonly swrMs: number;
}

/** Checks all of a `getOrSet`'s options. @throws {RedoubtError} `ERR_CACHE_VALUE` */
export function loadSettings(options: GetOrSetOptions, defaults: LoadDefaults): LoadSettings {
  assertOptions(options, LOAD_OPTIONS);
  const ttlMs = lifetimeMs(options.ttlMs, defaults.ttlMs);
  const swrMs = lengthMsOf('staleWhileRevalidateMs', options.staleWhileRevalidateMs, 0);
  const jitter = shareOf('jitter', options.jitter, defaults.jitter);
  return {
    swrMs,
    eager: shareOf('eager', options.eager, undefined),
    ttlMs: Math.max(1, Math.ceil(ttlMs * (1 - jitter * defaults.random()))),
    graceMs: Math.max(swrMs, lengthMsOf('graceMs', options.graceMs, defaults.graceMs)),
    offline: false,
    tags: defaults.tagsOf(options.tags, ttlMs),
    softTimeoutMs: timeoutMsOf('softTimeoutMs', options.softTimeoutMs),
    hardTimeoutMs: timeoutMsOf('hardTimeoutMs', options.hardTimeoutMs),
    negativeTtlMs: lengthMsOf('negativeTtlMs', options.negativeTtlMs, defaults.negativeTtlMs),
    lockMs: lengthMsOf('lockMs', options.lockMs, defaults.lockMs),
  };
}

function serializerOf(serializer: Serializer | undefined): Serializer | undefined {
  if (serializer === undefined) return undefined;
  if (typeof serializer?.serialize === 'function' && typeof serializer.deserialize === 'function') return serializer;
  throw refusedOption('serializer', 'an object with serialize() and deserialize()', serializer);
}

/**
 * Refuses an option that nobody would look at. One that is `undefined` is one not given.
 *
 * @throws {RedoubtError} `ERR_CACHE_VALUE`
 */
export function assertOptions(options: unknown, known: Readonly<Record<string, true>>): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw refusedOption('options', 'an object, such as { ttlMs: 60_000 }', options);
  }
  for (const name in options) {
    if (known[name] === true || (options as Record<string, unknown>)[name] === undefined) continue;
    const near = nearest(name, Object.keys(known));
    throw new RedoubtError('ERR_CACHE_VALUE', {
      message: `unknown option ${name.slice(0, 60)} (${near ? `did you mean ${near}?` : `known are ${Object.keys(known).join(', ')}`})`,
      option: name,
      ...(near === undefined ? {} : { suggestion: near }),
    });
  }
}

/** `ttl` means `ttlMs`, however far apart the two are. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const bare = name.replace(/(?:Ms|_ms|Millis|Milliseconds|Seconds|Sec|S)$/, '');
  const sameBut = known.find((each) => each.replace(/Ms$/, '').toLowerCase() === bare.toLowerCase());
  return sameBut ?? suggest(name, known);
}

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
  throw refusedOption('ttlMs', 'a number of milliseconds above 0', ttlMs);
}

/**
 * A length of time that a caller asked for, in whole milliseconds, or the default; 0 for none.
 *
 * @throws {RedoubtError} `ERR_CACHE_VALUE` unless it is a finite number from 0
 */
function lengthMsOf(option: string, ms: unknown, defaultMs: number): number {
  if (ms === undefined) return defaultMs;
  if (typeof ms === 'number' && Number.isFinite(ms) && ms >= 0 && ms <= MAX_LIFETIME_MS) return Math.ceil(ms);
  throw refusedOption(option, 'a number of milliseconds from 0', ms);
}

/** A longest wait that a caller asked for; infinite for none. @throws {RedoubtError} `ERR_CACHE_VALUE` */
function timeoutMsOf(option: string, ms: unknown): number {
  return ms === Number.POSITIVE_INFINITY ? ms : lengthMsOf(option, ms, Number.POSITIVE_INFINITY);
}

/** A share that a caller asked for, or the default. @throws {RedoubtError} `ERR_CACHE_VALUE` unless it is 0 to 1 */
function shareOf<Default>(option: string, share: unknown, otherwise: Default): number | Default {
  if (share === undefined) return otherwise;
  if (typeof share === 'number' && share >= 0 && share <= 1) return share;
  throw refusedOption(option, 'a number from 0 to 1', share);
}

/** A bound that a caller asked for, or the default. */
function boundOf(option: string, bound: unknown, defaultBound: number): number {
  if (bound === undefined) return defaultBound;
  if (typeof bound === 'number' && Number.isSafeInteger(bound) && bound >= 1) return bound;
  throw refusedOption(option, 'a whole number from 1', bound);
}

// A hundred years: past it the expiry date no longer fits the header, and Redis refuses it too.
const MAX_LIFETIME_MS = 100 * 365 * 86_400_000;

/** The error for an option that has a known name and a wrong value. */
export function refusedOption(option: string, allowed: string, found: unknown): RedoubtError {
  const shown = describe(found);
  return new RedoubtError('ERR_CACHE_VALUE', {
    message: `${option} must be ${allowed}, found ${shown}`,
    option,
    found: shown,
  });
}

/** Numbers as they are; of all else only the type, since it may be somebody's secret. */
export function describe(value: unknown): string {
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value)) return 'array';
  return value === null ? 'null' : typeof value;
}
