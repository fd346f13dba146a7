// The protocol.
//
// What instances share in Redis is only speed, and may be believed only while every one of them can keep it right.
// PostgreSQL says when that is: it holds an epoch, and a row for each instance.
//
//   lease    Each heartbeat renews the instance's row and reads the others'. What it read holds for `lease`, counted
//            on the monotonic clock from before it was sent. Past it, Redis is not believed: a paused or cut-off
//            instance stops by itself.
//   blind    An instance that cannot bring a write to Redis lists itself as blind and waits one lease: by then every
//            other has either read the listing or lost its lease, and none reads Redis. Only then may it acknowledge
//            what only PostgreSQL has.
//   raise    A listing ends only together with a raise of the epoch, in one statement: by its own instance when it is
//            back, or by any other when its time is over (the instance died). Redis' keys carry the epoch, so what
//            was written to Redis while somebody could not take part is never read again. The epoch is also raised
//            by whoever sees that Redis has lost its data or is another one (its run id).
//   hold     A new epoch is not believed before every statement that began under the old one has ended: such a write
//            goes to Redis under the old epoch, and a reader that was too early would keep what was before it.
//            `lease` + `postgres.deadline`, by PostgreSQL's clock; statement_timeout is shorter than that.
//
// What it promises: `trusts()` is true only while every acknowledged write of every instance is in Redis under this
// epoch, or is not there under any version.
//
// An instance that is alone waits for nobody. No wall clock of an instance is compared with anything.

import type { SqlBackend } from '../backends/types.ts';
import { type Clock, type Timer, sleep } from '../core/clock.ts';
import { CLOCK_SHARE, NO_HOLD, UNKNOWN_HOLD, holdOf } from './hold.ts';
import { BEAT, CREATE, LEAVE, LIST, RAISE, SWEEP } from './statements.ts';

/** Another instance, as of the last heartbeat. */
export interface Peer {
  readonly instance: string;
  /** It cannot bring its writes to Redis. */
  readonly blind: boolean;
}

export interface FleetOptions {
  readonly sql: SqlBackend;
  readonly clock: Clock;
  /** A name for this process, unique among all. */
  readonly instance: string;
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  /** Longest time that a statement runs on the server. */
  readonly statementMs: number;
}

/** What this instance knows of the others, for reports. */
export interface FleetView {
  readonly epoch: number;
  /** How long what it knows still holds; 0: Redis is not believed. */
  readonly leaseMs: number;
  readonly blind: boolean;
  readonly peers: readonly Peer[];
}

interface Beat {
  readonly epoch: string | number;
  readonly run_id: string;
  readonly hold_ms: number;
  readonly listed: boolean | null;
  readonly others: readonly (Peer & { readonly lapsed: boolean })[];
}

/** The epoch that all services share. */
const NAME = 'sessions';
/** A listing holds for so many leases without a heartbeat of its instance. */
const LISTING_LEASES = 3;
const MISSED_MS = 3_600_000;

/** SQL for the epoch as a statement sees it when it begins, 0 for none; the tables must be there. */
export const EPOCH_SQL = `coalesce((select epoch from redoubt_epoch where name = '${NAME}'), 0)`;

/** This instance among the others; the protocol stands at the top of this file. */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #ending = new AbortController();
  readonly #listeners = new Set<() => void>();
  #timer: Timer | undefined;
  #joined = false;
  #beating: Promise<void> | undefined;
  #failing = false;
  #epoch = 0;
  #runId = '';
  #peers: readonly Peer[] = [];
  #leaseUntil = 0;
  #hold = NO_HOLD;
  #listing: Promise<void> | undefined;
  #listedAt = 0;
  #coveredFrom = Number.POSITIVE_INFINITY;
  #coveredUntil = 0;
  /** Since when, and under which epoch, another instance was seen to be blind. */
  #blindSeen: { readonly epoch: number; readonly at: number } | undefined;
  #missingUntil = 0;

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** The run id of the Redis that this epoch is about; empty for none. */
  get runId(): string {
    return this.#runId;
  }

  /** Whether PostgreSQL did not answer the last heartbeat. */
  get failing(): boolean {
    return this.#failing;
  }

  /** Whether an instance has gone from the list within the last hour: it may still run, without PostgreSQL. */
  get missesPeer(): boolean {
    return this.#options.clock.now() < this.#missingUntil;
  }

  /** Whether this instance is listed as blind, or about to be. */
  get isBlind(): boolean {
    return this.#listing !== undefined;
  }

  get view(): FleetView {
    const leaseMs = Math.max(0, Math.round(this.#leaseUntil - this.#options.clock.now()));
    return { epoch: this.#epoch, leaseMs, blind: this.isBlind, peers: this.#peers };
  }

  /** Whether what lies in Redis under this epoch may be believed now; reads only a clock. */
  trusts(): boolean {
    const now = this.#options.clock.now();
    return (
      now < this.#leaseUntil && now >= this.#hold.trustFrom && !this.isBlind && !this.#peers.some(({ blind }) => blind)
    );
  }

  /**
   * Whether it is certain that no instance believed Redis when a statement that saw `epoch` began, nor will before the
   * next raise: what PostgreSQL alone knows may be shown then.
   */
  isCovered(epoch: number): boolean {
    const now = this.#options.clock.now();
    if (now >= this.#coveredFrom && now < this.#coveredUntil) return true;
    // A listing ends only with a raise, so it still holds; and whoever had not read of it has lost its lease by now.
    return this.#blindSeen?.epoch === epoch && now >= this.#blindSeen.at + this.#options.leaseMs;
  }

  /**
   * What may be done under `epoch` now. `held`: surely nobody believes it yet, and it must not be filled. `open`: every
   * statement from before it has ended, it may be filled. `unsure`: neither is certain; a `refresh` may tell.
   */
  phaseOf(epoch: number): 'held' | 'open' | 'unsure' {
    // Whoever asks Redis is told of the newer one, and that holds nothing older than what this statement saw.
    if (epoch < this.#epoch) return 'held';
    const now = this.#options.clock.now();
    if (epoch === this.#epoch && now < this.#hold.surelyUntil) return 'held';
    return epoch === this.#epoch && now >= this.#hold.fillFrom ? 'open' : 'unsure';
  }

  /** Called after each heartbeat, answered or not. */
  onBeat(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Makes the tables and begins to send heartbeats; again after each time PostgreSQL was away. */
  async join(signal: AbortSignal): Promise<void> {
    await this.#options.sql.query(CREATE, [], { signal });
    await this.#send();
    this.#joined = true;
    this.#schedule();
  }

  /** Asks PostgreSQL now; a caller never gets an answer to a question that was asked before its own. */
  async refresh(): Promise<void> {
    await this.#beating?.catch(() => undefined);
    await this.#beat();
  }

  /** A statement that began under this epoch has told it. */
  see(epoch: number): void {
    if (epoch <= this.#epoch) return;
    this.#epoch = epoch;
    // Until when it is held, the next heartbeat says.
    this.#hold = UNKNOWN_HOLD;
  }

  /**
   * Lists this instance as blind. Resolves when what only PostgreSQL has may be acknowledged: after one
   * lease, or at once where that has been waited for already or nobody else is there.
   *
   * @throws what `SqlBackend.query` throws
   */
  blind(): Promise<void> {
    if (this.#listing && this.#options.clock.now() < this.#coveredUntil) return this.#listing;
    const listing = this.#list();
    this.#listing = listing;
    this.#coveredFrom = Number.POSITIVE_INFINITY;
    this.#coveredUntil = Number.POSITIVE_INFINITY;
    listing.catch(() => {
      if (this.#listing === listing) this.#listing = undefined;
    });
    return listing;
  }

  /**
   * Raises the epoch, and ends the own listing with it. Nothing may be acknowledged with PostgreSQL alone
   * afterwards without `blind()`.
   *
   * @param floor - the new epoch is above it
   * @throws what `SqlBackend.query` throws
   */
  async raise(runId: string, floor: number): Promise<number> {
    const { sql, clock, instance, leaseMs, statementMs } = this.#options;
    const values = [instance, NAME, floor, runId, leaseMs + statementMs];
    const sentAt = clock.now();
    const { rows } = await sql.query<{ epoch: string | number; hold_ms: number }>(RAISE, values);
    this.#unlist();
    this.#epoch = Number(rows[0]?.epoch);
    this.#runId = runId;
    this.#hold = holdOf(rows[0]?.hold_ms ?? 0, sentAt, clock.now(), leaseMs);
    await this.refresh();
    return this.#epoch;
  }

  /** Ends the heartbeats, and takes the row away unless it is listed as blind: then another instance does, with a raise. */
  async leave(): Promise<void> {
    this.#ending.abort();
    this.#listeners.clear();
    this.#options.clock.clearTimeout(this.#timer);
    // Where PostgreSQL cannot be told, the row runs out by itself.
    if (this.#joined) await this.#options.sql.query(LEAVE, [this.#options.instance]).catch(() => undefined);
  }

  async #list(): Promise<void> {
    const { sql, clock, instance, leaseMs } = this.#options;
    const sentAt = clock.now();
    const lengthMs = leaseMs * LISTING_LEASES;
    const { rows } = await sql.query<{ others: number }>(LIST, [instance, leaseMs, lengthMs], { deadlineMs: leaseMs });
    this.#listedAt = clock.now();
    this.#coveredUntil = sentAt + lengthMs * CLOCK_SHARE;
    if ((rows[0]?.others ?? 0) > 0) await sleep(clock, leaseMs, this.#ending.signal);
    this.#coveredFrom = clock.now();
  }

  #unlist(): void {
    this.#listing = undefined;
    this.#coveredFrom = Number.POSITIVE_INFINITY;
    this.#coveredUntil = 0;
  }

  #beat(): Promise<void> {
    this.#beating ??= this.#send().finally(() => {
      this.#beating = undefined;
    });
    return this.#beating;
  }

  async #send(): Promise<void> {
    const { sql, clock, instance, leaseMs, statementMs } = this.#options;
    const sentAt = clock.now();
    const lengthMs = leaseMs * LISTING_LEASES;
    try {
      const { rows } = await sql.query<Beat>(BEAT, [instance, leaseMs, lengthMs, NAME], { deadlineMs: leaseMs });
      this.#failing = false;
      const beat = rows[0];
      if (!beat) return;
      this.#learn(beat, sentAt);
      if (beat.others.some(({ lapsed }) => lapsed)) await sql.query(SWEEP, [instance, NAME, leaseMs + statementMs]);
    } catch (error) {
      this.#failing = true;
      throw error;
    }
  }

  #learn({ epoch, run_id: runId, hold_ms: holdMs, listed, others }: Beat, sentAt: number): void {
    const { clock, leaseMs } = this.#options;
    const isGone = this.#peers.some((peer) => !others.some(({ instance }) => instance === peer.instance));
    if (isGone) this.#missingUntil = clock.now() + MISSED_MS;
    this.#peers = others.map(({ instance, blind }) => ({ instance, blind }));
    if (this.#listing && sentAt > this.#listedAt) {
      if (listed) this.#coveredUntil = sentAt + leaseMs * LISTING_LEASES * CLOCK_SHARE;
      // Taken off by others, who thought that this instance was dead.
      else if (this.#coveredUntil !== Number.POSITIVE_INFINITY) this.#unlist();
    }
    // An answer from before a raise that is known already.
    if (Number(epoch) < this.#epoch) return;
    this.#epoch = Number(epoch);
    this.#runId = runId;
    this.#hold = holdOf(holdMs, sentAt, clock.now(), leaseMs);
    if (!others.some(({ blind }) => blind)) this.#blindSeen = undefined;
    else if (this.#blindSeen?.epoch !== this.#epoch) this.#blindSeen = { epoch: this.#epoch, at: clock.now() };
    this.#leaseUntil = sentAt + leaseMs * CLOCK_SHARE;
  }

  #schedule(): void {
    const { clock, heartbeatMs } = this.#options;
    if (this.#ending.signal.aborted || this.#timer !== undefined) return;
    this.#timer = clock.setTimeout(() => void this.#tick(), heartbeatMs);
  }

  async #tick(): Promise<void> {
    // A failure is remembered, and the detector has been told of it.
    await this.#beat().catch(() => undefined);
    for (const listener of this.#listeners) listener();
    this.#timer = undefined;
    this.#schedule();
  }
}
