import type { ErrorCode } from '../../core/errors.ts';

/** What a cache lookup found, each case with its own data. */
export type Lookup<T = unknown> =
  | { readonly status: 'hit'; readonly value: T; readonly source: 'redis' | 'memory'; readonly ageMs: number }
  /** Read before the outage and past what can be vouched for, but within `cache.grace`. */
  | { readonly status: 'stale'; readonly value: T; readonly source: 'memory'; readonly ageMs: number }
  | { readonly status: 'miss'; readonly source: 'redis' | 'memory' }
  /** Redis could not be asked and memory does not know the key. */
  | { readonly status: 'unknown'; readonly source: 'memory'; readonly reason: ErrorCode };

export interface CacheSetOptions {
  /** Lifetime in milliseconds; default `cache.ttl`. */
  readonly ttlMs?: number;
}

export interface GetOrSetOptions extends CacheSetOptions {
  /** How long past its lifetime a value may be served while the loader fails; default `cache.grace`. */
  readonly graceMs?: number;
}

export interface CacheStats {
  readonly hits: number;
  readonly misses: number;
  readonly stale: number;
  readonly unknown: number;
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

/** The cache of `redoubt.cache`: answers through every outage, within `cache.deadline`. */
export interface Cache {
  /** The value, fresh or stale, or `undefined`. A value is what JSON can carry, or a Buffer. */
  get<T = unknown>(key: string): Promise<T | undefined>;
  /** Like `get`, but says how the value was come by. */
  lookup<T = unknown>(key: string): Promise<Lookup<T>>;
  /** @throws {RedoubtError} `ERR_CACHE_KEY`, `ERR_CACHE_VALUE`; an outage never throws */
  set(key: string, value: unknown, options?: CacheSetOptions): Promise<void>;
  /** Whether the key was there, as far as could be seen. */
  delete(key: string): Promise<boolean>;
  has(key: string): Promise<boolean>;
  /** Reads, or loads once for all concurrent callers and stores. Rejects only as the loader rejects. */
  getOrSet<T>(key: string, load: () => T | Promise<T>, options?: GetOrSetOptions): Promise<T>;
  /** Forgets every key, here and in Redis, without scanning. */
  clear(): Promise<void>;
  stats(): CacheStats;
}
