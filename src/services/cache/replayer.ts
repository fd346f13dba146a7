import { type Backoff, nextBackoffMs } from '../../core/backoff.ts';
import type { Clock, Timer } from '../../core/clock.ts';
import type { Journal, Note } from './journal.ts';
import type { MemoryEntry } from './memory-tier.ts';
import type { RedisTier, Write } from './redis-tier.ts';

/** Bounds of one batch: what a Redis on a slow link takes well within a call's deadline. */
const BATCH_KEYS = 256;
const BATCH_BYTES = 1_048_576;

/** What another instance has written since is newer than anything in the journal. */
const yields = (): boolean => false;

/** One small call each time, so often enough that a Redis which answers again is soon used again. */
const RETRY: Backoff = { baseMs: 50, maxMs: 400 };

export interface ReplayerOptions {
  readonly journal: Journal;
  readonly redis: RedisTier;
  readonly clock: Clock;
  readonly random: () => number;
  /** Bound of the first step, which shows whether Redis answers callers in time. */
  readonly deadlineMs: number;
  /** Bound of each further step: nobody waits for it, so it may be longer than a call's deadline. */
  readonly stepMs: number;
  /** What memory has of a key. */
  readonly peek: (key: string) => MemoryEntry | undefined;
  readonly serialised: (key: string, entry: MemoryEntry) => Write['payload'];
  /** Redis has something newer: memory's entry is void. */
  readonly onRefused: (key: string, entry: MemoryEntry) => void;
  /** Before anything else: whatever else has to be heard. */
  readonly before: () => Promise<unknown>;
  /** A new epoch has begun by this instance. */
  readonly onEpoch: () => Promise<unknown>;
  /** A background run has got through. */
  readonly onDone: () => void;
}

interface Planned {
  readonly write: Write;
  readonly entry: MemoryEntry | undefined;
}

/**
 * Brings Redis up to what this instance has answered for: a new epoch where one is due, then the
 * journal in batches. Runs when Redis returns, and by itself, with backoff, for writes that failed
 * while Redis was in use.
 */
export class Replayer {
  readonly #options: ReplayerOptions;
  #epochDue: { readonly cleared: string } | undefined;
  #running: Promise<void> | undefined;
  #timer: Timer;
  #background: AbortController | undefined;
  #failures = 0;
  #replayed = 0;

  constructor(options: ReplayerOptions) {
    this.#options = options;
  }

  /** Whether Redis' content as a whole is void for this instance until a new epoch has begun. */
  get epochDue(): boolean {
    return this.#epochDue !== undefined;
  }

  /** Whether this instance has cleared the cache and Redis does not know: what memory lacks is gone. */
  get clearDue(): boolean {
    return Boolean(this.#epochDue?.cleared);
  }

  /** Whether Redis lacks something that this instance has answered for. */
  get isBehind(): boolean {
    return this.epochDue || this.#options.journal.size > 0;
  }

  get replayed(): number {
    return this.#replayed;
  }

  /** @param cleared - version of the clear() that asks for a new epoch; empty when the journal overflowed */
  requireEpoch(cleared: string): void {
    if (cleared || !this.#epochDue) this.#epochDue = { cleared };
  }

  /** Joins the run that is under way, or starts one. @throws what kept Redis from taking everything */
  run(signal: AbortSignal): Promise<void> {
    this.#running ??= this.#run(signal).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Starts a run soon; for while Redis is in use. */
  schedule(): void {
    const { clock, random } = this.#options;
    if (this.#background) return;
    const controller = new AbortController();
    this.#background = controller;
    this.#timer = clock.setTimeout(
      () => void this.#runInBackground(controller),
      nextBackoffMs(RETRY, this.#failures, random),
    );
  }

  /** Ends the background run; `run` goes on working. */
  stop(): void {
    this.#options.clock.clearTimeout(this.#timer);
    this.#background?.abort(new Error('The cache no longer uses Redis'));
    this.#background = undefined;
    this.#failures = 0;
  }

  async #runInBackground(controller: AbortController): Promise<void> {
    let through = false;
    try {
      await this.run(controller.signal);
      this.#failures = 0;
      through = true;
    } catch {
      // Nothing is lost: reads of these keys are answered here until a later run gets through, and
      // what is wrong with Redis is the detector's to say.
      this.#failures += 1;
    }
    if (this.#background !== controller) return;
    this.#background = undefined;
    if (through) this.#options.onDone();
    if (!through || this.isBehind) this.schedule();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { redis, journal, deadlineMs, before } = this.#options;
    await before();
    await redis.greet({ signal, deadlineMs });
    while (this.#epochDue || journal.size > 0) {
      signal.throwIfAborted();
      if (this.#epochDue) await this.#raiseEpoch(this.#epochDue, signal);
      else await this.#replayBatch(signal);
    }
  }

  async #raiseEpoch(due: { readonly cleared: string }, signal: AbortSignal): Promise<void> {
    const { redis, stepMs } = this.#options;
    await redis.raiseEpoch(due.cleared, { signal, deadlineMs: stepMs });
    // Another one may have become due meanwhile.
    if (this.#epochDue === due) this.#epochDue = undefined;
    await this.#options.onEpoch();
  }

  async #replayBatch(signal: AbortSignal): Promise<void> {
    const { redis, journal, peek, onRefused, stepMs } = this.#options;
    const batch = this.#nextBatch();
    const results = await redis.writeMany(
      batch.map(({ write }) => write),
      { signal, deadlineMs: stepMs },
    );
    for (const [index, { write, entry }] of batch.entries()) {
      journal.settle(write.key, write.version);
      if (entry && peek(write.key) === entry && !results[index]?.applied) onRefused(write.key, entry);
    }
    this.#replayed += batch.length;
  }

  #nextBatch(): Planned[] {
    const batch: Planned[] = [];
    let bytes = 0;
    for (const [key, note] of this.#options.journal.entries()) {
      const planned = this.#plan(key, note);
      batch.push(planned);
      bytes += planned.write.payload?.bytes ?? 0;
      if (batch.length >= BATCH_KEYS || bytes >= BATCH_BYTES) break;
    }
    return batch;
  }

  /** The value if memory still has it, else a deletion: what Redis has is older either way. */
  #plan(key: string, note: Note): Planned {
    const { clock, peek, serialised } = this.#options;
    const now = clock.now();
    const entry = peek(key);
    const shared = { key, tags: [], insists: yields };
    if (!entry || entry.version < note.version || entry.expiresAt <= now) {
      const { version, carried } = note;
      return { write: { ...shared, version, carried, payload: undefined, ageMs: 0, lifetimeMs: 0 }, entry: undefined };
    }
    const write: Write = {
      ...shared,
      version: entry.version,
      carried: false,
      payload: serialised(key, entry),
      tags: entry.tags,
      ageMs: now - entry.writtenAt,
      lifetimeMs: Math.ceil(entry.expiresAt - now),
    };
    return { write, entry };
  }
}
