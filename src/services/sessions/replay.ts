import { type Backoff, nextBackoffMs } from '../../core/backoff.ts';
import type { Clock, Timer } from '../../core/clock.ts';
import type { Journal, JournalEntry } from './memory-tier.ts';
import type { Counts, Truth } from './notice.ts';
import type { SessionRecord } from './record.ts';
import type { SessionRecords } from './records.ts';
import type { RedisTier } from './redis-tier.ts';
import type { SharedTiers } from './tiers.ts';

// Enough to hide the round trips, few enough to leave the pool to requests.
const PARALLEL = 6;
/** Records that are looked for at a time. */
const DRAIN = 100;
const RETRY: Backoff = { baseMs: 250, maxMs: 5000 };

export interface ReplayOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly records: SessionRecords;
  readonly tiers: SharedTiers;
  readonly redis: RedisTier;
  readonly journal: Journal;
  readonly counts: Counts;
  readonly truth: Truth;
}

/** Brings what the journal holds to the tiers that missed it. */
export class Replayer {
  readonly #options: ReplayOptions;
  readonly #ending = new AbortController();
  #timer: Timer | undefined;
  #failures = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
  }

  /**
   * Replays every entry that is there now; returns early when aborted.
   *
   * @throws what the tier throws; the entries that are left stay in the journal
   */
  async replay(target: Truth, signal: AbortSignal): Promise<void> {
    const waiting = this.#options.journal.entries();
    const work = async (): Promise<void> => {
      for (let next = waiting.pop(); next && !signal.aborted; next = waiting.pop()) {
        const [id, entry] = next;
        await this.#options.records.exclusive(id, () => this.#replayOne(target, id, entry));
      }
    };
    const results = await Promise.allSettled(Array.from({ length: PARALLEL }, work));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /**
   * Brings to PostgreSQL what instances without it wrote to Redis alone, one of them this or one that is gone.
   *
   * @throws what the tiers throw; what is left stays dirty
   */
  async drain(signal: AbortSignal): Promise<void> {
    const { redis, records, counts } = this.#options;
    for (let found = await redis.dirty(DRAIN); found.length > 0 && !signal.aborted; found = await redis.dirty(DRAIN)) {
      for (const dirty of found) {
        const { id, record, lifeMs } = dirty;
        if (record) await records.exclusive(id, () => records.push(id, record, lifeMs));
        await redis.clean(dirty);
        counts.replayed += 1;
      }
    }
  }

  /** Tries again in the background, with backoff, until the journal is empty or its target is out of use. */
  schedule(): void {
    const { clock, random, tiers, truth } = this.#options;
    if (this.#timer !== undefined || this.#ending.signal.aborted || !tiers.takesWrites(truth)) return;
    this.#timer = clock.setTimeout(() => void this.#retry(), nextBackoffMs(RETRY, this.#failures, random));
  }

  /** Ends the background work. */
  stop(): void {
    this.#ending.abort();
    this.#options.clock.clearTimeout(this.#timer);
  }

  async #retry(): Promise<void> {
    const { signal } = this.#ending;
    const { truth, journal } = this.#options;
    try {
      await this.replay(truth, signal);
      this.#failures = 0;
    } catch {
      // The backend has told the detector; if it trips, reconcile() replays instead of this timer.
      this.#failures += 1;
    }
    this.#timer = undefined;
    if (journal.size > 0 || this.#failures > 0) this.schedule();
  }

  async #replayOne(target: Truth, id: string, entry: JournalEntry): Promise<void> {
    const { clock, journal, counts } = this.#options;
    // A later write has taken its place, or has reached the tier itself, or its life is over.
    if (journal.get(id)?.record !== entry.record) return;
    const current = journal.get(id) ?? entry;
    const lifeMs = current.expiresAt - clock.now();
    await (target === 'postgres' ? this.#toPostgres(id, current, lifeMs) : this.#toRedis(id, current, lifeMs));
    counts.replayed += 1;
    if (target === this.#options.truth) journal.settle(id, journal.get(id));
    else journal.put(id, { ...current, shared: true });
  }

  async #toPostgres(id: string, { record }: JournalEntry, lifeMs: number): Promise<void> {
    this.#settle(id, await this.#options.records.push(id, record, lifeMs), lifeMs);
  }

  async #toRedis(id: string, { record }: JournalEntry, lifeMs: number): Promise<void> {
    const result = await this.#options.redis.write(id, record, lifeMs);
    if (result.status === 'failed') throw new Error('The epoch moves faster than the journal is replayed');
    this.#settle(id, result.status === 'held' ? result.held : undefined, lifeMs);
  }

  /** @param held - what stands there: another instance was quicker, or ended the session while this one waited */
  #settle(id: string, held: SessionRecord | undefined, lifeMs: number): void {
    if (held === undefined) return;
    const { records, counts } = this.#options;
    counts.conflicts += 1;
    records.keep(id, held, lifeMs);
  }
}
