/**
 * The cache: this process' memory in front of Redis, coherent with the other instances; memory alone when Redis
 * cannot be asked.
 *
 * Who answers.
 *
 * - Coherent: every instance is told of every change (tracker.ts). What memory has of the present *generation* is a
 *   hit (source `l1`) for as long as the last sign of life of that connection proves that no news is missing. All
 *   else is read from Redis, the reads of one tick in one command, and kept.
 * - Alone: Redis is out of use by the machine's state, or *suspended* because one call had no answer by
 *   `cache.deadline`: then nobody else waits for it, those under way included, until it has answered in time again.
 *   What this instance wrote or deleted since is a `hit` or a `miss`; copies from before are `stale`, for
 *   `cache.grace`; all else is `unknown`.
 *
 * What moves a key. A write or delete that Redis did not confirm is noted in the journal, and from then on the key is
 * answered here until it has been replayed: the writer never reads its own old value. The replay happens in
 * `reconcile`, before Redis is used again, and in the background for what failed while Redis stayed in use.
 *
 * Promises.
 *
 * - News: a generation ends whenever news may have been missed (the connection broke, Redis was flushed, is another
 *   one, or began a new epoch), and with it all that memory could answer. A read on its way when its key changes
 *   is not kept. A key's own write does not evict it: a report tells who wrote in that turn of Redis, and where that
 *   was not this instance alone the key's version is looked up (verifier.ts).
 * - Versions: each write carries one (version.ts), Redis refuses one that is older than what it has,
 *   and a delete leaves a tombstone (redis-tier.ts). A write that timed out and is executed late never
 *   beats a newer set or delete. A write that somebody is waiting for and that is refused, because
 *   another instance's clock is ahead, takes a higher version and tries again; a replayed one yields.
 *   What fences is a value or tombstone that is there: a newer value whose lifetime is over is not.
 * - Epochs: the epoch is a part of each key. clear(), a journal that overflowed and a Redis that was
 *   restarted or failed over start a new one: cold, but nothing old comes back.
 * - A load in flight when its key is written, deleted or cleared is not stored, nor joined by later callers.
 * - An outage never throws, and no operation waits for Redis longer than `cache.deadline`.
 */
import type { RedisBackend, SqlBackend } from '../../backends/types.ts';
import type { Config } from '../../config/schema.ts';
import type { Clock } from '../../core/clock.ts';
import { RedoubtError } from '../../core/errors.ts';
import { type Mode, type Service, type ServiceReport, scopeOf } from '../../core/mode.ts';
import type { Logger } from '../../observe/log.ts';
import { assertKey } from './check.ts';
import type { Place } from './coherence.ts';
import { Core } from './core.ts';
import { LoadLock } from './load-lock.ts';
import { LoadGate } from './loader.ts';
import type { MemoryTier } from './memory-tier.ts';
import { type Common, SPACE, Space } from './space.ts';
import { Tags } from './tags.ts';
import type {
  Cache,
  CacheEntry,
  CacheSetOptions,
  CacheSpace,
  CacheStats,
  GetOrSetOptions,
  Lookup,
  NamespaceOptions,
} from './types.ts';
import { Writer } from './writer.ts';

export interface CacheOptions {
  readonly config: Config;
  readonly redis: RedisBackend;
  /** Default: none, so instances do not hear of each other while Redis is gone. */
  readonly sql?: SqlBackend;
  readonly log: Logger;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Makes the cache. It serves from the first `applyMode` on, which has to come before any call. */
export function createCache(options: CacheOptions): Cache & Service {
  return new CacheService(options);
}

/** Each has a memory of its own. */
const MAX_NAMESPACES = 100;

/** Some polls of the bus: changes that others made longer ago have arrived. */
const HEARD_MS = 2000;

class CacheService implements Cache, Service {
  readonly name = 'cache';
  readonly isUsed = true;
  readonly #core: Core;
  readonly #tags: Tags;
  readonly #common: Common;
  readonly #main: Space;
  readonly #spaces = new Map<string, Space>();
  #mode: Mode | undefined;

  constructor(options: CacheOptions) {
    const { config, clock, random, sql } = options;
    const core = new Core({
      ...options,
      sql,
      layout: {
        locate: (fleetKey) => this.#locate(fleetKey),
        memories: () => this.#memories(),
        onTag: (fleetKey, version) => {
          const tag = Tags.of(fleetKey);
          if (tag !== undefined) this.#tags.dropped(tag, version);
        },
      },
    });
    const { deadlineMs, maxLoads } = config.cache;
    const asksRedis = (): boolean => core.asksRedis;
    const lock = new LoadLock({ clock, redis: core.redis, sql, owner: core.versions.next(), asksRedis, deadlineMs });
    this.#core = core;
    const writer = new Writer(core);
    this.#tags = new Tags(core, writer, () => this.#allSpaces().map(({ memory }) => memory));
    this.#common = { core, writer, tags: this.#tags, gate: new LoadGate(maxLoads), lock, random };
    this.#main = new Space(this.#common, '', {});
  }

  get [SPACE](): Space {
    return this.#main;
  }

  get<T = unknown>(key: string): Promise<T | undefined> {
    return this.#main.get<T>(key);
  }

  lookup<T = unknown>(key: string): Promise<Lookup<T>> {
    return this.#main.lookup<T>(key);
  }

  has(key: string): Promise<boolean> {
    return this.#main.has(key);
  }

  set(key: string, value: unknown, options?: CacheSetOptions): Promise<void> {
    return this.#main.set(key, value, options);
  }

  delete(key: string): Promise<boolean> {
    return this.#main.delete(key);
  }

  getOrSet<T>(key: string, load: () => T | Promise<T>, options?: GetOrSetOptions): Promise<T> {
    return this.#main.getOrSet(key, load, options);
  }

  getMany<T = unknown>(keys: readonly string[]): Promise<(T | undefined)[]> {
    return this.#main.getMany<T>(keys);
  }

  setMany(entries: Iterable<CacheEntry>, options?: CacheSetOptions): Promise<void> {
    return this.#main.setMany(entries, options);
  }

  deleteMany(keys: readonly string[]): Promise<number> {
    return this.#main.deleteMany(keys);
  }

  async deleteByTag(tag: string): Promise<void> {
    this.#assertOpen();
    assertKey(tag, this.#core.config.maxKeyBytes);
    for (const { loader } of this.#allSpaces()) loader.dropAll();
    await this.#tags.delete(tag);
  }

  namespace(name: string, options: NamespaceOptions = {}): CacheSpace {
    this.#assertOpen();
    assertKey(name, this.#core.config.maxKeyBytes);
    const known = this.#spaces.get(name);
    if (known) return known;
    if (name.includes('\u0000') || this.#spaces.size >= MAX_NAMESPACES) {
      throw new RedoubtError('ERR_CACHE_KEY', { message: `no further namespace, or its name holds U+0000` });
    }
    const space = new Space(this.#common, name, options);
    this.#spaces.set(name, space);
    return space;
  }

  async clear(): Promise<void> {
    this.#assertOpen();
    for (const { loader } of this.#allSpaces()) loader.dropAll();
    await this.#core.clear();
  }

  stats(): CacheStats {
    const { counts, journal } = this.#core;
    const { hits, l1Hits, redisHits, memoryHits, misses, unknown, sets, deletes } = counts;
    const spaces = this.#allSpaces();
    const sum = (of: (space: Space) => number): number => spaces.reduce((total, space) => total + of(space), 0);
    return {
      hits,
      l1Hits,
      redisHits,
      memoryHits,
      misses,
      stale: counts.stale + sum(({ loader }) => loader.counts.stale),
      unknown,
      sets,
      deletes,
      loads: sum(({ loader }) => loader.counts.loads),
      loadFailures: sum(({ loader }) => loader.counts.loadFailures),
      evictions: sum(({ memory }) => memory.evictions),
      entries: sum(({ memory }) => memory.size),
      bytes: sum(({ memory }) => memory.bytes),
      journal: journal.size,
    };
  }

  applyMode(mode: Mode): void {
    this.#mode = mode;
    this.#core.use(mode.backend === 'redis', mode.preferred === 'redis');
  }

  async reconcile(dependency: 'redis' | 'postgres', signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (dependency === 'postgres') {
      await this.#common.lock.join(signal);
      await this.#core.news?.bus.join(signal);
      return;
    }
    await this.#core.replayer.run(signal);
  }

  report(): ServiceReport {
    if (!this.#mode) throw new TypeError('applyMode() comes before the cache is used');
    const mode = this.#mode;
    const notice = this.#notice(mode);
    const { fallbacks, epochs, suspensions, invalidations } = this.#core.counts;
    const { replayed } = this.#core.replayer;
    const { standing, clock, hotKeys } = this.#core;
    return {
      backend: mode.backend,
      preferred: mode.preferred,
      scope: scopeOf(mode),
      ...(notice ? { notice } : {}),
      counters: {
        ...this.stats(),
        fallbacks,
        epochs,
        suspensions,
        invalidations,
        replayed,
        loadsRunning: this.#common.gate.running,
        staleMs: standing.isLocal && this.#core.shared ? Math.round(clock.now() - standing.heardAt) : 0,
        hotShare: hotKeys.sharePercent,
      },
    };
  }

  async close(signal: AbortSignal): Promise<void> {
    if (this.#core.closed) return;
    await this.#core.close(signal);
    for (const space of this.#allSpaces()) space.close();
    this.#tags.memory.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Bounded all the same: each batch ends by its deadline, and the first that fails is the last.
    await this.close(new AbortController().signal);
  }

  #assertOpen(): void {
    if (this.#core.closed) throw new RedoubtError('ERR_CLOSED');
  }

  #allSpaces(): Space[] {
    return [this.#main, ...this.#spaces.values()];
  }

  #locate(fleetKey: string): Place | undefined {
    if (!fleetKey.startsWith('\u0000')) return this.#main.place(fleetKey);
    const tag = Tags.of(fleetKey);
    if (tag !== undefined) return this.#tags.place(tag);
    const [, , name = ''] = fleetKey.split('\u0000', 3);
    const space = this.#spaces.get(name);
    return space?.place(fleetKey.slice(space.fleetKeyOf('').length));
  }

  #memories(): readonly (readonly [MemoryTier, (key: string) => string])[] {
    const spaces = this.#allSpaces().map((space) => [space.memory, (key: string) => space.fleetKeyOf(key)] as const);
    return [...spaces, [this.#tags.memory, (tag) => this.#tags.fleetKeyOf(tag)]];
  }

  #notice({ backend, preferred }: Mode): string | undefined {
    if (preferred !== 'redis') return undefined;
    if (this.#core.replayer.epochDue) return 'The whole cache starts cold when Redis is used again.';
    if (backend !== 'redis') {
      const { standing, clock } = this.#core;
      return clock.now() - standing.heardAt < HEARD_MS
        ? "Answers come from this instance's memory; it hears through PostgreSQL what the others change."
        : "Answers come from this instance's memory; it does not see what the others write until Redis is used again.";
    }
    const { hearing } = this.#core.tracker;
    if (hearing === 'published') return 'Redis refuses tracking, so instances tell each other of changes on a channel.';
    if (hearing === 'none') return 'Redis tells nothing of changes, so every read goes there.';
    return undefined;
  }
}
