import { LRUCache } from 'lru-cache';

import type { Clock } from '../../core/clock.ts';
import { RedoubtError } from '../../core/errors.ts';
import type { Journal, MemoryTier } from './memory-tier.ts';
import type { Counts, Truth } from './notice.ts';
import { type SessionRecord, newerRecord, touchPauseMs } from './record.ts';
import type { SharedTiers, TierWrite } from './tiers.ts';

export interface RecordsOptions {
  readonly clock: Clock;
  readonly tiers: SharedTiers;
  readonly memory: MemoryTier;
  readonly journal: Journal;
  readonly counts: Counts;
  readonly ttlMs: number;
  readonly touchEveryMs: number;
  readonly retryAfterMs: number;
  /** Most ids whose last touch is remembered. */
  readonly touchMax: number;
  readonly truth: Truth;
  /** Without PostgreSQL nothing is read or acknowledged. */
  readonly strict: boolean;
  /** The error of a write that nobody may acknowledge. */
  readonly notSaved: () => RedoubtError;
  /** Called after a write went into the journal. */
  readonly onOwed: () => void;
}

/** Each one that is lost means that another instance's write of this session got through. */
const CONFLICT_RETRIES = 32;

/** A write of what a request made of a session. */
export interface Change {
  /** The version that the request read; `undefined` writes over whatever is there. */
  readonly base: number | undefined;
  readonly box: string;
  readonly lifeMs: number;
  /** What becomes of a change whose session was ended after another one had been written to it. */
  readonly afterEnd: 'dropped' | 'refused';
  /** The change, joined with what another request wrote. @throws {RedoubtError} `ERR_SESSION_CONFLICT` */
  readonly rebase: (theirs: SessionRecord) => string;
}

/** Reads and writes sealed records, one write of an id at a time; the protocol stands at the top of sessions.ts. */
export class SessionRecords {
  readonly #options: RecordsOptions;
  readonly #chains = new Map<string, Promise<unknown>>();
  readonly #touched: LRUCache<string, number>;
  #longestLifeMs: number;

  constructor(options: RecordsOptions) {
    this.#options = options;
    this.#touched = new LRUCache({ max: options.touchMax });
    this.#longestLifeMs = options.ttlMs;
  }

  /** Waits for the writes that are in flight now; each ends by its deadlines. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#chains.values());
  }

  /**
   * @returns a tombstone too; `undefined` where nothing is known
   * @throws {RedoubtError} `ERR_SESSION_UNKNOWN` where nobody who may know the id answers
   */
  async read(id: string): Promise<SessionRecord | undefined> {
    const { tiers, memory, counts, strict, truth, clock, onOwed } = this.#options;
    const before = this.#known(id);
    if (before?.box === null) return before;
    const found = await tiers.read(id, before?.version ?? 0);
    // Again, since a logout may have been acknowledged while the tiers were asked.
    const known = this.#known(id);
    if (known?.box === null) return known;
    if (found === undefined && known && truth === 'redis') {
      // Redis lost what this process still has, and nobody else can be asked.
      this.#options.journal.put(id, { record: known, expiresAt: clock.now() + memory.lifeMs(id), shared: false });
      onOwed();
    }
    const pending = this.#options.journal.get(id)?.record;
    if (found !== 'unknown') return pending && found ? newerRecord(found, pending) : (pending ?? found);
    if (known && !strict) {
      counts.readsMemory += 1;
      return known;
    }
    // Where memory is all that was ever meant to be, it is the truth, and what it does not know is not.
    if (tiers.mode?.preferred === 'memory') return undefined;
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
    this.#longestLifeMs = Math.max(this.#longestLifeMs, change.lifeMs);
    return this.exclusive(id, () => this.#compareAndSet(id, change));
  }

  /** Ends the session for good. @throws {RedoubtError} `ERR_SESSION_NOT_SAVED` */
  destroy(id: string): Promise<void> {
    return this.exclusive(id, async () => {
      this.#options.counts.destroys += 1;
      await this.#bury(id, this.#known(id)?.version ?? 0);
    });
  }

  /** Prolongs a session that was only read; `undefined` where it is too early for that. Never rejects. */
  touch(id: string, lifeMs: number): Promise<void> | undefined {
    const { clock, touchEveryMs, counts, memory, journal } = this.#options;
    const last = this.#touched.get(id);
    if (last !== undefined && clock.now() - last < touchPauseMs(touchEveryMs, lifeMs)) return undefined;
    this.#touched.set(id, clock.now());
    counts.touches += 1;
    memory.prolong(id, lifeMs);
    journal.prolong(id, lifeMs);
    return this.#touch(id, lifeMs);
  }

  /**
   * How many sessions live.
   *
   * @throws {RedoubtError} `ERR_SESSION_UNKNOWN` where PostgreSQL does not answer, `ERR_SESSION_METHOD` where there is none
   */
  async count(): Promise<number> {
    const { tiers, retryAfterMs, truth } = this.#options;
    if (truth === 'redis') {
      throw new RedoubtError('ERR_SESSION_METHOD', { message: 'store.length() without PostgreSQL' });
    }
    const count = await tiers.count();
    if (count === undefined) throw new RedoubtError('ERR_SESSION_UNKNOWN', { retryAfterMs });
    return count;
  }

  /**
   * Brings a record that is already acknowledged to PostgreSQL, and to Redis as any other write; inside `exclusive`.
   *
   * @returns what stands there instead, where it came too late
   * @throws {RedoubtError} `ERR_POSTGRES_UNAVAILABLE` where PostgreSQL did not take it
   */
  async push(id: string, record: SessionRecord, lifeMs: number): Promise<SessionRecord | undefined> {
    const result = await this.#options.tiers.write(id, record, lifeMs);
    if (result.by !== 'truth' && !(result.status === 'held' && result.split)) {
      throw new RedoubtError('ERR_POSTGRES_UNAVAILABLE');
    }
    // What Redis holds besides was acknowledged by an instance that could not reach PostgreSQL, and is dirty there.
    return result.status === 'held' ? result.held : undefined;
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

  async #touch(id: string, lifeMs: number): Promise<void> {
    // Tried again at the next request; this one has nothing to do with it.
    if (!(await this.#options.tiers.touch(id, lifeMs))) this.#touched.delete(id);
  }

  #unchain(id: string, chained: Promise<unknown>): void {
    if (this.#chains.get(id) === chained) this.#chains.delete(id);
  }

  #known(id: string): SessionRecord | undefined {
    const pending = this.#options.journal.get(id)?.record;
    const kept = this.#options.memory.get(id);
    return pending && kept ? newerRecord(kept, pending) : (pending ?? kept);
  }

  async #compareAndSet(id: string, { base, box, lifeMs, rebase, afterEnd }: Change): Promise<number> {
    const { counts, clock, tiers } = this.#options;
    const known = this.#known(id);
    let record = { version: (base ?? known?.version ?? 0) + 1, box };
    let held = known && (known.box === null || known.version >= record.version) ? known : undefined;
    let isSplit = false;
    for (let tries = 0; tries <= CONFLICT_RETRIES; tries += 1) {
      if (held) {
        counts.conflicts += 1;
        // A logout beats a slow request. Ended right after what this one read, the request happened just before it;
        // with another write between, its answer may lack what the other's user has already seen.
        if (held.box === null) {
          if (isSplit) await this.#bury(id, record.version);
          // A session that was not read is no slow request of the one that was ended: it must not seem to be stored.
          const mayDrop = base !== undefined && (held.version === record.version || afterEnd === 'dropped');
          if (isSplit || mayDrop) return record.version;
          throw new RedoubtError('ERR_SESSION_CONFLICT', { ended: true });
        }
        const version = Math.max(held.version, isSplit ? record.version : 0) + 1;
        try {
          record = { version, box: base === undefined ? box : rebase(held) };
        } catch (error) {
          // What is refused here must not stay in PostgreSQL either.
          if (isSplit) await this.push(id, { version, box: held.box }, lifeMs);
          throw error;
        }
      }
      const result = await tiers.write(id, record, lifeMs);
      if (result.status === 'stored') {
        this.#acknowledge(id, record, lifeMs, result);
        counts.writes += 1;
        this.#touched.set(id, clock.now());
        return record.version;
      }
      held = result.held;
      isSplit = result.split;
      if (!isSplit) this.keep(id, held, held.box === null ? this.#longestLifeMs : lifeMs);
    }
    counts.rejected += 1;
    throw new RedoubtError('ERR_SESSION_CONFLICT', { tries: CONFLICT_RETRIES });
  }

  async #bury(id: string, version: number): Promise<void> {
    const tombstone = { version: version + 1, box: null };
    const result = await this.#options.tiers.write(id, tombstone, this.#longestLifeMs);
    // Nothing stands in the way of a tombstone.
    if (result.status === 'stored') {
      this.#acknowledge(id, { ...tombstone, version: result.version }, this.#longestLifeMs, result);
    }
    this.#touched.delete(id);
  }

  #acknowledge(
    id: string,
    record: SessionRecord,
    lifeMs: number,
    { by }: Extract<TierWrite, { status: 'stored' }>,
  ): void {
    const { memory, journal, counts, clock, notSaved, onOwed } = this.#options;
    if (by === 'truth') {
      journal.settle(id, journal.get(id));
    } else {
      const kept = journal.put(id, { record, expiresAt: clock.now() + lifeMs, shared: by === 'redis' });
      if (!kept) counts.journalRefused += 1;
      if (!kept && by === 'nobody') {
        counts.notSaved += 1;
        throw notSaved();
      }
      onOwed();
    }
    memory.keep(id, record, lifeMs);
  }
}
