export interface AddJobOptions {
  /** Jobs with an id that the queue knows are not added again; default: a random UUID. */
  readonly id?: string;
  readonly delayMs?: number;
}

export interface AddedJob {
  readonly id: string;
  readonly backend: 'redis';
}

/** Counts of a queue; `stale: true` where they are the last ones seen, `asOf` (wall-clock ms) says when. */
export interface JobCounts {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly completed: number;
  readonly failed: number;
  readonly stale: boolean;
  readonly asOf: number | null;
}

export interface JobQueue {
  /**
   * @throws {RedoubtError} `ERR_JOBS_UNAVAILABLE` at once without Redis, `ERR_JOB_UNKNOWN` past `jobs.deadline` (add it
   * again with `details.id`), `ERR_BACKPRESSURE`, `ERR_JOB_INVALID` for an id, delay or data that cannot be
   */
  add(job: string, data: unknown, options?: AddJobOptions): Promise<AddedJob>;
  /** Never rejects: without Redis the last counts seen, marked stale. */
  counts(): Promise<JobCounts>;
}

export interface Job {
  readonly id: string;
  readonly name: string;
  readonly data: unknown;
  /** 1 for the first run. */
  readonly attempt: number;
}

export interface WorkOptions {
  /** Jobs that one process runs at once; default 1. */
  readonly concurrency?: number;
}

/** Stops taking jobs and waits for those that run. */
export interface JobWorker extends AsyncDisposable {
  close(): Promise<void>;
}

/** The jobs of `redoubt.jobs`. */
export interface Jobs {
  /** @throws {RedoubtError} `ERR_JOB_INVALID` for an empty name or one with a colon, `ERR_PEER` without BullMQ 6 */
  queue(name: string): JobQueue;
  /**
   * Works a queue; goes on by itself after an outage. Each job runs at least once: one whose end an outage kept from
   * Redis for longer than its lock (30 s) may run again in another process, never twice at a time in this one.
   */
  work(name: string, handler: (job: Job) => unknown, options?: WorkOptions): JobWorker;
}
