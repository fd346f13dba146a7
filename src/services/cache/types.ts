import type { ErrorCode } from '../../core/errors.ts';
import type { Serializer } from './entry.ts';

export type { Serializer } from './entry.ts';

/** What a cache lookup found, each case with its own data. */
export type Lookup<T = unknown> =
  | { readonly status: 'hit'; readonly value: T; readonly source: 'l1' | 'redis' | 'memory'; readonly ageMs: number }
  /** Read before the outage and past what can be vouched for, but within its grace. */
  | { readonly status: 'stale'; readonly value: T; readonly source: 'memory'; readonly ageMs: number }
  | { readonly status: 'miss'; readonly source: 'redis' | 'memory' }
  /** Redis could not be asked and memory does not know the key. */
  | { readonly status: 'unknown'; readonly source: 'memory'; readonly reason: ErrorCode };

export interface CacheSetOptions {
  /** Lifetime in milliseconds; default `cache.ttl`, or the namespace's. */
  readonly ttlMs?: number;
  /** Names by which `deleteByTag` finds it; at most 32. */
  readonly tags?: readonly string[];
}

export interface GetOrSetOptions extends CacheSetOptions {
  /** How long past its lifetime a value may be served while the loader fails or is late; default `cache.grace`. */
  readonly graceMs?: number;
  /** How long past its lifetime a value is served at once, while a new one is loaded; default 0. */
  readonly staleWhileRevalidateMs?: number;
  /** Share of the lifetime (0 to 1) after which a hit loads a new value behind the caller's back; default: never. */
  readonly eager?: number;
  /** Share of the lifetime (0 to 1) by which it is randomly shortened; default `cache.jitter`. */
  readonly jitter?: number;
  /** After which a value within its grace is served, and the load goes on. */
  readonly softTimeoutMs?: number;
  /** After which a value within its grace is served, or the call rejects with `ERR_CACHE_LOAD_TIMEOUT`. */
  readonly hardTimeoutMs?: number;
  /** Lifetime of a loaded `undefined` or `null`; default 0: `undefined` is not kept, `null` as any other value. */
  readonly negativeTtlMs?: number;
  /** How long one instance may load while the others wait for its value; default `cache.lock`, 0: they do not wait. */
  readonly lockMs?: number;
}

export interface CacheStats {
  readonly hits: number;
  readonly misses: number;
  readonly stale: number;
  readonly unknown: number;
  /** Hits by who had the value. */
  readonly l1Hits: number;
  readonly redisHits: number;
  readonly memoryHits: number;
  readonly sets: number;
  readonly deletes: number;
  readonly loads: number;
  readonly loadFailures: number;
  readonly evictions: number;
  /** Entries and bytes in memory now. */
  readonly entries: number;
  readonly bytes: number;
  /** Keys whose writes wait for Redis. */
  readonly journal: number;
}

/** A key and its value, for `setMany`. */
export type CacheEntry = readonly [key: string, value: unknown];

/** What the cache and each of its namespaces can do. */
export interface CacheSpace {
  /**
   * The value, fresh or stale, or `undefined`. Objects are shared and deeply frozen unless `cache.values` is `copied`;
   * a Buffer is always a copy.
   */
  get<T = unknown>(key: string): Promise<T | undefined>;
  /** Like `get`, but says how the value was come by. */
  lookup<T = unknown>(key: string): Promise<Lookup<T>>;
  /**
   * Stores what JSON gives back as it was, or a Buffer, or what the serializer of the namespace takes.
   *
   * @throws {RedoubtError} `ERR_CACHE_KEY`; `ERR_CACHE_VALUE` with `path` for what JSON would change, with `option` for
   * an option that is unknown or cannot be used; an outage never throws
   */
  set(key: string, value: unknown, options?: CacheSetOptions): Promise<void>;
  /** Whether the key was there, as far as could be seen. */
  delete(key: string): Promise<boolean>;
  has(key: string): Promise<boolean>;
  /**
   * Reads, or loads once for all concurrent callers and stores. Rejects as the loader rejects, and as `set` does for
   * key and options; a loaded value that cannot be stored is handed on, and the log says so.
   */
  getOrSet<T>(key: string, load: () => T | Promise<T>, options?: GetOrSetOptions): Promise<T>;
  /** The values in the order of the keys, read with as few commands as possible. */
  getMany<T = unknown>(keys: readonly string[]): Promise<(T | undefined)[]>;
  setMany(entries: Iterable<CacheEntry>, options?: CacheSetOptions): Promise<void>;
  /** How many of them were there, as far as could be seen. */
  deleteMany(keys: readonly string[]): Promise<number>;
  /** Forgets every key, here and in Redis, without scanning. */
  clear(): Promise<void>;
}

/** The cache of `redoubt.cache`: answers through every outage, within `cache.deadline`. */
export interface Cache extends CacheSpace {
  /** Makes every value void that carries the tag, in all namespaces and on all instances, also through an outage. */
  deleteByTag(tag: string): Promise<void>;
  /**
   * Keys of their own, with lifetimes, bounds and staleness of their own. The same name gives the same namespace;
   * its options count the first time.
   */
  namespace(name: string, options?: NamespaceOptions): CacheSpace;
  stats(): CacheStats;
}

/** What a namespace may have of its own; what is not named is the cache's. */
export interface NamespaceOptions {
  readonly ttlMs?: number;
  readonly graceMs?: number;
  /** Default `cache.maxStale`; 0: nothing of it is ever served as stale. */
  readonly maxStaleMs?: number;
  readonly maxEntries?: number;
  readonly maxBytes?: number;
  readonly jitter?: number;
  readonly negativeTtlMs?: number;
  /** Its code must be the same on every instance. */
  readonly serializer?: Serializer;
}
