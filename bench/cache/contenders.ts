import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';

import type { createRedoubt as CreateRedoubt } from '../../src/index.ts';
import { eventually } from '../../test/support/eventually.ts';

/** A cached value: a text, or an object as it comes from a database. */
export type Value = string | { readonly id: number; readonly text: string };

/** One cache in the comparison; every one is asked by the same loop. */
export interface Contender extends AsyncDisposable {
  readonly name: string;
  get(key: string): Promise<unknown>;
  set(key: string, value: Value): Promise<unknown>;
}

/** Lifetime of what is written: longer than any run. */
export const TTL_MS = 3_600_000;
const AVAILABLE_MS = 20_000;

/** The base of every ratio: ioredis as it is; it is given texts, so that it serialises nothing. */
export function openRaw(url: string, autopipelining = false): Contender {
  const redis = new Redis(url, { enableAutoPipelining: autopipelining });
  return {
    name: autopipelining ? 'ioredis, autopipelining' : 'ioredis',
    get: (key) => redis.get(key),
    set: (key, value) => redis.set(key, asText(value), 'PX', TTL_MS),
    [Symbol.asyncDispose]: async () => redis.disconnect(),
  };
}

/** The ceiling: a map in memory behind an async function, which is the least that an awaited get can be. */
export function openLru(max: number): Contender {
  const cache = new LRUCache<string, Value>({ max, ttl: TTL_MS });
  return {
    name: 'lru-cache',
    get: async (key) => cache.get(key),
    set: async (key, value) => cache.set(key, value),
    [Symbol.asyncDispose]: async () => cache.clear(),
  };
}

export interface RedoubtStart {
  readonly url: string;
  /** Entries in memory; far fewer than there are keys leaves every get to Redis. */
  readonly maxEntries: number;
  /** Takes Redis out of use, as an operator would. */
  readonly isolated?: boolean;
  readonly name?: string;
  /** Module with `createRedoubt`, such as the built dist/index.js; default: the sources. */
  readonly library?: string | undefined;
}

/** Redoubt without PostgreSQL, which no figure here touches. */
export async function openRedoubt(start: RedoubtStart): Promise<Contender> {
  const { url, maxEntries, isolated, name, library } = start;
  const { createRedoubt } = await importRedoubt(library);
  const redoubt = await createRedoubt({
    config: {
      log: { level: 'silent' },
      redis: { url },
      postgres: { url: 'none' },
      cache: { maxEntries, maxBytes: '4gb' },
      sessions: { secret: ['a-secret-for-the-bench-of-40-characters!'] },
    },
  });
  const reaches = (state: string): Promise<boolean> =>
    eventually(() => redoubt.machines.get('redis').state.startsWith(state), { withinMs: AVAILABLE_MS, what: state });
  await reaches('available');
  if (isolated) {
    redoubt.machines.send('redis', { type: 'operator.isolate' });
    await reaches('degraded.isolated');
  }
  const { cache } = redoubt;
  return {
    name: name ?? 'redoubt',
    get: (key) => cache.get(key),
    set: (key, value) => cache.set(key, value, { ttlMs: TTL_MS }),
    [Symbol.asyncDispose]: () => redoubt.close(),
  };
}

export function asText(value: Value): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/**
 * Redoubt's public API.
 *
 * @param library - a file, relative to the working directory; default: the sources
 */
export async function importRedoubt(library?: string): Promise<{ readonly createRedoubt: typeof CreateRedoubt }> {
  const file = library === undefined ? new URL('../../src/index.ts', import.meta.url) : pathToFileURL(resolve(library));
  return (await import(file.href)) as { createRedoubt: typeof CreateRedoubt };
}
