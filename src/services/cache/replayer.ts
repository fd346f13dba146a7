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

/**
 * So long another instance's change is left to that instance. Where all of them come back at once, each brings its own
 * writes and nobody writes them twice; its keys are answered for here meanwhile.
 */
const CARRY_AFTER_MS = 1000;

export interface ReplayerOptions {
  readonly journal: Journal;
  readonly redis: RedisTier;
  readonly clock: Clock;
  readonly random: () => number;
  /** Bound of the first step, which shows whether Redis answers callers in time. */
  readonly deadlineMs: number;
  /** Bound of each further step: nobody waits for it, so it may be longer than a call's deadline. */
  readonly stepMs: number;
  /** How long the use of Redis waits for the journal; what is left then is replayed while Redis is used. */
  readonly waitMs: number;
  /** What memory has of a key. */
  readonly peek: (key: string) => MemoryEntry | undefined;
  readonly serialised: (key: string, entry: MemoryEntry) => Write['payload'];
  /** Redis has something newer: memory's entry is void. */
  readonly onRefused: (key: string, entry: MemoryEntry) => void;
  /** Before anything else: whatever else has to be heard. */
  readonly before: () => Promise<unknown>;
  /** Whether an instance may not yet have brought its changes to Redis itself. */
  readonly isApart: (sender: string) => boolean;
  /** A new epoch has begun by this instance. */
  readonly onEpoch: () => Promise<unknown>;
  /** A background run has brought what is owed, or all of it that may be waited for. */
  readonly onDone: () => void;
}

interface Planned {
  readonly write: Write;
  readonly entry: MemoryEntry | undefined;
}

/**
 * Brings Redis up to what this instance has answered for: a new epoch where one is due, then the
 * journal in batches. Runs when Redis returns, for a bounded time, and by itself, with backoff, for
 * what was left then, for writes that failed while Redis was in use, and for those of others that
 * are not back.
 */
export class Replayer {
  readonly #options: ReplayerOptions;
  #epochDue: { readonly cleared: string } | undefined;
  #running: Promise<void> | undefined;
  #timer: Timer;
  #timerAt = Number.POSITIVE_INFINITY;
  #background: AbortController | undefined;
  #usedAt = 0;
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

  /** Whether Redis lacks something that only this instance can bring. */
  get owes(): boolean {
    return this.epochDue || this.#options.journal.owed > 0;
  }

  get replayed(): number {
    return this.#replayed;
  }

  /** @param cleared - version of the clear() that asks for a new epoch; empty when the journal overflowed */
  requireEpoch(cleared: string): void {
    if (cleared || !this.#epochDue) this.#epochDue = { cleared };
  }

  /**
   * Joins the run that is under way, or starts one. It ends when Redis has all that this instance owes, or after
   * `waitMs` with the rest of the journal left.
   *
   * @throws what kept Redis from taking it
   */
  run(signal: AbortSignal, waitMs = this.#options.waitMs): Promise<void> {
    this.#running ??= this.#run(signal, waitMs).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Redis is in use from now on, and what is left in the journal is brought to it. */
  start(): void {
    this.#usedAt = this.#options.clock.now();
    this.#goOn();
  }

  /** Starts a run soon; for while Redis is in use. */
  schedule(): void {
    const { clock, random } = this.#options;
    this.#scheduleAt(clock.now() + nextBackoffMs(RETRY, this.#failures, random));
  }

  /** Starts a run when the first of others' changes is due; for while Redis is in use. */
  scheduleCarrying(): void {
    const [first] = this.#options.journal.carried();
    if (first) this.#scheduleAt(Math.max(first[1].heardAt, this.#usedAt) + CARRY_AFTER_MS);
  }

  /** Ends the background run; `run` goes on working. */
  stop(): void {
    this.#options.clock.clearTimeout(this.#timer);
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.#background?.abort(new Error('The cache no longer uses Redis'));
    this.#background = undefined;
    this.#failures = 0;
  }

  /** Strikes out what others have brought to Redis themselves. */
  settleRejoined(): void {
    const { journal, isApart } = this.#options;
    for (const [key, { version, sender }] of journal.carried()) {
      if (!isApart(sender)) journal.settle(key, version);
    }
  }

  #goOn(): void {
    if (this.owes) this.schedule();
    else this.scheduleCarrying();
  }

  #scheduleAt(at: number): void {
    const { clock } = this.#options;
    if (this.#background || at >= this.#timerAt) return;
    clock.clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = clock.setTimeout(() => void this.#runInBackground(), Math.max(0, at - clock.now()));
  }

  async #runInBackground(): Promise<void> {
    const controller = new AbortController();
    this.#background = controller;
    this.#timerAt = Number.POSITIVE_INFINITY;
    let through = false;
    try {
      // Redis is used as soon as may be: a journal that is written faster than replayed never ends.
      for (const waitMs of [this.#options.waitMs, Number.POSITIVE_INFINITY]) {
        await this.run(controller.signal, waitMs);
        if (this.#background === controller) this.#options.onDone();
        if (!this.owes) break;
      }
      await this.#carry(controller.signal);
      this.#failures = 0;
      through = true;
    } catch {
      // Nothing is lost: reads of these keys are answered here until a later run gets through, and
      // what is wrong with Redis is the detector's to say.
      this.#failures += 1;
    }
    if (this.#background !== controller) return;
    this.#background = undefined;
    if (through) this.#goOn();
    else this.schedule();
  }

  async #run(signal: AbortSignal, waitMs: number): Promise<void> {
    const { redis, journal, clock, deadlineMs, before } = this.#options;
    await before();
    await redis.greet({ signal, deadlineMs });
    const until = clock.now() + waitMs;
    while (this.#epochDue || (journal.owed > 0 && clock.now() < until)) {
      signal.throwIfAborted();
      if (this.#epochDue) await this.#raiseEpoch(this.#epochDue, signal);
      else await this.#replay(this.#nextBatch(), signal);
    }
  }

  /** What others owe and have not brought in time, in batches; asks before each further one who is back meanwhile. */
  async #carry(signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      this.settleRejoined();
      const batch = this.#nextCarried();
      if (batch.length === 0) return;
      await this.#replay(batch, signal);
      await this.#options.before();
    }
  }

  async #raiseEpoch(due: { readonly cleared: string }, signal: AbortSignal): Promise<void> {
    const { redis, stepMs } = this.#options;
    await redis.raiseEpoch(due.cleared, { signal, deadlineMs: stepMs });
    // Another one may have become due meanwhile.
    if (this.#epochDue === due) this.#epochDue = undefined;
    await this.#options.onEpoch();
  }

  async #replay(batch: readonly Planned[], signal: AbortSignal): Promise<void> {
    const { redis, journal, peek, onRefused, stepMs } = this.#options;
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
    for (const [key, note] of this.#options.journal.own()) {
      const planned = this.#plan(key, note);
      batch.push(planned);
      bytes += planned.write.payload?.bytes ?? 0;
      if (batch.length >= BATCH_KEYS || bytes >= BATCH_BYTES) break;
    }
    return batch;
  }

  #nextCarried(): Planned[] {
    const { journal, clock } = this.#options;
    const batch: Planned[] = [];
    if (clock.now() < this.#usedAt + CARRY_AFTER_MS) return batch;
    for (const [key, { version, heardAt }] of journal.carried()) {
      if (batch.length >= BATCH_KEYS || clock.now() < heardAt + CARRY_AFTER_MS) break;
      batch.push({ write: deletion(key, version), entry: undefined });
    }
    return batch;
  }

  /** The value if memory still has it, else a deletion: what Redis has is older either way, or that value. */
  #plan(key: string, note: Note): Planned {
    const { clock, peek, serialised } = this.#options;
    const now = clock.now();
    const entry = peek(key);
    if (!entry || entry.version < note.version || entry.expiresAt <= now) {
      return { write: deletion(key, note.version), entry: undefined };
    }
    const write: Write = {
      key,
      insists: yields,
      version: entry.version,
      payload: serialised(key, entry),
      tags: entry.tags,
      ageMs: now - entry.writtenAt,
      lifetimeMs: Math.ceil(entry.expiresAt - now),
    };
    return { write, entry };
  }
}

function deletion(key: string, version: string): Write {
  return { key, version, payload: undefined, tags: [], ageMs: 0, lifetimeMs: 0, insists: yields };
}
