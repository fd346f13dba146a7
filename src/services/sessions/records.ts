import { LRUCache } from 'lru-cache';

import type { Clock } from '../../core/clock.ts';
import { RedoubtError } from '../../core/errors.ts';
import type { Mode } from '../../core/mode.ts';
import type { Fleet } from '../../fleet/fleet.ts';
import type { Journal, MemoryTier } from './memory-tier.ts';
import type { Counts, Truth } from './notice.ts';
import type { PostgresTier, PostgresWriteResult } from './postgres-tier.ts';
import { type SessionRecord, type WriteResult, newerRecord } from './record.ts';
import type { RedisTier } from './redis-tier.ts';

const SHARED_TIERS = ['redis', 'postgres'] as const;
type SharedTier = (typeof SHARED_TIERS)[number];

export interface RecordsOptions {
  readonly clock: Clock;
  readonly redis: RedisTier;
  readonly postgres: PostgresTier;
  readonly memory: MemoryTier;
  readonly journal: Journal;
  readonly counts: Counts;
  /** Whose acknowledgement lets a write leave the journal. */
  readonly truth: Truth;
  readonly ttlMs: number;
  readonly touchEveryMs: number;
  readonly retryAfterMs: number;
  /** Most ids whose last touch is remembered. */
  readonly touchMax: number;
  /** The other instances; nothing is asked of them where no PostgreSQL is configured. */
  readonly fleet: Fleet;
  /** Without PostgreSQL nothing is read or acknowledged. */
  readonly strict: boolean;
  /** Called after a write went into the journal, or too many ids are distrusted. */
  readonly onOwed: () => void;
  /** Called when PostgreSQL has a write that Redis has not: the next epoch must be a new one. */
  readonly onPassedBy: () => void;
}

/** What a read found. */
export interface Found {
  readonly record: SessionRecord;
  /** Redis does not have it and should, under this epoch: `settleRead` brings it there once its life is known. */
  readonly refill: number | undefined;
}

interface TierResults {
  readonly redis: WriteResult;
  readonly postgres: WriteResult;
}

const ABSENT: WriteResult = { status: 'absent' };
const FAILED: WriteResult = { status: 'failed' };
const NOT_IN_POSTGRES: PostgresWriteResult = { status: 'failed', epoch: 0 };
/** Each one that is lost means that another instance's write of this session got through. */
const CONFLICT_RETRIES = 8;

/** A write of what a request made of a session. */
export interface Change {
  /** The version that the request read; `undefined` writes over whatever is there. */
  readonly base: number | undefined;
  readonly box: string;
  readonly lifeMs: number;
  /** The change, joined with what another request wrote. @throws {RedoubtError} `ERR_SESSION_CONFLICT` */
  readonly rebase: (theirs: SessionRecord) => string;
}

/** Reads and writes sealed records over the tiers; the protocol stands at the top of sessions.ts. */
export class SessionRecords {
  readonly #options: RecordsOptions;
  readonly #chains = new Map<string, Promise<unknown>>();
  readonly #reconciled = new Set<SharedTier>();
  readonly #touched: LRUCache<string, number>;
  #mode: Mode | undefined;
  #longestLifeMs: number;

  constructor(options: RecordsOptions) {
    this.#options = options;
    this.#touched = new LRUCache({ max: options.touchMax });
    this.#longestLifeMs = options.ttlMs;
  }

  applyMode(mode: Mode): void {
    this.#mode = mode;
    // From here on the mode alone says whether they are written to; when it takes them away, nothing lingers.
    for (const tier of SHARED_TIERS) if (mode.usable.includes(tier)) this.#reconciled.delete(tier);
  }

  /** From now on writes go to `tier` too, although its mode is not given out yet. */
  admit(tier: SharedTier): void {
    this.#reconciled.add(tier);
  }

  /** Whether `tier` is read from. */
  reads(tier: SharedTier): boolean {
    return this.#mode?.usable.includes(tier) ?? false;
  }

  /** Whether `tier` is written to. */
  takesWrites(tier: SharedTier): boolean {
    return this.reads(tier) || this.#reconciled.has(tier);
  }

  /** Waits for the writes that are in flight now; each ends by its deadlines. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#chains.values());
  }

  /** @throws {RedoubtError} `ERR_SESSION_UNKNOWN` where nobody who may know the id answers */
  async read(id: string): Promise<Found | undefined> {
    const { memory, journal, counts } = this.#options;
    if ((journal.get(id)?.record ?? memory.get(id))?.box === null) return undefined;
    const found = await this.#readTiers(id, memory.get(id)?.version ?? 0);
    // Again, since a logout may have been acknowledged while the tiers were asked.
    const pending = journal.get(id)?.record;
    const known = memory.get(id);
    if (pending?.box === null || known?.box === null) return undefined;
    if (found !== 'unknown') {
      const record = pending && found ? newerRecord(found.record, pending) : (pending ?? found?.record);
      return record && record.box !== null ? { record, refill: found?.refill } : undefined;
    }
    const local = this.#options.strict ? undefined : (pending ?? known);
    if (local) {
      counts.readsMemory += 1;
      return { record: local, refill: undefined };
    }
    // Where memory is all that was ever meant to be, it is the truth, and what it does not know is not.
    if (this.#mode?.preferred === 'memory') return undefined;
    counts.unknown += 1;
    throw new RedoubtError('ERR_SESSION_UNKNOWN', { retryAfterMs: this.#options.retryAfterMs });
  }

  /**
   * Writes the next version after the one that the request read, joined with what others wrote meanwhile;
   * resolves to the version when it is acknowledged. A session that was ended meanwhile stays so: the
   * change is dropped.
   *
   * @throws {RedoubtError} `ERR_SESSION_NOT_SAVED`, `ERR_SESSION_CONFLICT`
   */
  write(id: string, change: Change): Promise<number> {
    const { base, lifeMs } = change;
    this.#longestLifeMs = Math.max(this.#longestLifeMs, lifeMs);
    return this.exclusive(id, async () => {
      const { counts, clock } = this.#options;
      const known = this.#known(id);
      let record = { version: (base ?? known?.version ?? 0) + 1, box: change.box };
      let held = known && (known.box === null || known.version >= record.version) ? known : undefined;
      for (let tries = 0; tries <= CONFLICT_RETRIES; tries += 1) {
        if (held) {
          counts.conflicts += 1;
          // A logout beats a slow request. Ended right after what this one read, it happened just before;
          // with another write between, its answer would be one that the other's user has already seen.
          if (held.box === null) {
            if (held.version === record.version) return record.version;
            throw new RedoubtError('ERR_SESSION_CONFLICT', { ended: true });
          }
          record = { version: held.version + 1, box: base === undefined ? change.box : change.rebase(held) };
        }
        const results = await this.#writeTiers(id, record, lifeMs);
        if (results.postgres.status === 'dead' || results.redis.status === 'dead') {
          counts.conflicts += 1;
          // Ended by another instance; the tier that does not know it yet is told.
          await this.#bury(id, record.version);
          return record.version;
        }
        held = heldOf(results);
        if (held) continue;
        this.#acknowledge(id, record, lifeMs, results);
        counts.writes += 1;
        this.#touched.set(id, clock.now());
        return record.version;
      }
      counts.rejected += 1;
      throw new RedoubtError('ERR_SESSION_CONFLICT', { tries: CONFLICT_RETRIES });
    });
  }

  /** Ends the session for good. @throws {RedoubtError} `ERR_SESSION_NOT_SAVED` */
  destroy(id: string): Promise<void> {
    return this.exclusive(id, async () => {
      this.#options.counts.destroys += 1;
      await this.#bury(id, this.#known(id)?.version ?? 0);
    });
  }

  /** Prolongs a session that was only read, at most once every `touchEvery`; never fails. */
  async touch(id: string, lifeMs: number): Promise<void> {
    const { clock, touchEveryMs, counts, memory, journal, redis, postgres } = this.#options;
    const last = this.#touched.get(id);
    // A short session must not run out between two touches.
    if (last !== undefined && clock.now() - last < Math.min(touchEveryMs, lifeMs / 2)) return;
    this.#touched.set(id, clock.now());
    counts.touches += 1;
    memory.prolong(id, lifeMs);
    journal.prolong(id, lifeMs);
    const results = await Promise.allSettled([
      this.reads('redis') ? redis.touch(id, lifeMs) : undefined,
      this.#hasPostgres ? postgres.touch(id, lifeMs) : undefined,
    ]);
    // Tried again at the next request; this one has nothing to do with it.
    if (results.some(({ status }) => status === 'rejected')) this.#touched.delete(id);
  }

  /**
   * Brings a record that is already acknowledged to PostgreSQL, and to Redis as any other write; inside `exclusive`.
   *
   * @throws {RedoubtError} `ERR_POSTGRES_UNAVAILABLE` where PostgreSQL did not take it
   */
  async push(id: string, record: SessionRecord, lifeMs: number): Promise<WriteResult> {
    const { postgres, redis } = await this.#writeTiers(id, record, lifeMs);
    if (postgres.status === 'failed' || postgres.status === 'absent')
      throw new RedoubtError('ERR_POSTGRES_UNAVAILABLE');
    // What Redis holds besides was acknowledged by an instance that could not reach PostgreSQL, and is dirty there.
    return redis.status === 'dead' ? redis : postgres;
  }

  /** Runs `work` after every earlier write of this id, so that no tier sees two of them in the wrong order. */
  exclusive<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#chains.get(id);
    const run = before ? before.then(work, work) : work();
    const chained: Promise<unknown> = run.then(
      () => this.#unchain(id, chained),
      () => this.#unchain(id, chained),
    );
    this.#chains.set(id, chained);
    return run;
  }

  /** Keeps a record for the case that both tiers are gone. */
  keep(id: string, record: SessionRecord, lifeMs: number): void {
    this.#options.memory.keep(id, record, lifeMs);
  }

  /**
   * After a read, when the opened session has told how long it lives: memory keeps it, Redis is filled. Waits for
   * Redis: who reads after this one must not find there what is older.
   */
  async settleRead(id: string, { record, refill }: Found, lifeMs: number): Promise<void> {
    const { redis, truth } = this.#options;
    this.keep(id, record, lifeMs);
    if (refill === undefined || !this.reads('redis') || !redis.trusts(id)) return;
    // An accelerator that was not filled costs the next read a way to PostgreSQL, nothing else: a late
    // refill cannot beat a newer version or epoch.
    const options = truth === 'postgres' ? { epoch: refill } : {};
    await redis.write(id, record, lifeMs, options).catch(() => undefined);
  }

  #unchain(id: string, chained: Promise<unknown>): void {
    if (this.#chains.get(id) === chained) this.#chains.delete(id);
  }

  #known(id: string): SessionRecord | undefined {
    const pending = this.#options.journal.get(id)?.record;
    const kept = this.#options.memory.get(id);
    return pending && kept ? newerRecord(kept, pending) : (pending ?? kept);
  }

  /** Whether PostgreSQL is in use; one that left the last heartbeat unanswered is not waited for where Redis is there. */
  get #hasPostgres(): boolean {
    return this.takesWrites('postgres') && !(this.#options.fleet.failing && this.takesWrites('redis'));
  }

  /** Whether Redis may be believed: with everybody's consent where PostgreSQL is the truth and answers. */
  #believesRedis(id: string): boolean {
    const { redis, fleet, truth, strict } = this.#options;
    if (!redis.trusts(id)) return false;
    if (truth === 'redis' || (!this.#hasPostgres && !strict)) return true;
    return redis.isAccepted && redis.epoch === fleet.epoch && fleet.trusts();
  }

  async #readTiers(id: string, knownVersion: number): Promise<Found | undefined | 'unknown'> {
    const { redis, postgres, counts, truth, strict, fleet } = this.#options;
    const usesRedis = this.reads('redis');
    const believed = usesRedis && this.#believesRedis(id);
    const epoch = redis.epoch;
    const readRedis = async (follow: boolean): Promise<Found | undefined> => {
      const record = await redis.read(id, follow);
      if (record === undefined) return undefined;
      if (record.box === null || record.version >= knownVersion) {
        counts.readsRedis += 1;
        return { record, refill: undefined };
      }
      // Less than this process has seen: Redis came back with old data that nothing announced.
      counts.staleRedis += 1;
      return undefined;
    };
    let answered = false;
    if (believed) {
      try {
        const found = await readRedis(truth === 'redis' || !this.#hasPostgres);
        if (found) return found;
        answered = true;
      } catch {
        // The backend has told the detector; here the next tier answers.
      }
    }
    if (this.reads('postgres')) {
      try {
        const { record, epoch: at } = await postgres.read(id);
        counts.readsPostgres += 1;
        fleet.see(at);
        return record && { record, refill: believed && at === epoch ? epoch : undefined };
      } catch {
        // As above.
      }
    }
    if (usesRedis && !believed && !strict) {
      const found = await readRedis(true).catch(() => undefined);
      if (found) return found;
    }
    // What Redis does not know is not, only where Redis is the truth.
    if (!answered || truth === 'postgres') return 'unknown';
    const known = this.#options.memory.get(id);
    // Redis lost what this process still has, and there is no PostgreSQL to ask.
    return known && { record: known, refill: epoch };
  }

  /** PostgreSQL first: what it refuses must not be seen in Redis by anybody. */
  async #writeTiers(id: string, record: SessionRecord, lifeMs: number): Promise<TierResults> {
    const { redis: tier, fleet, truth, strict, retryAfterMs, onPassedBy, counts } = this.#options;
    const believed = this.reads('redis') && this.#believesRedis(id);
    let postgres = await this.#writePostgres(id, record, lifeMs);
    if (postgres.status === 'conflict') {
      // Whoever wrote it may have died before it reached Redis; read there again, it would be in the way for ever.
      this.keep(id, postgres.held, lifeMs);
      if (believed) await tier.write(id, postgres.held, lifeMs, { epoch: postgres.epoch }).catch(() => undefined);
      return { postgres, redis: ABSENT };
    }
    if (postgres.status === 'dead' && record.box !== null) return { postgres, redis: ABSENT };
    const isIn = isTaken(postgres);
    if (strict && truth === 'postgres' && !isIn) {
      counts.notSaved += 1;
      throw new RedoubtError('ERR_SESSION_NOT_SAVED', { retryAfterMs });
    }
    let redis: WriteResult = ABSENT;
    if (this.takesWrites('redis')) {
      const options = isIn ? { epoch: postgres.epoch } : { dirty: truth === 'postgres' };
      redis = await tier.write(id, record, lifeMs, options).catch(() => FAILED);
      if (redis.status === 'failed') this.#reconciled.delete('redis');
    }
    if (isIn && (redis.status === 'absent' || redis.status === 'failed')) {
      onPassedBy();
      const isListed = await fleet.blind().then(
        () => true,
        () => false,
      );
      if (!isListed) postgres = NOT_IN_POSTGRES;
      if (!isListed && strict) throw new RedoubtError('ERR_SESSION_NOT_SAVED', { retryAfterMs });
    }
    return { redis, postgres };
  }

  async #writePostgres(id: string, record: SessionRecord, lifeMs: number): Promise<PostgresWriteResult> {
    const { postgres, fleet } = this.#options;
    if (!this.takesWrites('postgres')) return { ...ABSENT, epoch: 0 };
    if (!this.#hasPostgres) return NOT_IN_POSTGRES;
    try {
      // Before the write, so that nobody here sees early what others cannot see yet.
      if (!this.takesWrites('redis')) await fleet.blind();
      const result = await postgres.write(id, record, lifeMs);
      fleet.see(result.epoch);
      return result;
    } catch {
      this.#reconciled.delete('postgres');
      return NOT_IN_POSTGRES;
    }
  }

  async #bury(id: string, version: number): Promise<void> {
    const tombstone = { version: version + 1, box: null };
    const results = await this.#writeTiers(id, tombstone, this.#longestLifeMs);
    this.#acknowledge(id, tombstone, this.#longestLifeMs, results);
    this.#touched.delete(id);
  }

  #acknowledge(id: string, record: SessionRecord, lifeMs: number, results: TierResults): void {
    const { redis, memory, journal, counts, truth, clock, retryAfterMs, onOwed } = this.#options;
    const shared = isTaken(results.redis);
    if (isTaken(results[truth])) {
      journal.settle(id, journal.get(id));
    } else {
      const kept = journal.put(id, { record, expiresAt: clock.now() + lifeMs, shared });
      if (!kept) counts.journalRefused += 1;
      if (!kept && !shared) {
        counts.notSaved += 1;
        throw new RedoubtError('ERR_SESSION_NOT_SAVED', { retryAfterMs });
      }
      onOwed();
    }
    if (results.redis.status === 'failed') {
      // It may hold an older version, or get this one late: PostgreSQL is read until the next epoch.
      redis.distrust(id);
      if (redis.overflowed) onOwed();
    }
    memory.keep(id, record, lifeMs);
  }
}

/** What stands in the way of a write, newer first. */
function heldOf({ redis, postgres }: TierResults): SessionRecord | undefined {
  if (postgres.status === 'conflict') return postgres.held;
  return redis.status === 'conflict' ? redis.held : undefined;
}

/** A tombstone that meets a tombstone is as good as stored. */
function isTaken({ status }: WriteResult): boolean {
  return status === 'stored' || status === 'dead';
}
