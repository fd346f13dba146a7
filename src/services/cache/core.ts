import type { RedisBackend, SqlBackend } from '../../backends/types.ts';
import type { Config } from '../../config/schema.ts';
import type { Clock } from '../../core/clock.ts';
import { RedoubtError } from '../../core/errors.ts';
import type { Logger } from '../../observe/log.ts';
import { Coherence, type Layout } from './coherence.ts';
import { Counts } from './counts.ts';
import { isSilence } from './failure.ts';
import { HotKeys } from './hot-keys.ts';
import { Journal } from './journal.ts';
import { News } from './news.ts';
import { type Arrival, Reads } from './reads.ts';
import { RedisTier } from './redis-tier.ts';
import { Replayer } from './replayer.ts';
import { Standing } from './standing.ts';
import { Tracker } from './tracker.ts';
import { Turns } from './turns.ts';
import { VersionClock } from './version.ts';
import { Writes } from './writes.ts';

/** The embedded PostgreSQL serves one instance: all there is to hear is that its last run died. */
const ALONE_EVERY_MS = 1000;

export interface CoreOptions {
  readonly config: Config;
  readonly redis: RedisBackend;
  /** What instances tell each other through while Redis cannot carry it; none: they do not. */
  readonly sql: SqlBackend | undefined;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: () => number;
  readonly layout: Layout;
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
  readonly hotKeys = new HotKeys();
  readonly turns = new Turns();
  readonly standing = new Standing();
  readonly versions: VersionClock;
  readonly journal: Journal;
  readonly redis: RedisTier;
  readonly reads: Reads;
  readonly writes: Writes;
  readonly replayer: Replayer;
  readonly tracker: Tracker;
  readonly news: News | undefined;
  readonly coherence: Coherence;
  readonly #memories: Layout['memories'];
  /** The state of the machine gives the cache Redis. */
  #inUse = false;
  /** Redis is what is wanted: what is written without it has to be told to it. */
  #wanted = false;
  #suspended = false;
  #closed = false;

  constructor(options: CoreOptions) {
    const { config, redis, sql, clock, log, random, layout } = options;
    const { deadlineMs, journalMax, replayWaitMs, compressAbove, hearing, beatMs, leaseMs } = config.cache;
    const { connectTimeoutMs, keyPrefix } = config.redis;
    this.#memories = layout.memories;
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
      onEpoch: (cleared) => this.coherence.epochMoved(cleared),
      onRunId: (runId) => this.tracker.follow(runId),
    });
    const generation = (): number => this.standing.generation;
    const call = { deadlineMs };
    this.reads = new Reads({ generation, readMany: (keys) => this.redis.readMany(keys, call) });
    this.writes = new Writes((writes) => this.redis.writeMany(writes, call));
    this.coherence = new Coherence({
      ...layout,
      clock,
      counts: this.counts,
      standing: this.standing,
      versions: this.versions,
      journal: this.journal,
      redis: this.redis,
      reads: this.reads,
      writes: this.writes,
      deadlineMs,
      carry: (key, version, author) => this.#carry(key, version, author),
      requireEpoch: (cleared) => this.#requireEpoch(cleared),
    });
    this.replayer = new Replayer({
      journal: this.journal,
      redis: this.redis,
      clock,
      random,
      deadlineMs,
      stepMs: connectTimeoutMs,
      waitMs: replayWaitMs,
      peek: (key) => this.coherence.peek(key),
      serialised: (key, entry) => layout.locate(key)?.serialised(entry),
      onRefused: (key) => this.coherence.forget(key),
      // A deaf PostgreSQL does not keep Redis out of use: others' changes are late then, as they were before.
      before: async () => this.news?.bus.poll().catch(() => undefined),
      isApart: (author) => this.news?.bus.isApart(author) ?? false,
      onEpoch: async () => this.news?.bury().catch(() => undefined),
      onDone: () => this.#resume(),
    });
    if (sql && sql.kind !== 'none') {
      const everyMs = sql.kind === 'server' ? config.fleet.busEveryMs : ALONE_EVERY_MS;
      const { versions, standing } = this;
      const host = { clock, versions, standing, onRejoined: () => this.#settleRejoined() };
      this.news = new News(host, this.coherence, { sql, clock, sender, everyMs, maxChanges: journalMax });
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
      onChanged: (names) => this.coherence.changed(names),
      onDoubt: () => this.coherence.doubt(),
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
      if (!begins) return;
      this.#resume();
      this.replayer.start();
    } else {
      this.#suspended = false;
      this.replayer.stop();
      this.#part(new RedoubtError('ERR_REDIS_UNAVAILABLE'));
    }
  }

  /** A call has failed: without an answer nobody else is to wait for one. */
  failed(error: unknown): void {
    this.counts.fallbacks += 1;
    if (!this.#inUse || this.#suspended || !isSilence(error)) return;
    this.#suspended = true;
    this.counts.suspensions += 1;
    this.#part(error);
    this.replayLater();
  }

  async clear(): Promise<void> {
    const version = this.versions.next();
    const { asksRedis } = this;
    for (const [memory] of this.#memories()) memory.clear();
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
    this.replayLater();
  }

  /** Whether an answer of Redis may be kept in memory. */
  mayKeep(key: string, { fresh }: Arrival): boolean {
    return fresh && !this.writes.has(key) && !this.journal.has(key);
  }

  async close(signal: AbortSignal): Promise<void> {
    this.#closed = true;
    this.replayer.stop();
    this.tracker.close();
    this.coherence.close();
    const { owed } = this.journal;
    if (this.redis.engaged && this.replayer.owes) {
      await this.replayer.run(signal, Number.POSITIVE_INFINITY).catch((error: unknown) => {
        const facts = { keys: this.journal.owed, err: error };
        this.log.warn(facts, 'The cache stops before Redis has taken all of its writes');
      });
    } else if (owed > 0) {
      this.log.warn({ keys: owed }, 'The cache stops without Redis: it never saw the last writes of these keys');
    }
    await this.news?.bus.leave(!this.replayer.owes);
    this.journal.clear();
  }

  #part(reason: unknown): void {
    if (!this.standing.isLocal && this.#wanted) this.news?.bus.setApart(true);
    this.standing.part(this.clock.now());
    this.reads.giveUp(reason);
    this.writes.giveUp(reason);
  }

  /** Redis answers in time, and is asked again for all that is not in the journal. */
  #resume(): void {
    if (!this.#inUse || this.#closed) return;
    this.#suspended = false;
    if (!this.replayer.owes) this.news?.bus.setApart(false);
    this.#settleRejoined();
    if (!this.standing.isLocal) return;
    this.standing.share();
    this.standing.hitsUntil = this.tracker.heardUntil;
  }

  #carry(key: string, version: string, sender: string): void {
    if (!this.#wanted) return;
    const note = { version, until: 0, sender, heardAt: this.clock.now() } as const;
    if (!this.journal.carry(key, note)) return this.#requireEpoch('');
    if (this.#inUse && !this.#closed) this.replayer.scheduleCarrying();
  }

  /** Of what others have brought to Redis by now, Redis can be asked again. Alone, what was heard of it is all there is. */
  #settleRejoined(): void {
    if (this.asksRedis) this.replayer.settleRejoined();
  }

  #requireEpoch(cleared: string): void {
    if (!this.#wanted) return;
    this.replayer.requireEpoch(cleared);
    this.replayLater();
  }

  /** Brings Redis up to date soon, where it is in use. */
  replayLater(): void {
    if (this.#inUse && !this.#closed) this.replayer.schedule();
  }
}
