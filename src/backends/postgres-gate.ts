import type { Clock } from '../core/clock.ts';
import { withDeadline } from '../core/deadline.ts';
import { RedoubtError, isRedoubtError } from '../core/errors.ts';
import type { Observe } from '../core/outcome.ts';
import { classifyPostgresError, toPostgresError } from './postgres-errors.ts';
import type { CallOptions } from './types.ts';

export interface GateOptions {
  /** Statements that may run at once. */
  readonly permits: number;
  /** High-water mark of statements that wait for a permit. */
  readonly queueMax: number;
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly observe: Observe;
}

/** What the work of one call gets: its deadline, and the signal to let go of its connection. */
export interface Lease {
  readonly deadlineMs: number;
  /** Aborted as soon as the caller has its answer before the work is done. */
  readonly abandoned: AbortSignal;
  /** To be called when the statement leaves: from then on it may have been executed. */
  readonly sent: () => void;
}

interface Progress {
  /** When the permit was had; `undefined` while in line. */
  startedAt?: number;
  sent: boolean;
}

/**
 * The way in to PostgreSQL: so many calls at once, so many in line, each answered by its deadline
 * whatever the driver does, and all of them at once when PostgreSQL goes out of use.
 *
 * A permit is held until the work has settled, not until the caller has its answer: work that was
 * given up still occupies its connection.
 */
export class PostgresGate {
  readonly #options: GateOptions;
  readonly #line: (() => void)[] = [];
  readonly #drained: (() => void)[] = [];
  #running = 0;
  #calls = 0;
  #open: AbortController | undefined;
  #closed = false;

  constructor(options: GateOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /** Lets calls in. @throws {RedoubtError} `ERR_CLOSED` after `close` */
  open(): void {
    if (this.#closed) throw new RedoubtError('ERR_CLOSED');
    this.#open ??= new AbortController();
  }

  /** Turns every call away, those under way included, without waiting for anything. */
  shut(): void {
    const open = this.#open;
    this.#open = undefined;
    open?.abort();
  }

  /** Takes no new call, and waits for those under way until `signal` is aborted; then turns them away. */
  async close(signal: AbortSignal): Promise<void> {
    this.#closed = true;
    if (this.#calls > 0 && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#drained.push(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    this.shut();
  }

  /** Runs `work` as soon as it may. Throws what `SqlBackend.query` promises. */
  async call<T>(work: (lease: Lease) => Promise<T>, options: CallOptions = {}): Promise<T> {
    if (this.#closed) throw new RedoubtError('ERR_CLOSED');
    const open = this.#open;
    if (!open) throw new RedoubtError('ERR_POSTGRES_UNAVAILABLE', { executed: 'no' });
    const { permits, queueMax, clock, observe } = this.#options;
    if (this.#running >= permits && this.#line.length >= queueMax) {
      throw new RedoubtError('ERR_BACKPRESSURE', { bound: 'postgres.queueMax', limit: queueMax });
    }
    const { deadlineMs = this.#options.deadlineMs } = options;
    const signal = options.signal ? AbortSignal.any([open.signal, options.signal]) : open.signal;
    const ended = new AbortController();
    const progress: Progress = { sent: false };
    const lease = { deadlineMs, abandoned: ended.signal, sent: () => void (progress.sent = true) };
    this.#calls += 1;
    try {
      const value = await withDeadline(this.#admit(work, lease, progress), deadlineMs, {
        clock,
        signal,
        operation: 'postgres',
      });
      observe({ kind: 'ok', durationMs: clock.now() - (progress.startedAt ?? clock.now()), voided: false });
      return value;
    } catch (error) {
      ended.abort();
      if (signal.aborted && error === signal.reason) {
        if (!open.signal.aborted) throw error;
        throw new RedoubtError('ERR_POSTGRES_UNAVAILABLE', { executed: progress.sent ? 'unknown' : 'no' });
      }
      // Time spent in our own line says nothing about PostgreSQL.
      if (progress.startedAt !== undefined) {
        const voided = isRedoubtError(error, 'ERR_DEADLINE') && error.details['late'] === true;
        observe({ ...classifyPostgresError(error), durationMs: clock.now() - progress.startedAt, voided });
      }
      throw toPostgresError(error, progress.sent);
    } finally {
      this.#calls -= 1;
      if (this.#calls === 0) for (const resolve of this.#drained.splice(0)) resolve();
    }
  }

  async #admit<T>(work: (lease: Lease) => Promise<T>, lease: Lease, progress: Progress): Promise<T> {
    if (this.#running >= this.#options.permits) await this.#wait(lease.abandoned);
    else this.#running += 1;
    try {
      lease.abandoned.throwIfAborted();
      progress.startedAt = this.#options.clock.now();
      return await work(lease);
    } finally {
      // The permit goes straight to the next in line, so that no newcomer overtakes it.
      const next = this.#line.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }

  /** Resolves with a permit; rejects, out of the line, as soon as the caller has given up. */
  #wait(abandoned: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#line.splice(this.#line.indexOf(enter), 1);
        reject(abandoned.reason as Error);
      };
      const enter = (): void => {
        abandoned.removeEventListener('abort', leave);
        resolve();
      };
      this.#line.push(enter);
      abandoned.addEventListener('abort', leave, { once: true });
    });
  }
}
