/**
 * The cache: Redis first, this process' memory when Redis cannot be asked.
 *
 * Modes. The state of the machine gives `redis` or `memory`; `applyMode` alone changes it.
 *
 * - `redis`: Redis is asked, and memory keeps a copy of what passes, for an outage; it does not
 *   answer, since another instance may have written since. A call that fails or runs past
 *   `cache.deadline` is answered from memory at once.
 * - `memory`: Redis is not touched. What this instance wrote or deleted since is a `hit` or a `miss`;
 *   copies from before are `stale`, for `cache.grace`; all else is `unknown`.
 *
 * What moves a key. A write or delete that Redis did not confirm is noted in the journal, and from
 * then on the key is answered here, in either mode, until it has been replayed: the writer never
 * reads its own old value. The replay happens in `reconcile`, before Redis is used again, and in the
 * background for a call that failed while Redis stayed in use.
 *
 * Promises.
 *
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
import type { RedisBackend } from '../../backends/types.ts';
import type { Config } from '../../config/schema.ts';
import type { Clock } from '../../core/clock.ts';
import { type ErrorCode, RedoubtError } from '../../core/errors.ts';
import { type Mode, type Service, type ServiceReport, scopeOf } from '../../core/mode.ts';
import type { Logger } from '../../observe/log.ts';
import { assertKey, graceMsOf, lifetimeMs } from './check.ts';
import { type Payload, decodeValue, encodeValue } from './entry.ts';
import { InFlight } from './in-flight.ts';
import { Journal } from './journal.ts';
import { Loader } from './loader.ts';
import { LocalView } from './local-view.ts';
import { type MemoryEntry, MemoryTier } from './memory-tier.ts';
import { RedisTier } from './redis-tier.ts';
import { Replayer } from './replayer.ts';
import type { Cache, CacheSetOptions, CacheStats, GetOrSetOptions, Lookup } from './types.ts';
import { VersionClock } from './version.ts';

export interface CacheOptions {
  readonly config: Config;
  readonly redis: RedisBackend;
  readonly log: Logger;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Makes the cache. It serves from the first `applyMode` on, which has to come before any call. */
export function createCache(options: CacheOptions): Cache & Service {
  return new CacheService(options);
}

interface Storing {
  readonly version: string;
  readonly ttlMs: number;
  /** How long past its lifetime memory keeps it. */
  readonly keepMs: number;
  /** What is left for Redis; 0: it has just failed, do not ask it again. */
  readonly deadlineMs: number;
  /** Whether it is the newest whatever the clocks say: yes for a caller's value, no for a load begun earlier. */
  readonly insists: boolean;
}

class CacheService implements Cache, Service {
  readonly name = 'cache';
  readonly #config: Config['cache'];
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #versions: VersionClock;
  readonly #memory: MemoryTier;
  readonly #journal: Journal;
  readonly #redis: RedisTier;
  readonly #replayer: Replayer;
  readonly #local: LocalView;
  readonly #loader: Loader;
  readonly #reads = new InFlight();
  readonly #writes = new InFlight();
  readonly #counts = {
    hits: 0,
    misses: 0,
    stale: 0,
    unknown: 0,
    sets: 0,
    deletes: 0,
    fallbacks: 0,
    epochs: 0,
  };
  #mode: Mode | undefined;
  #lostAt: number | undefined;
  #closed = false;

  constructor({ config, redis, log, clock, random }: CacheOptions) {
    const { maxEntries, maxBytes, sweepEveryMs, journalMax, deadlineMs } = config.cache;
    const { connectTimeoutMs, keyPrefix } = config.redis;
    const versions = new VersionClock(clock, random);
    this.#config = config.cache;
    this.#log = log;
    this.#clock = clock;
    this.#versions = versions;
    this.#memory = new MemoryTier({ clock, maxEntries, maxBytes, sweepEveryMs });
    this.#journal = new Journal(journalMax);
    const onEpoch = (cleared: string): void => this.#onEpoch(cleared);
    this.#redis = new RedisTier({ redis, keyPrefix, deadlineMs, clock, versions, onEpoch });
    const kept = { journal: this.#journal, memory: this.#memory, clock };
    this.#replayer = new Replayer({ ...kept, redis: this.#redis, random, stepMs: connectTimeoutMs });
    this.#local = new LocalView({ ...kept, versions, graceMs: config.cache.graceMs });
    this.#loader = new Loader({
      clock,
      log,
      memory: this.#memory,
      versions,
      maxValueBytes: config.cache.maxValueBytes,
      store: (key, payload, version, { graceMs, ...load }) =>
        this.#store(key, payload, { ...load, version, keepMs: graceMs, insists: false }),
    });
  }

  async get<T = unknown>(key: string): Promise<T | undefined> {
    const found = await this.lookup<T>(key);
    return found.status === 'hit' || found.status === 'stale' ? found.value : undefined;
  }

  async lookup<T = unknown>(key: string): Promise<Lookup<T>> {
    this.#assertUsable(key);
    return this.#count(await this.#find<T>(key, 0));
  }

  async has(key: string): Promise<boolean> {
    this.#assertUsable(key);
    const { status } = await this.#find(key, 0);
    return status === 'hit' || status === 'stale';
  }

  async set(key: string, value: unknown, options: CacheSetOptions = {}): Promise<void> {
    this.#assertUsable(key);
    const ttlMs = lifetimeMs(options.ttlMs, this.#config.ttlMs);
    const payload = encodeValue(value, this.#config.maxValueBytes);
    this.#loader.drop(key);
    const version = this.#versions.next();
    await this.#store(key, payload, { version, ttlMs, keepMs: 0, deadlineMs: this.#config.deadlineMs, insists: true });
  }

  async delete(key: string): Promise<boolean> {
    this.#assertUsable(key);
    this.#counts.deletes += 1;
    const version = this.#versions.next();
    const wasHere = this.#local.has(key);
    const wasNoted = this.#journal.has(key);
    this.#loader.drop(key);
    const token = this.#beginWrite(key);
    this.#memory.delete(key);
    try {
      if (!this.#asksRedis) {
        this.#note(key, version, 0);
        return wasHere;
      }
      const insists = (): boolean => this.#writes.holds(key, token);
      const written = await this.#redis.write({ key, version, payload: undefined, ageMs: 0, lifetimeMs: 0, insists });
      if (written.applied) this.#journal.settle(key, written.version);
      return (wasNoted && wasHere) || (written.applied && written.existed);
    } catch {
      // Redis' trouble is the detector's to tell; the delete holds here, and goes to Redis later.
      this.#counts.fallbacks += 1;
      this.#note(key, version, 0);
      return wasHere;
    } finally {
      this.#writes.end(key, token);
    }
  }

  async getOrSet<T>(key: string, load: () => T | Promise<T>, options: GetOrSetOptions = {}): Promise<T> {
    this.#assertUsable(key);
    const ttlMs = lifetimeMs(options.ttlMs, this.#config.ttlMs);
    const graceMs = graceMsOf(options.graceMs, this.#config.graceMs);
    const startedAt = this.#clock.now();
    const found = this.#count(await this.#find<T>(key, graceMs));
    if (found.status === 'hit' || found.status === 'stale') return found.value;
    // One deadline for both visits to Redis, the load between them apart.
    const spentMs = this.#clock.now() - startedAt;
    const deadlineMs = found.status === 'unknown' ? 0 : Math.max(0, this.#config.deadlineMs - spentMs);
    return this.#loader.run<T>(key, load, { ttlMs, graceMs, deadlineMs });
  }

  async clear(): Promise<void> {
    this.#assertOpen();
    const version = this.#versions.next();
    const asksRedis = this.#asksRedis;
    this.#memory.clear();
    this.#journal.clear();
    for (const inFlight of [this.#reads, this.#writes, this.#loader]) inFlight.dropAll();
    if (!this.#shared) return;
    if (asksRedis) {
      try {
        return await this.#redis.raiseEpoch(version);
      } catch {
        // As for a delete: it holds here from now on, and for the others once Redis can be told.
        this.#counts.fallbacks += 1;
      }
    }
    this.#replayer.requireEpoch(version);
    this.#replayLater();
  }

  stats(): CacheStats {
    const { hits, misses, unknown, sets, deletes } = this.#counts;
    const { loads, loadFailures, stale: stoodIn } = this.#loader.counts;
    const { size: entries, bytes, evictions } = this.#memory;
    const stale = this.#counts.stale + stoodIn;
    const journal = this.#journal.size;
    return { hits, misses, stale, unknown, sets, deletes, loads, loadFailures, evictions, entries, bytes, journal };
  }

  applyMode(mode: Mode): void {
    this.#mode = mode;
    if (mode.backend === 'redis') {
      this.#lostAt = undefined;
      this.#replayLater();
    } else {
      this.#lostAt ??= this.#clock.now();
      this.#replayer.stop();
    }
  }

  async reconcile(dependency: 'redis' | 'postgres', signal: AbortSignal): Promise<void> {
    if (dependency !== 'redis') return;
    signal.throwIfAborted();
    await this.#replayer.run(signal);
  }

  report(): ServiceReport {
    const mode = this.#currentMode;
    const notice = this.#notice();
    const { fallbacks, epochs } = this.#counts;
    return {
      backend: mode.backend,
      preferred: mode.preferred,
      scope: scopeOf(mode),
      ...(notice ? { notice } : {}),
      counters: { ...this.stats(), fallbacks, epochs, replayed: this.#replayer.replayed },
    };
  }

  async close(signal: AbortSignal): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#replayer.stop();
    const { size } = this.#journal;
    if (this.#redis.engaged && (size > 0 || this.#replayer.epochDue)) {
      await this.#replayer.run(signal).catch((error: unknown) => {
        const facts = { keys: this.#journal.size, err: error };
        this.#log.warn(facts, 'The cache stops before Redis has taken all of its writes');
      });
    } else if (size > 0) {
      this.#log.warn({ keys: size }, 'The cache stops without Redis: it never saw the last writes of these keys');
    }
    this.#memory.close();
    this.#journal.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Bounded all the same: each batch ends by its deadline, and the first that fails is the last.
    await this.close(new AbortController().signal);
  }

  /** Whether Redis answers for the cache: in use, and not void as a whole for this instance. */
  get #asksRedis(): boolean {
    return this.#currentMode.backend === 'redis' && !this.#replayer.epochDue;
  }

  /** Whether there is a Redis to be told later; without one memory is all there is. */
  get #shared(): boolean {
    return this.#currentMode.preferred === 'redis';
  }

  get #currentMode(): Mode {
    if (!this.#mode) throw new TypeError('applyMode() comes before the cache is used');
    return this.#mode;
  }

  #assertOpen(): void {
    if (this.#closed) throw new RedoubtError('ERR_CLOSED');
  }

  #assertUsable(key: unknown): void {
    this.#assertOpen();
    assertKey(key, this.#config.maxKeyBytes);
  }

  async #find<T>(key: string, keepMs: number): Promise<Lookup<T>> {
    if (!this.#asksRedis || this.#journal.has(key)) return this.#findHere(key, 'ERR_REDIS_UNAVAILABLE');
    const token = this.#reads.begin(key);
    try {
      const stored = await this.#redis.read(key);
      // Written here meanwhile, and Redis could not be told.
      if (this.#journal.has(key)) return this.#findHere(key, 'ERR_REDIS_UNAVAILABLE');
      // Answered after a write of ours, the copy would be older than what memory has.
      if (this.#reads.holds(key, token)) this.#local.copy(key, stored, keepMs);
      if (!stored?.payload) return { status: 'miss', source: 'redis' };
      const ageMs = Math.max(0, this.#versions.redisNow() - stored.writtenAt);
      return { status: 'hit', value: decodeValue(stored.payload) as T, source: 'redis', ageMs };
    } catch (error) {
      // Not logged: the backend has told the detector, and the answer says where it comes from.
      this.#counts.fallbacks += 1;
      return this.#findHere(key, error instanceof RedoubtError ? error.code : 'ERR_REDIS_REPLY');
    } finally {
      this.#reads.end(key, token);
    }
  }

  #findHere<T>(key: string, reason: ErrorCode): Lookup<T> {
    return this.#local.find<T>(key, {
      unasked: this.#shared ? reason : undefined,
      lostAt: this.#lostAt,
      cleared: this.#replayer.clearDue,
    });
  }

  #beginWrite(key: string): number {
    this.#reads.drop(key);
    return this.#writes.begin(key);
  }

  async #store(key: string, payload: Payload, storing: Storing): Promise<void> {
    if (this.#closed) return;
    const { version, ttlMs, keepMs, deadlineMs } = storing;
    this.#counts.sets += 1;
    const token = this.#beginWrite(key);
    const now = this.#clock.now();
    const entry: MemoryEntry = { payload, version, writtenAt: now, expiresAt: now + ttlMs, keepMs, vouched: true };
    this.#memory.set(key, entry);
    try {
      if (!this.#asksRedis || deadlineMs <= 0) return this.#note(key, version, entry.expiresAt);
      const insists = (): boolean => storing.insists && this.#writes.holds(key, token);
      const written = await this.#redis.write(
        { key, version, payload, ageMs: 0, lifetimeMs: ttlMs, insists },
        deadlineMs,
      );
      if (written.applied) {
        entry.version = written.version;
        entry.vouched = false;
        this.#journal.settle(key, written.version);
      } else if (this.#memory.peek(key) === entry) this.#memory.delete(key);
    } catch {
      // As for a delete: the write holds here, and goes to Redis later.
      this.#counts.fallbacks += 1;
      this.#note(key, version, entry.expiresAt);
    } finally {
      this.#writes.end(key, token);
    }
  }

  /** @param until - when the value's lifetime ends, 0 for a delete */
  #note(key: string, version: string, until: number): void {
    if (!this.#shared) return;
    if (!this.#journal.put(key, { version, until })) this.#replayer.requireEpoch('');
    this.#replayLater();
  }

  #replayLater(): void {
    if (this.#mode?.backend === 'redis' && !this.#closed) this.#replayer.schedule();
  }

  #onEpoch(cleared: string): void {
    this.#counts.epochs += 1;
    this.#reads.dropAll();
    this.#local.forget(cleared);
  }

  #notice(): string | undefined {
    if (!this.#shared) return undefined;
    if (this.#replayer.epochDue) return 'The whole cache starts cold when Redis is used again.';
    if (this.#currentMode.backend === 'redis') return undefined;
    return "Answers come from this instance's memory; it does not see what the others write until Redis is used again.";
  }

  #count<L extends Lookup>(found: L): L {
    if (found.status === 'hit') this.#counts.hits += 1;
    else if (found.status === 'miss') this.#counts.misses += 1;
    else this.#counts[found.status] += 1;
    return found;
  }
}
