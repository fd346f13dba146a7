import { randomUUID } from 'node:crypto';

import type { RedisBackend } from '../../backends/types.ts';
import type { Config } from '../../config/schema.ts';
import type { Clock } from '../../core/clock.ts';
import { RedoubtError, isRedoubtError } from '../../core/errors.ts';
import { type Mode, type Service, type ServiceReport, scopeOf } from '../../core/mode.ts';
import type { Logger } from '../../observe/log.ts';
import { type Bull, QueueObjects, assertBull, loadBull } from './bull.ts';
import { LastCounts } from './counts.ts';
import { Runs } from './runs.ts';
import type { AddJobOptions, AddedJob, Job, JobCounts, JobQueue, JobWorker, Jobs, WorkOptions } from './types.ts';
import { assertConcurrency, assertDelay, assertJobId, assertQueueName } from './validate.ts';
import { QueueWorker } from './worker.ts';

export interface JobsOptions {
  readonly config: Config;
  readonly redis: RedisBackend;
  readonly log: Logger;
  readonly clock: Clock;
}

/**
 * Jobs on BullMQ. Without Redis nothing is accepted and nothing waits: a typed error at once, and
 * counts that say how old they are. Workers stop taking jobs and go on by themselves.
 *
 * A job runs at least once: when an outage keeps this process from telling Redis how a job ended,
 * another process may run it again. In one process it never runs twice at a time.
 */
export function createJobs(options: JobsOptions): Jobs & Service {
  return new JobsService(options);
}

class JobsService implements Jobs, Service {
  readonly name = 'jobs';
  readonly #config: Config;
  readonly #redis: RedisBackend;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #runs = new Runs();
  readonly #queues: QueueObjects;
  readonly #counts: LastCounts;
  readonly #workers = new Set<QueueWorker>();
  readonly #counters = { added: 0, rejected: 0, unknown: 0, workerErrors: 0 };
  #mode: Mode | undefined;
  /** Options without effect that the log has told of. */
  readonly #unknown = new Set<string>();
  #used = false;
  #closed = false;

  constructor({ config, redis, log, clock }: JobsOptions) {
    this.#config = config;
    this.#redis = redis;
    this.#log = log;
    this.#clock = clock;
    this.#queues = new QueueObjects(config.jobs.prefix, (error) => this.#onError(error));
    this.#counts = new LastCounts(clock);
  }

  queue(name: string): JobQueue {
    assertQueueName(name);
    assertBull();
    this.#used = true;
    return {
      add: (job, data, options = {}) => this.#add(name, job, data, options),
      counts: () => this.#readCounts(name),
    };
  }

  work(name: string, handler: (job: Job) => unknown, options: WorkOptions = {}): JobWorker {
    assertQueueName(name);
    const { concurrency = 1 } = options;
    assertConcurrency(concurrency);
    this.#warnOfUnknown(options, ['concurrency']);
    assertBull();
    if (this.#closed) throw new RedoubtError('ERR_CLOSED');
    this.#used = true;
    const { prefix, drainTimeoutMs } = this.#config.jobs;
    const worker = new QueueWorker(
      {
        queue: name,
        handler,
        concurrency,
        prefix,
        drainTimeoutMs,
        load: loadBull,
        redis: this.#redis,
        runs: this.#runs,
        log: this.#log,
        clock: this.#clock,
        onError: (error) => this.#onError(error),
        onClosed: (closed) => this.#workers.delete(closed),
      },
      this.#onRedis,
    );
    this.#workers.add(worker);
    return worker;
  }

  get isUsed(): boolean {
    return this.#used;
  }

  applyMode(mode: Mode): void {
    this.#mode = mode;
    for (const worker of this.#workers) worker.steer(this.#onRedis);
  }

  /** Loads BullMQ where jobs are used, so that the first job after the recovery does not wait for it. */
  async reconcile(dependency: 'redis' | 'postgres'): Promise<void> {
    if (dependency === 'redis' && this.#used) await loadBull();
  }

  report(): ServiceReport {
    const mode = this.#mode;
    const degraded = mode !== undefined && mode.backend !== mode.preferred;
    return {
      backend: mode?.backend ?? 'none',
      preferred: mode?.preferred ?? 'none',
      scope: mode ? scopeOf(mode) : 'instance',
      ...(degraded ? { notice: 'Jobs are refused until Redis is back; then workers go on by themselves.' } : {}),
      counters: {
        ...this.#counters,
        ...this.#runs.counters,
        running: this.#runs.running,
        workers: this.#workers.size,
      },
    };
  }

  async close(signal?: AbortSignal): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#workers].map((worker) => worker.close(signal)));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #onRedis(): boolean {
    return this.#mode?.backend === 'redis';
  }

  async #add(queue: string, job: string, data: unknown, options: AddJobOptions): Promise<AddedJob> {
    const { id = randomUUID(), delayMs = 0 } = options;
    assertJobId(id);
    assertDelay(delayMs);
    if (this.#closed) throw new RedoubtError('ERR_CLOSED');
    this.#warnOfUnknown(options, ['id', 'delayMs']);
    if (!this.#onRedis) throw this.#refusal(queue);
    const bull = await loadBull();
    if (!this.#onRedis) throw this.#refusal(queue);
    const { deadlineMs, keepCompletedMs, keepFailedMs } = this.#config.jobs;
    const keep = {
      removeOnComplete: { age: Math.ceil(keepCompletedMs / 1000) },
      removeOnFail: { age: Math.ceil(keepFailedMs / 1000) },
    };
    try {
      await this.#redis.call(
        (client) =>
          this.#queues.get(bull, client, queue).add(job, data, {
            jobId: id,
            ...keep,
            ...(delayMs > 0 ? { delay: delayMs } : {}),
          }),
        { deadlineMs },
      );
    } catch (error) {
      throw this.#failure(error, queue, id);
    }
    this.#counters.added += 1;
    return { id, backend: 'redis' };
  }

  /** Left over from BullMQ, most often: said once, since nothing else shows that it has no effect. */
  #warnOfUnknown(options: object, known: readonly string[]): void {
    for (const name of Object.keys(options)) {
      if (known.includes(name) || this.#unknown.has(name)) continue;
      this.#unknown.add(name);
      this.#log.warn({ option: name }, `The job option "${name}" has no effect; known are ${known.join(', ')}`);
    }
  }

  async #readCounts(queue: string): Promise<JobCounts> {
    if (this.#closed) throw new RedoubtError('ERR_CLOSED');
    if (!this.#onRedis) return this.#counts.last(queue);
    try {
      const bull: Bull = await loadBull();
      const counts = await this.#redis.call(
        (client) =>
          this.#queues.get(bull, client, queue).getJobCounts('waiting', 'active', 'delayed', 'completed', 'failed'),
        { deadlineMs: this.#config.jobs.deadlineMs },
      );
      return this.#counts.fresh(queue, counts);
    } catch {
      // Old counts that say so are worth more to whoever looks at them than an error.
      return this.#counts.last(queue);
    }
  }

  /** What a failed `add` means to the caller: not added, perhaps added, or the caller's own mistake. */
  #failure(error: unknown, queue: string, id: string): unknown {
    if (isRedoubtError(error, 'ERR_DEADLINE') || isLostAnswer(error)) {
      this.#counters.unknown += 1;
      return new RedoubtError('ERR_JOB_UNKNOWN', { queue, id }, { cause: error });
    }
    this.#counters.rejected += 1;
    if (isRedoubtError(error, 'ERR_REDIS_UNAVAILABLE')) return this.#refusal(queue, error);
    if (isRedoubtError(error)) return error;
    return new RedoubtError('ERR_JOB_INVALID', { queue, id }, { cause: error });
  }

  #refusal(queue: string, cause?: unknown): RedoubtError {
    if (cause === undefined) this.#counters.rejected += 1;
    const reason = this.#mode?.reason;
    const details = {
      queue,
      // A return of Redis is noticed at most this much later.
      retryAfterMs: this.#config.redis.probe.backoffMaxMs,
      ...(this.#onRedis || !reason ? {} : { reason: reason.code, message: reason.message }),
    };
    return new RedoubtError('ERR_JOBS_UNAVAILABLE', details, { cause });
  }

  #onError(error: unknown): void {
    this.#counters.workerErrors += 1;
    // Mostly the echo of an outage that the machine has announced; the counter shows the rest.
    this.#log.debug({ err: error }, 'BullMQ reported an error');
  }
}

/** Whether the command may have reached Redis and only its answer is missing; a reply means that it was refused. */
function isLostAnswer(error: unknown): boolean {
  if (!isRedoubtError(error, 'ERR_REDIS_UNAVAILABLE') || error.details['executed'] !== 'unknown') return false;
  const replied = error.cause instanceof Error && error.cause.name === 'ReplyError';
  return !replied && error.details['reason'] !== 'NOT_CONNECTED';
}
