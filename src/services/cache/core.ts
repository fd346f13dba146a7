import type { RedisBackend, SqlBackend } from '../../backends/types.ts';
import type { Config } from '../../config/schema.ts';
import type { Clock } from '../../core/clock.ts';
import { isRedoubtError } from '../../core/errors.ts';
import type { Logger } from '../../observe/log.ts';
import { Counts } from './counts.ts';
import type { Payload } from './entry.ts';
import { Journal } from './journal.ts';
import type { MemoryEntry, MemoryTier } from './memory-tier.ts';
import { News } from './news.ts';
import { type Arrival, Reads } from './reads.ts';
import { RedisTier, type Written } from './redis-tier.ts';
import { Replayer } from './replayer.ts';
import { Standing } from './standing.ts';
import { Tracker } from './tracker.ts';
import { Verifier } from './verifier.ts';
import { VersionClock } from './version.ts';
import { type WriteRequest, Writes } from './writes.ts';

/** A copy that Redis lacks is gone elsewhere, unless both were about to expire: clocks differ by less than this. */
const EXPIRY_SLACK_MS = 1000;

/** Redis refuses writes and still answers: nobody waits for it in vain. */
const WRITES_REFUSED: ReadonlySet<unknown> = new Set(['OOM', 'READONLY', 'MISCONF', 'NOREPLICAS', 'NOPERM']);

/** The embedded PostgreSQL serves one instance: all there is to hear is that its last run died. */
const ALONE_EVERY_MS = 1000;

/** Later than every version. */
const LATEST = ':';

/** A place in a namespace's memory. */
export interface Place {
  readonly memory: MemoryTier;
  /** The key within its namespace. */
  readonly key: string;
  serialised(entry: MemoryEntry): Payload;
}

export interface CoreOptions {
  readonly config: Config;
  readonly redis: RedisBackend;
  /** What instances tell each other through while Redis cannot carry it; none: they do not. */
  readonly sql: SqlBackend | undefined;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: () => number;
  /** Where a key of the fleet lies in this process; `undefined` where nothing of its namespace does. */
  readonly locate: (fleetKey: string) => Place | undefined;
  /** A key has changed, which may be a tag: what carries it and is older than that version is void. */
  readonly onTag: (fleetKey: string, version: string) => void;
  /** Every place, for what concerns them all. */
  readonly memories: () => Iterable<readonly [MemoryTier, (key: string) => string]>;
}

/**
 * What all namespaces share: what is believed, the way to Redis and back, and what Redis must still be told.
 * The protocol stands at the top of cache.ts.
 */
export class Core {
  readonly config: Config['cache'];
  readonly clock: Clock;
  readonly log: Logger;
  readonly counts = new Counts();
  readonly standing = new Standing();
  readonly versions: VersionClock;
  readonly journal: Journal;
  readonly redis: RedisTier;
  readonly reads: Reads;
  readonly writes: Writes;
  readonly replayer: Replayer;
  readonly tracker: Tracker;
  readonly news: News | undefined;
  readonly #options: CoreOptions;
  readonly #verifier: Verifier;
  /** The state of the machine gives the cache Redis. */
  #inUse = false;
  /** Redis is what is wanted: what is written without it has to be told to it. */
  #wanted = false;
  #suspended = false;
  #closed = false;
  #overflow = 0;

  constructor(options: CoreOptions) {
    const { config, redis, sql, clock, log, random, locate } = options;
    const { deadlineMs, journalMax, compressAbove, hearing, beatMs, leaseMs } = config.cache;
    const { connectTimeoutMs, keyPrefix } = config.redis;
    this.#options = options;
    this.config = config.cache;
    this.clock = clock;
    this.log = log;
    this.versions = new VersionClock(clock, random);
    this.journal = new Journal(journalMax);
    const sender = this.versions.next();
    const prefix = `${keyPrefix}c:`;
    const channel = `${prefix}changed`;
    this.redis = new RedisTier({
      redis,
      keyPrefix,
      clock,
      versions: this.versions,
      compressAbove: compressAbove > 0 ? compressAbove : Number.POSITIVE_INFINITY,
      channel,
      sender,
      publishes: () => this.tracker.hearing === 'published',
      onEpoch: (cleared) => this.#onEpoch(cleared),
      onRunId: (runId) => this.tracker.follow(runId),
    });
    const generation = (): number => this.standing.generation;
    const call = { deadlineMs };
    this.reads = new Reads({ generation, readMany: (keys) => this.redis.readMany(keys, call) });
    this.writes = new Writes((writes) => this.redis.writeMany(writes, call));
    this.#verifier = new Verifier({
      clock,
      versionsOf: (keys) => this.redis.versionsOf(keys, call),
      onVersion: (key, version) => this.#onVersion(key, version),
    });
    this.replayer = new Replayer({
      journal: this.journal,
      redis: this.redis,
      clock,
      random,
      deadlineMs,
      stepMs: connectTimeoutMs,
      peek: (key) => this.#peek(key),
      serialised: (key, entry) => locate(key)?.serialised(entry),
      onRefused: (key) => this.#forget(key),
      // A deaf PostgreSQL does not keep Redis out of use: others' changes are late then, as they were before.
      before: async () => this.news?.bus.poll().catch(() => undefined),
      onEpoch: async () => this.news?.bury().catch(() => undefined),
      onDone: () => this.#resume(),
    });
    if (sql && sql.kind !== 'none') {
      const everyMs = sql.kind === 'server' ? config.fleet.busEveryMs : ALONE_EVERY_MS;
      this.news = new News(this, { sql, clock, sender, everyMs, maxChanges: journalMax });
    }
    this.tracker = new Tracker({
      redis,
      clock,
      prefix,
      channel,
      sender,
      hearing,
      beatMs,
      leaseMs,
      onChanged: (names) => this.#onChanged(names),
      onDoubt: () => this.#onDoubt(),
      onHeard: (until) => {
        if (!this.standing.isLocal) this.standing.hitsUntil = until;
      },
    });
    this.standing.part(clock.now());
  }

  /** Whether Redis answers for the cache: in use, in time, and not void as a whole for this instance. */
  get asksRedis(): boolean {
    return this.#inUse && !this.#suspended && !this.replayer.epochDue;
  }

  /** Whether there is a Redis to be told later; without one memory is all there is. */
  get shared(): boolean {
    return this.#wanted;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The state of the machine has changed. */
  use(inUse: boolean, wanted: boolean): void {
    const begins = inUse && !this.#inUse;
    this.#wanted = wanted;
    this.#inUse = inUse;
    if (inUse) {
      if (begins) this.#resume();
      if (this.replayer.isBehind) this.replayer.schedule();
    } else {
      this.#suspended = false;
      this.replayer.stop();
      this.#part(undefined);
    }
  }

  /** Puts a value where it belongs; an outage never throws. */
  async store(place: Place, request: WriteRequest, entry: MemoryEntry, offline: boolean): Promise<void> {
    if (this.#closed) return;
    this.counts.sets += 1;
    const { key } = request;
    this.reads.drop(key);
    place.memory.set(place.key, entry);
    if (offline || !this.asksRedis) return this.#keep(place, key, entry);
    const { generation } = this.standing;
    try {
      const written = await this.writes.write(request);
      const mine = place.memory.peek(place.key) === entry;
      if (!written.applied) return mine ? place.memory.delete(place.key) : undefined;
      entry.version = written.version;
      this.journal.settle(key, written.version);
      this.news?.shared(key, written.version);
      // Another instance without Redis has written something newer meanwhile.
      if (!mine || generation !== this.standing.generation || this.journal.has(key)) return;
      entry.generation = generation;
      entry.own = this.tracker.hearing === 'tracking';
      if (written.touched) this.#verifier.add(key);
    } catch (error) {
      this.failed(error);
      this.#keep(place, key, entry);
    }
  }

  /** Deletes a key. @returns whether Redis had it; `undefined` where it could not be asked */
  async remove(place: Place, request: WriteRequest): Promise<boolean | undefined> {
    const { key, version } = request;
    this.counts.deletes += 1;
    this.reads.drop(key);
    place.memory.delete(place.key);
    if (!this.asksRedis) return this.note(key, version, 0);
    try {
      const written: Written = await this.writes.write(request);
      if (!written.applied) return false;
      this.journal.settle(key, written.version);
      this.news?.shared(key, written.version);
      return written.existed;
    } catch (error) {
      this.failed(error);
      return this.note(key, version, 0);
    }
  }

  /**
   * Notes for Redis what it may not have.
   *
   * @param until - when the value's lifetime ends, 0 for a delete
   */
  note(key: string, version: string, until: number): undefined {
    if (!this.#wanted) return;
    this.news?.apart(key, version);
    if (!this.journal.put(key, { version, until, carried: false })) {
      this.replayer.requireEpoch('');
      this.#overflow += 1;
      // Each of the others has as many of them to let go of.
      if (this.#overflow % this.config.journalMax === 1) this.news?.overflowed(version);
    }
    this.#replayLater();
  }

  /** Another instance has changed a key. @param apart - Redis does not have the change */
  heard(key: string, version: string, apart: boolean): void {
    this.versions.observe(version);
    this.reads.drop(key);
    const place = this.#options.locate(key);
    const entry = place?.memory.peek(place.key);
    if (entry && entry.version >= version) return;
    if (entry) place?.memory.delete(place.key);
    this.#options.onTag(key, version);
    this.counts.invalidations += 1;
    if (!apart) return this.journal.settle(key, version);
    if (!this.#wanted) return;
    if (!this.journal.put(key, { version, until: 0, carried: true })) this.replayer.requireEpoch('');
    this.#replayLater();
  }

  /** Other instances may have changed any key, up to that version. @param apart - Redis does not have the changes */
  heardAll(version: string, apart: boolean, cleared: boolean): void {
    this.#onDoubt();
    this.forgetCopies(version);
    if (!apart || !this.#wanted) return;
    this.replayer.requireEpoch(cleared ? version : '');
    this.#replayLater();
  }

  /** Leaves nothing in memory but this instance's own writes that Redis lacks, and of these none before a version. */
  forgetCopies(before: string): void {
    for (const [key, note] of this.journal.entries()) {
      if (note.version < before) this.journal.settle(key, note.version);
    }
    for (const [memory, fleetKeyOf] of this.#options.memories()) {
      for (const [key] of memory.entries()) {
        const fleetKey = fleetKeyOf(key);
        if (!this.journal.has(fleetKey) && !this.writes.has(fleetKey)) memory.delete(key);
      }
    }
  }

  /** A call has failed: without an answer nobody else is to wait for one. */
  failed(error: unknown): void {
    this.counts.fallbacks += 1;
    if (!this.#inUse || this.#suspended || !isSilence(error)) return;
    this.#suspended = true;
    this.counts.suspensions += 1;
    this.#part(error);
    this.#replayLater();
  }

  async clear(): Promise<void> {
    const version = this.versions.next();
    const { asksRedis } = this;
    for (const [memory] of this.#options.memories()) memory.clear();
    this.journal.clear();
    this.reads.dropAll();
    this.writes.dropAll();
    if (!this.#wanted) return;
    if (asksRedis) {
      try {
        await this.redis.raiseEpoch(version, { deadlineMs: this.config.deadlineMs });
        return this.news?.cleared(version, 'shared');
      } catch (error) {
        // It holds here from now on, and for the others once Redis can be told.
        this.failed(error);
      }
    }
    this.news?.cleared(version, 'apart');
    this.replayer.requireEpoch(version);
    this.#replayLater();
  }

  /** Whether an answer of Redis may be kept in memory. */
  mayKeep(key: string, { fresh }: Arrival): boolean {
    return fresh && !this.writes.has(key) && !this.journal.has(key);
  }

  /**
   * What memory has of a key is no longer so.
   *
   * @param deleted - it is known to have been deleted; else it may just have expired
   */
  invalidated(place: Place, entry: MemoryEntry, deleted: boolean): void {
    this.counts.invalidations += 1;
    // What merely expires in Redis stays, for a loader that fails.
    if (deleted || entry.expiresAt - this.clock.now() > EXPIRY_SLACK_MS) place.memory.delete(place.key);
    else entry.generation = 0;
  }

  async close(signal: AbortSignal): Promise<void> {
    this.#closed = true;
    this.replayer.stop();
    this.tracker.close();
    this.#verifier.close();
    const { size } = this.journal;
    if (this.redis.engaged && this.replayer.isBehind) {
      await this.replayer.run(signal).catch((error: unknown) => {
        const facts = { keys: this.journal.size, err: error };
        this.log.warn(facts, 'The cache stops before Redis has taken all of its writes');
      });
    } else if (size > 0) {
      this.log.warn({ keys: size }, 'The cache stops without Redis: it never saw the last writes of these keys');
    }
    await this.news?.bus.leave(!this.replayer.isBehind);
    this.journal.clear();
  }

  #keep(place: Place, key: string, entry: MemoryEntry): void {
    const noted = this.journal.get(key);
    if (noted && noted.version > entry.version) {
      // Another instance has told of something newer meanwhile.
      if (place.memory.peek(place.key) === entry) place.memory.delete(place.key);
      return;
    }
    const known = place.memory.peek(place.key);
    if (!known) place.memory.set(place.key, entry);
    if (!known || known === entry) entry.generation = this.standing.isLocal ? this.standing.generation : 0;
    this.note(key, entry.version, entry.expiresAt);
  }

  #part(reason: unknown): void {
    if (!this.standing.isLocal && this.#wanted) this.news?.bus.setApart(true);
    this.standing.part(this.clock.now());
    this.reads.giveUp(reason);
    this.writes.giveUp(reason);
  }

  /** Redis is up to date with this instance, and asked again. */
  #resume(): void {
    if (!this.#inUse || this.#closed) return;
    this.#suspended = false;
    if (!this.replayer.isBehind) this.news?.bus.setApart(false);
    if (!this.standing.isLocal) return;
    this.standing.share();
    this.standing.hitsUntil = this.tracker.heardUntil;
  }

  #replayLater(): void {
    if (this.#inUse && !this.#closed) this.replayer.schedule();
  }

  #peek(key: string): MemoryEntry | undefined {
    const place = this.#options.locate(key);
    return place?.memory.peek(place.key);
  }

  #forget(key: string): void {
    const place = this.#options.locate(key);
    place?.memory.delete(place.key);
  }

  #onChanged(redisKeys: readonly string[]): void {
    for (const name of redisKeys) {
      const key = this.redis.keyOf(name);
      if (key === 'epoch') this.#onDoubt();
      else if (key !== undefined) this.#invalidate(key);
    }
  }

  #invalidate(key: string): void {
    this.reads.drop(key);
    // Which version the tag has now is not known; whatever carries it has to be read again.
    this.#options.onTag(key, LATEST);
    if (this.writes.touch(key) || this.journal.has(key)) return;
    const place = this.#options.locate(key);
    const entry = place?.memory.peek(place.key);
    if (!place || !entry) return;
    if (entry.own) return this.#verifier.add(key);
    this.invalidated(place, entry, false);
  }

  #onVersion(key: string, version: string | undefined): void {
    const place = this.#options.locate(key);
    const entry = place?.memory.peek(place.key);
    if (!place || !entry || this.writes.has(key) || this.journal.has(key)) return;
    if (version !== undefined && entry.version !== version) return place.memory.delete(place.key);
    entry.own = false;
    // Redis could not be asked: good for a copy, and no more.
    if (version === undefined && !this.standing.isLocal) entry.generation = 0;
  }

  #onDoubt(): void {
    this.standing.doubt();
    this.reads.dropAll();
  }

  /** Every key in Redis is void: so are the copies of them, and our own writes from before the last clear(). */
  #onEpoch(cleared: string): void {
    this.counts.epochs += 1;
    this.#onDoubt();
    this.forgetCopies(cleared);
  }
}

/** Whether Redis did not answer at all. A late answer of our own blocked loop, a full ramp or a refusal is none of that. */
function isSilence(error: unknown): boolean {
  if (isRedoubtError(error, 'ERR_DEADLINE')) return error.details['late'] !== true;
  return (
    isRedoubtError(error, 'ERR_REDIS_UNAVAILABLE') &&
    error.details['reason'] !== 'EPOCH_MOVING' &&
    !WRITES_REFUSED.has(error.details['reason'])
  );
}
