import type { ConnectionOptions, Job as BullJob, Worker } from 'bullmq';
import type { Redis } from 'ioredis';

import type { RedisBackend, RedisLink } from '../../backends/types.ts';
import type { Clock, Timer } from '../../core/clock.ts';
import { withDeadline } from '../../core/deadline.ts';
import type { Logger } from '../../observe/log.ts';
import { type Bull, backendOn } from './bull.ts';
import type { EndedRun, RunOf, Runs } from './runs.ts';
import { Slots } from './slots.ts';
import type { Job, JobWorker } from './types.ts';

export interface QueueWorkerOptions {
  readonly queue: string;
  readonly handler: (job: Job) => unknown;
  readonly concurrency: number;
  readonly prefix: string;
  readonly drainTimeoutMs: number;
  readonly load: () => Promise<Bull>;
  readonly redis: RedisBackend;
  readonly runs: Runs;
  readonly log: Logger;
  readonly clock: Clock;
  /** Told of what BullMQ reports: lost locks, failed commands. */
  readonly onError: (error: unknown) => void;
  readonly onClosed: (worker: QueueWorker) => void;
}

/** An outage is not the job's fault: BullMQ's own bound of 1 would fail a job that lived through two. */
const MAX_STALLED = 10;

/** Nothing happens after it; see `#hold`. */
const HOLD_MS = 3_600_000;

/** BullMQ's wait before it tells Redis of an ended job again; its 15 s would outlive a shutdown. */
const RETRY_MS = 250;

/**
 * Works one queue for as long as it is wanted, whatever becomes of Redis.
 *
 * A BullMQ worker lives exactly as long as its two clients and the mode `redis`. With any of them it
 * is thrown away; when all are back another one is built. Handlers under way are never interrupted:
 * they run to their end here, and the next worker tells Redis how they ended.
 */
export class QueueWorker implements JobWorker {
  readonly #options: QueueWorkerOptions;
  readonly #slots: Slots;
  readonly #mainLink: RedisLink;
  #blockingLink: RedisLink;
  readonly #runOf = new WeakMap<BullJob, RunOf>();
  #main: Redis | undefined;
  #blocking: Redis | undefined;
  #active: boolean;
  #held: Timer;
  #worker: Worker | undefined;
  /** Set before anything is closed: closing the blocking link calls back in the same turn. */
  #stopped = false;
  #closing: Promise<void> | undefined;

  constructor(options: QueueWorkerOptions, active: boolean) {
    this.#options = options;
    this.#active = active;
    this.#slots = new Slots(options.concurrency);
    this.#held = this.#hold();
    this.#mainLink = this.#link('requests', (client) => {
      this.#main = client;
    });
    this.#blockingLink = this.#openBlocking();
  }

  /** Whether jobs may be taken; what runs goes on either way. */
  steer(active: boolean): void {
    this.#active = active;
    this.#sync();
  }

  /** Takes no more jobs and waits for those that run, `jobs.drainTimeout` at most. */
  close(signal?: AbortSignal): Promise<void> {
    this.#stopped = true;
    this.#closing ??= this.#drain(signal);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * A process that works jobs lives for them, as with BullMQ alone: without Redis it has no connection that would hold
   * it, and must not end in the middle of an outage.
   */
  #hold(): Timer {
    const { clock } = this.#options;
    const timer = clock.setTimeout(() => {
      this.#held = this.#hold();
    }, HOLD_MS);
    clock.keepAlive?.(timer);
    return timer;
  }

  #openBlocking(): RedisLink {
    return this.#link('blocking', (client) => {
      this.#blocking = client;
    });
  }

  #link(role: 'requests' | 'blocking', set: (client: Redis | undefined) => void): RedisLink {
    return this.#options.redis.link({
      role,
      options: { maxRetriesPerRequest: null },
      onReady: (client) => {
        set(client);
        this.#sync();
      },
      onLost: () => {
        set(undefined);
        this.#sync();
      },
    });
  }

  #sync(): void {
    if (this.#stopped) return;
    if (!this.#active || !this.#main || !this.#blocking) this.#discard();
    else if (!this.#worker) void this.#build();
  }

  async #build(): Promise<void> {
    const { load, queue, prefix, concurrency, onError, runs } = this.#options;
    try {
      const bull = await load();
      const [main, blocking] = [this.#main, this.#blocking];
      // All of it may have changed during the load.
      if (this.#stopped || this.#worker || !this.#active || !main || !blocking) return;
      const worker: Worker = new bull.Worker(
        queue,
        (job: BullJob) => this.#process(job, worker),
        {
          connection: main as ConnectionOptions,
          prefix,
          concurrency,
          maxStalledCount: MAX_STALLED,
          runRetryDelay: RETRY_MS,
        },
        backendOn(bull, prefix, { main, blocking }, () => this.#blockingLink.close()),
      );
      this.#worker = worker;
      worker.on('error', onError);
      worker.on('completed', (job) => this.#told(job));
      worker.on('failed', (job) => job && this.#told(job));
      for (const ended of runs.untold(queue)) void this.#tell(bull, worker, ended);
    } catch (error) {
      onError(error);
    }
  }

  #discard(): void {
    const worker = this.#worker;
    this.#worker = undefined;
    // Forced: without its clients it has nothing to wait for, and nobody waits for it.
    worker?.close(true).catch(this.#options.onError);
    if (!worker || !this.#blocking) return;
    // Only the mode has changed. The fetch that still blocks would take the signal of the next job away
    // from the next worker, so that goes onto a connection of its own.
    this.#blockingLink.close();
    this.#blockingLink = this.#openBlocking();
  }

  async #process(job: BullJob, worker: Worker): Promise<unknown> {
    const { queue, runs, handler, load } = this.#options;
    const { id = '', name, data, timestamp, attemptsMade, token = '' } = job;
    const run: RunOf = { queue, id, timestamp, attemptsMade };
    this.#runOf.set(job, run);
    try {
      return await this.#slots.run(() =>
        runs.run(run, token, () => handler({ id, name, data: data as unknown, attempt: attemptsMade + 1 })),
      );
    } finally {
      // The worker that took it is gone, and cannot tell; its successor can.
      const successor = this.#worker;
      if (successor && successor !== worker) {
        for (const ended of runs.untold(queue)) {
          if (ended.run === run) void load().then((bull) => this.#tell(bull, successor, ended));
        }
      }
    }
  }

  #told(job: BullJob): void {
    const run = this.#runOf.get(job);
    if (run) this.#options.runs.told(run);
  }

  /** Reports a run of an earlier worker, under its lock; where that has run out BullMQ hands the job out again. */
  async #tell(bull: Bull, worker: Worker, { run, token, outcome }: EndedRun): Promise<void> {
    try {
      const job = await bull.Job.fromId(worker, run.id);
      if (job?.timestamp !== run.timestamp || job.attemptsMade !== run.attemptsMade) {
        this.#options.runs.told(run);
        return;
      }
      if (outcome.ok) await job.moveToCompleted(outcome.value, token, false);
      else await job.moveToFailed(outcome.error, token, false);
      this.#options.runs.told(run);
    } catch (error) {
      // It stays untold; the next worker, or the job itself when it is handed out again, will tell.
      this.#options.onError(error);
    }
  }

  async #drain(signal?: AbortSignal): Promise<void> {
    const { drainTimeoutMs, clock, log, queue, onError, onClosed } = this.#options;
    const ended = Promise.all([this.#worker?.close().catch(onError), this.#slots.idle()]);
    try {
      await withDeadline(ended, drainTimeoutMs, { clock, signal, operation: 'drain jobs' });
    } catch {
      log.warn({ queue }, 'jobs still ran when the time to drain was over; they will be handed out again');
    }
    this.#mainLink.close();
    this.#blockingLink.close();
    this.#worker = undefined;
    clock.clearTimeout(this.#held);
    onClosed(this);
  }
}
