/**
 * The peers, each with L1 and Redis as its README sets it up for production, or with Redis alone. They are imported
 * by name and through interfaces of our own: their types are there only where bench/ is installed.
 */
import { type Contender, TTL_MS, asText } from './contenders.ts';

/** Keys that each L1 holds at most: more than a run has. */
const L1_ENTRIES = 100_000;

interface Keyed {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown, ttl?: number): Promise<unknown>;
  disconnect?(): Promise<unknown>;
}

type Class<T> = new (...args: readonly unknown[]) => T;
type Make<T> = (...args: readonly unknown[]) => T;

/** `null` of its stores means the documented example; with `l1: false` Redis alone. */
export interface PeerStart {
  readonly url: string;
  readonly l1: boolean;
}

/** bentocache.dev, "multi-tier": memory, Redis, and the Redis bus that keeps memories of instances together. */
export async function openBentocache({ url, l1 }: PeerStart): Promise<Contender> {
  interface Store {
    useL1Layer(driver: unknown): Store;
    useL2Layer(driver: unknown): Store;
    useBus(driver: unknown): Store;
  }
  interface Bento {
    get(options: object): Promise<unknown>;
    set(options: object): Promise<unknown>;
    disconnectAll(): Promise<void>;
  }
  const { BentoCache, bentostore } = await peer<{ BentoCache: Class<Bento>; bentostore: Make<Store> }>('bentocache');
  const { memoryDriver } = await peer<{ memoryDriver: Make<unknown> }>('bentocache/drivers/memory');
  const { redisDriver, redisBusDriver } = await peer<{ redisDriver: Make<unknown>; redisBusDriver: Make<unknown> }>(
    'bentocache/drivers/redis',
  );
  const { hostname: host, port } = new URL(url);
  const connection = { host, port: Number(port) };
  const redis = redisDriver({ connection });
  const store = l1
    ? bentostore()
        .useL1Layer(memoryDriver({ maxItems: L1_ENTRIES }))
        .useL2Layer(redis)
        .useBus(redisBusDriver({ connection }))
    : bentostore().useL2Layer(redis);
  const bento = new BentoCache({ default: 'both', stores: { both: store } });
  return {
    name: 'bentocache',
    get: (key) => bento.get({ key }),
    set: (key, value) => bento.set({ key, value, ttl: TTL_MS }),
    [Symbol.asyncDispose]: () => bento.disconnectAll(),
  };
}

/** cacheable's README, "Non-Blocking with @keyv/redis"; that way it asks Redis only in the background. */
export async function openCacheable({ url }: PeerStart): Promise<Contender> {
  const { Cacheable } = await peer<{ Cacheable: Class<Required<Keyed>> }>('cacheable');
  const { createKeyvNonBlocking } = await peer<{ createKeyvNonBlocking: Make<unknown> }>('@keyv/redis');
  const cache = new Cacheable({ secondary: createKeyvNonBlocking(url), nonBlocking: true, ttl: TTL_MS });
  return named('cacheable', cache);
}

/** cache-manager's README: CacheableMemory in front of @keyv/redis. */
export async function openCacheManager({ url, l1 }: PeerStart): Promise<Contender> {
  const { createCache } = await peer<{ createCache: Make<Keyed> }>('cache-manager');
  const { Keyv } = await peer<{ Keyv: Class<unknown> }>('keyv');
  const { default: KeyvRedis } = await peer<{ default: Class<unknown> }>('@keyv/redis');
  const { CacheableMemory } = await peer<{ CacheableMemory: Class<unknown> }>('cacheable');
  const redis = new Keyv({ store: new KeyvRedis(url) });
  const memory = new Keyv({ store: new CacheableMemory({ ttl: TTL_MS, lruSize: L1_ENTRIES }) });
  return named('cache-manager', createCache({ stores: l1 ? [memory, redis] : [redis], ttl: TTL_MS }));
}

/** layered-loader's README, "Redis pub/sub": in-memory LRU, RedisCache, and a notification pair. */
export async function openLayeredLoader({ url, l1 }: PeerStart): Promise<Contender> {
  interface Manual extends Keyed {
    init(): Promise<void>;
    close(): Promise<void>;
  }
  interface Closed {
    disconnect(): void;
  }
  const library = await peer<{
    ManualCache: Class<Manual>;
    RedisCache: Class<unknown>;
    createNotificationPair: Make<{ publisher: unknown; consumer: unknown }>;
  }>('layered-loader');
  const { Redis } = await peer<{ Redis: Class<Closed> }>('ioredis');
  const clients = Array.from({ length: 3 }, () => new Redis(url));
  const [redis, consumerRedis, publisherRedis] = clients;
  const asyncCache = new library.RedisCache(redis, { json: true, ttlInMsecs: TTL_MS });
  const pair = { channel: 'bench', consumerRedis, publisherRedis };
  const { publisher: notificationPublisher, consumer: notificationConsumer } = library.createNotificationPair(pair);
  const inMemoryCache = { cacheType: 'lru-map', ttlInMsecs: TTL_MS, maxItems: L1_ENTRIES };
  const cache = new library.ManualCache(
    l1
      ? { inMemoryCache, asyncCache, notificationConsumer, notificationPublisher }
      : { inMemoryCache: false, asyncCache },
  );
  if (l1) await cache.init();
  return {
    name: 'layered-loader',
    get: (key) => cache.get(key),
    set: (key, value) => cache.set(key, value),
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) client.disconnect();
    },
  };
}

/** node-redis' README, "Client Side Caching"; it holds replies, so a value is read from its text each time. */
export async function openNodeRedis({ url, l1 }: PeerStart): Promise<Contender> {
  interface Client {
    on(event: 'error', listener: () => void): unknown;
    connect(): Promise<unknown>;
    destroy(): void;
    get(key: string): Promise<string | null>;
    set(key: string, value: string, options: object): Promise<unknown>;
  }
  const { createClient } = await peer<{ createClient: Make<Client> }>('redis');
  const client = createClient({
    url,
    RESP: 3,
    ...(l1 ? { clientSideCache: { ttl: 0, maxEntries: 0, evictPolicy: 'LRU' } } : {}),
  });
  client.on('error', () => undefined);
  await client.connect();
  return {
    name: l1 ? 'node-redis client-side' : 'node-redis',
    get: (key) => client.get(key),
    set: (key, value) => client.set(key, asText(value), { expiration: { type: 'PX', value: TTL_MS } }),
    [Symbol.asyncDispose]: async () => client.destroy(),
  };
}

function named(name: string, cache: Keyed): Contender {
  return {
    name,
    get: (key) => cache.get(key),
    set: (key, value) => cache.set(key, value, TTL_MS),
    [Symbol.asyncDispose]: async () => {
      await cache.disconnect?.();
    },
  };
}

async function peer<T>(name: string): Promise<T> {
  try {
    return (await import(name)) as T;
  } catch (cause) {
    throw new Error(`${name} is missing: run npm ci in bench/ first`, { cause });
  }
}
