import { EventEmitter } from 'node:events';

import type { CacheSpace } from './types.ts';

/** An entry as Keyv hands it over to be stored. */
export interface KeyvEntry {
  readonly key: string;
  readonly value: unknown;
  readonly ttl?: number;
}

/**
 * A store for Keyv (4, 5 and 6) on the cache or one of its namespaces, and so for what takes a Keyv: cacheable, got,
 * rate limiters. It never rejects because of an outage; a value without a ttl lives for `cache.ttl`.
 *
 *     new Keyv({ store: createKeyvStore(redoubt.cache.namespace('got')) })
 *
 * Give each Keyv a namespace of its own: `clear()` clears all of it.
 */
export function createKeyvStore(space: CacheSpace): KeyvStore {
  return new KeyvStore(space);
}

/** Made by `createKeyvStore`. */
export class KeyvStore extends EventEmitter {
  /** Keyv writes its settings here. */
  opts: object = {};
  namespace?: string;
  readonly #space: CacheSpace;

  constructor(space: CacheSpace) {
    super();
    this.#space = space;
  }

  get<T>(key: string): Promise<T | undefined> {
    return this.#space.get<T>(key);
  }

  getMany<T>(keys: string[]): Promise<(T | undefined)[]> {
    return this.#space.getMany<T>(keys);
  }

  /** @param ttl - milliseconds */
  async set(key: string, value: unknown, ttl?: number): Promise<boolean> {
    await this.#space.set(key, value, optionsOf(ttl));
    return true;
  }

  setMany(entries: readonly KeyvEntry[]): Promise<boolean[]> {
    return Promise.all(entries.map(({ key, value, ttl }) => this.set(key, value, ttl)));
  }

  delete(key: string): Promise<boolean> {
    return this.#space.delete(key);
  }

  deleteMany(keys: string[]): Promise<boolean[]> {
    return Promise.all(keys.map((key) => this.#space.delete(key)));
  }

  has(key: string): Promise<boolean> {
    return this.#space.has(key);
  }

  hasMany(keys: string[]): Promise<boolean[]> {
    return Promise.all(keys.map((key) => this.#space.has(key)));
  }

  clear(): Promise<void> {
    return this.#space.clear();
  }
}

/** Keyv says "for ever" with no ttl or with 0. */
function optionsOf(ttl: number | undefined): { readonly ttlMs: number } | undefined {
  return ttl ? { ttlMs: ttl } : undefined;
}
