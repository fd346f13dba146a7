import { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';

import { importRedoubt } from './contenders.ts';
import { type Change, sharedMs } from './records.ts';

/** Redoubt, or the control that people write instead, which the judge must be able to fail. */
export const STORES = ['redoubt', 'plain'] as const;
export type StoreName = (typeof STORES)[number];

/** What a value looks like: enough to tell whose it is and which version. */
export interface Versioned {
  readonly key: string;
  readonly n: number;
  readonly filler?: string;
}

export interface Found {
  readonly value: Versioned | undefined;
  readonly declared: boolean;
  readonly source: string;
}

/** Figures of the cache itself. */
export interface Size {
  readonly entries: number;
  readonly bytes: number;
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly journal: number;
}

/** A cache under test: what both have in common. */
export interface CacheUnderTest {
  lookup(key: string): Promise<Found>;
  set(key: string, value: Versioned): Promise<void>;
  delete(key: string): Promise<void>;
  getOrSet(key: string, load: () => Promise<Versioned>): Promise<Versioned>;
  state(): string;
  readonly changes: readonly Change[];
  size(): Size;
  /** Cap on concurrent loaders of one instance; `undefined` where there is none. */
  readonly loadersMax: number | undefined;
  close(): Promise<void>;
}

export interface StoreStart {
  readonly store: StoreName;
  readonly redisUrl: string;
  /** `none` for none. */
  readonly databaseUrl: string;
  /** Module with `createRedoubt`, such as the built dist/index.js; default: the sources. */
  readonly library?: string | undefined;
  /** Settings over the shipped ones. */
  readonly config?: Readonly<Record<string, object>> | undefined;
}

export function openStore(start: StoreStart): Promise<CacheUnderTest> {
  return start.store === 'plain' ? openPlain(start) : openRedoubtCache(start);
}

async function openRedoubtCache({ redisUrl, databaseUrl, library, config }: StoreStart): Promise<CacheUnderTest> {
  const { createRedoubt } = await importRedoubt(library);
  const redoubt = await createRedoubt({
    config: {
      ...config,
      log: { level: 'silent' },
      redis: { ...config?.['redis'], url: redisUrl },
      postgres: { ...config?.['postgres'], url: databaseUrl },
      sessions: { secret: ['a-secret-for-the-bench-of-40-characters!'] },
    },
  });
  const { cache } = redoubt;
  const changes: Change[] = [];
  redoubt.machines.on('transition', ({ machine, from, to }) => {
    if (machine === 'redis') changes.push({ from, to, at: sharedMs() });
  });
  return {
    lookup: async (key) => {
      const found = await cache.lookup<Versioned>(key);
      const value = found.status === 'hit' || found.status === 'stale' ? found.value : undefined;
      // An unknown is no answer of Redis, whatever its source is called.
      return { value, declared: found.status === 'stale', source: found.status === 'unknown' ? 'none' : found.source };
    },
    set: (key, value) => cache.set(key, value),
    delete: async (key) => {
      await cache.delete(key);
    },
    getOrSet: (key, load) => cache.getOrSet(key, load),
    state: () => redoubt.machines.get('redis').state,
    changes,
    size: () => {
      const { entries, bytes, journal } = cache.stats();
      const { maxEntries, maxBytes } = redoubt.config.cache;
      return { entries, bytes, maxEntries, maxBytes, journal };
    },
    loadersMax: loadersMax(redoubt.config.cache),
    close: () => redoubt.close(),
  };
}

/** By its meaning, not its name: versions without a cap are measured too. */
function loadersMax(config: object): number | undefined {
  const cap = Object.entries(config).find(([name]) => /load(er)?s/i.test(name) && !name.endsWith('Ms'))?.[1];
  return typeof cap === 'number' ? cap : undefined;
}

/** ioredis with its fail-fast options behind an lru-cache, as many write it by hand: errors are swallowed. */
async function openPlain({ redisUrl }: StoreStart): Promise<CacheUnderTest> {
  const MAX_ENTRIES = 1000;
  const redis = new Redis(redisUrl, { enableOfflineQueue: false, commandTimeout: 250, maxRetriesPerRequest: 1 });
  redis.on('error', () => undefined);
  const local = new LRUCache<string, Versioned>({ max: MAX_ENTRIES, ttl: 300_000 });
  const changes: Change[] = [];
  for (const [event, to] of [
    ['ready', 'available'],
    ['close', 'degraded'],
  ] as const) {
    redis.on(event, () => changes.push({ from: '', to, at: sharedMs() }));
  }
  const lookup = async (key: string): Promise<Found> => {
    const here = local.get(key);
    if (here) return { value: here, declared: false, source: 'l1' };
    const text = await redis.get(key).catch(() => undefined);
    if (typeof text !== 'string')
      return { value: undefined, declared: false, source: text === null ? 'redis' : 'none' };
    const value = JSON.parse(text) as Versioned;
    local.set(key, value);
    return { value, declared: false, source: 'redis' };
  };
  const set = async (key: string, value: Versioned): Promise<void> => {
    local.set(key, value);
    await redis.set(key, JSON.stringify(value), 'PX', 300_000).catch(() => undefined);
  };
  return {
    lookup,
    set,
    delete: async (key) => {
      local.delete(key);
      await redis.del(key).catch(() => undefined);
    },
    getOrSet: async (key, load) => {
      const found = await lookup(key);
      if (found.value) return found.value;
      const value = await load();
      await set(key, value);
      return value;
    },
    state: () => (redis.status === 'ready' ? 'available' : 'degraded'),
    changes,
    size: () => ({ entries: local.size, bytes: 0, maxEntries: MAX_ENTRIES, maxBytes: 0, journal: 0 }),
    loadersMax: undefined,
    close: async () => redis.disconnect(),
  };
}
