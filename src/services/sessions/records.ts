import { LRUCache } from 'lru-cache';

import type { Clock } from '../../core/clock.ts';
import { RedoubtError } from '../../core/errors.ts';
import type { Mode } from '../../core/mode.ts';
import type { Journal, MemoryTier } from './memory-tier.ts';
import type { Counts, Truth } from './notice.ts';
import type { PostgresTier } from './postgres-tier.ts';
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
  /** Called after a write went into the journal, or too many ids are distrusted. */
  readonly onOwed: () => void;
}

/** What a read found. */
export interface Found {
  readonly record: SessionRecord;
  /** Redis does not have it and should: `settleRead` brings it there once the session's life is known. */
  readonly refill: boolean;
}

interface TierResults {
  readonly redis: WriteResult;
  readonly postgres: WriteResult;
}

const ABSENT: WriteResult = { status: 'absent' };
const FAILED: WriteResult = { status: 'failed' };
const CONFLICT_RETRIES = 2;

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
      return record && record.box !== null ? { record, refill: found?.refill ?? false } : undefined;
    }
    const local = pending ?? known;
    if (local) {
      counts.readsMemory += 1;
      return { record: local, refill: false };
    }
    // Where memory is all that was ever meant to be, it is the truth, and what it does not know is not.
    if (this.#mode?.preferred === 'memory') return undefined;
    counts.unknown += 1;
    throw new RedoubtError('ERR_SESSION_UNKNOWN', { retryAfterMs: this.#options.retryAfterMs });
  }

  /**
   * Writes the next version after `base` and what is known of the id; resolves when it is acknowledged.
   *
   * @throws {RedoubtError} `ERR_SESSION_NOT_SAVED`
   */
  write(id: string, base: number, box: string, lifeMs: number): Promise<number> {
    this.#longestLifeMs = Math.max(this.#longestLifeMs, lifeMs);
    return this.exclusive(id, async () => {
      const { counts } = this.#options;
      const known = this.#known(id);
      let record = { version: Math.max(base, known?.version ?? 0) + 1, box };
      // Ended here while the request was under way: a logout beats a slow request, so the write is dropped.
      if (known?.box === null) {
        counts.conflicts += 1;
        return record.version;
      }
      let results = await this.#writeTiers(id, record, lifeMs);
      for (let retry = 0; retry < CONFLICT_RETRIES && results.redis.status === 'conflict'; retry += 1) {
        // Another instance wrote in between. The last write wins, as in every express-session store, but in both tiers alike.
        counts.conflicts += 1;
        record = { version: results.redis.version + 1, box };
        results = await this.#writeTiers(id, record, lifeMs);
      }
      if (results.redis.status === 'dead') {
        // Ended by another instance: PostgreSQL, which compares nothing, has to be told again.
        counts.conflicts += 1;
        await this.#bury(id, record.version);
        return record.version;
      }
      this.#acknowledge(id, record, lifeMs, results);
      counts.writes += 1;
      this.#touched.set(id, this.#options.clock.now());
      return record.version;
    });
  }

  /** Ends the session for good. @throws {RedoubtError} `ERR_SESSION_NOT_SAVED` */
  destroy(id: string): Promise<void> {
    return this.exclusive(id, async () => {
      const known = this.#known(id);
      if (known?.box === null) return;
      this.#options.counts.destroys += 1;
      await this.#bury(id, known?.version ?? 0);
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
      this.reads('postgres') ? postgres.touch(id, lifeMs) : undefined,
    ]);
    // Tried again at the next request; this one has nothing to do with it.
    if (results.some(({ status }) => status === 'rejected')) this.#touched.delete(id);
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

  /** After a read, when the opened session has told how long it lives: memory keeps it, Redis is filled. */
  settleRead(id: string, { record, refill }: Found, lifeMs: number): void {
    const { redis } = this.#options;
    this.keep(id, record, lifeMs);
    if (!refill || !this.reads('redis') || !redis.trusts(id)) return;
    redis.write(id, record, lifeMs).catch(() => {
      // An accelerator that was not filled costs the next read a way to PostgreSQL, nothing else: a late
      // refill cannot beat a newer version.
    });
  }

  #unchain(id: string, chained: Promise<unknown>): void {
    if (this.#chains.get(id) === chained) this.#chains.delete(id);
  }

  #known(id: string): SessionRecord | undefined {
    const pending = this.#options.journal.get(id)?.record;
    const kept = this.#options.memory.get(id);
    return pending && kept ? newerRecord(kept, pending) : (pending ?? kept);
  }

  async #readTiers(id: string, knownVersion: number): Promise<Found | undefined | 'unknown'> {
    const { redis, postgres, counts, memory } = this.#options;
    let missed = false;
    for (const backend of this.#mode?.usable ?? []) {
      try {
        if (backend === 'redis' && redis.trusts(id)) {
          const record = await redis.read(id);
          if (record && (record.box === null || record.version >= knownVersion)) {
            counts.readsRedis += 1;
            return { record, refill: false };
          }
          // Less than this process has seen: Redis came back with old data that nothing announced.
          if (record) counts.staleRedis += 1;
          missed = record === undefined;
        } else if (backend === 'postgres') {
          const record = await postgres.read(id);
          counts.readsPostgres += 1;
          return record && { record, refill: true };
        }
      } catch {
        // The backend has told the detector; here the next tier answers.
        if (backend === 'postgres') missed = false;
      }
    }
    const known = memory.get(id);
    if (!missed) return 'unknown';
    // Redis lost what this process still has, and there is no PostgreSQL to ask.
    return known && { record: known, refill: true };
  }

  async #writeTiers(id: string, record: SessionRecord, lifeMs: number): Promise<TierResults> {
    const options = this.#options;
    const write = async (tier: SharedTier): Promise<WriteResult> => {
      if (!this.takesWrites(tier)) return ABSENT;
      try {
        if (tier === 'redis') return await options.redis.write(id, record, lifeMs);
        await options.postgres.write(id, record, lifeMs);
        return { status: 'stored' };
      } catch {
        this.#reconciled.delete(tier);
        return FAILED;
      }
    };
    const [redis, postgres] = await Promise.all([write('redis'), write('postgres')]);
    return { redis, postgres };
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
    if (results.redis.status !== 'absent' && !shared) {
      // It may hold an older version, or get this one late: PostgreSQL is read until the next epoch.
      redis.distrust(id);
      if (redis.overflowed) onOwed();
    }
    memory.keep(id, record, lifeMs);
  }
}

/** A tombstone that meets a tombstone is as good as stored. */
function isTaken({ status }: WriteResult): boolean {
  return status === 'stored' || status === 'dead';
}
