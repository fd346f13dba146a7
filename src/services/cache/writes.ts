import type { Payload } from './entry.ts';
import type { Write, Written } from './redis-tier.ts';
import { TickBatch } from './tick-batch.ts';

/** A write that somebody is waiting for. */
export interface WriteRequest {
  readonly key: string;
  readonly version: string;
  readonly payload: Payload | undefined;
  readonly tags: readonly string[];
  readonly lifetimeMs: number;
  /** Whether it is the newest whatever the clocks say: yes for a caller's value, no for a load begun earlier. */
  readonly insists: boolean;
}

/** Reports of the key while a write of it is on its way: none, that of the write itself, or any other. */
export type Touched = 'no' | 'own' | 'other';

/** What became of it, and what was reported of the key meanwhile. */
export type WriteOutcome = Written & { readonly touched: Touched };

interface Job {
  readonly request: WriteRequest;
  readonly done: PromiseWithResolvers<WriteOutcome>;
  touched: Touched;
}

/** Keys and bytes in one script: it holds Redis up for as long as it runs. */
const BOUNDS = { maxItems: 32, maxBytes: 1_048_576 };

/** The writes on their way: those of one tick go together, in the order in which they were called. */
export class Writes {
  readonly #writeMany: (writes: readonly Write[]) => Promise<Written[]>;
  readonly #batch = new TickBatch<Job>(BOUNDS, (jobs) => this.#send(jobs));
  /** The last one of each key. */
  readonly #latest = new Map<string, Job>();
  readonly #flying = new Set<Job>();

  constructor(writeMany: (writes: readonly Write[]) => Promise<Written[]>) {
    this.#writeMany = writeMany;
  }

  has(key: string): boolean {
    return this.#latest.has(key);
  }

  /** @throws what kept Redis from taking it; whether it was executed is unknown then */
  write(request: WriteRequest): Promise<WriteOutcome> {
    const job: Job = { request, done: Promise.withResolvers(), touched: 'no' };
    this.#latest.set(request.key, job);
    this.#flying.add(job);
    this.#batch.add(job, request.payload?.bytes);
    return job.done.promise;
  }

  /** What `work` writes before it returns goes in as few scripts as can be. */
  together<T>(work: () => T): T {
    return this.#batch.together(work);
  }

  /** The key is reported as changed. @param own - by this instance alone. @returns whether a write is on its way */
  touch(key: string, own: boolean): boolean {
    const job = this.#latest.get(key);
    if (!job) return false;
    // A second one is one too many, whosever it is.
    job.touched = own && job.touched === 'no' ? 'own' : 'other';
    return true;
  }

  /** Whatever is on its way is older than a clear(). */
  dropAll(): void {
    this.#latest.clear();
  }

  /** Nobody waits any longer. */
  giveUp(error: unknown): void {
    for (const job of this.#flying) this.#end(job, (done) => done.reject(error));
  }

  async #send(jobs: Job[]): Promise<void> {
    const waiting = jobs.filter((job) => this.#flying.has(job));
    if (waiting.length === 0) return;
    const writes = waiting.map((job) => ({
      ...job.request,
      ageMs: 0,
      insists: () => job.request.insists && this.#latest.get(job.request.key) === job,
    }));
    try {
      const results = await this.#writeMany(writes);
      for (const [index, job] of waiting.entries()) {
        const { touched } = job;
        this.#end(job, (done) => done.resolve({ ...(results[index] as Written), touched }));
      }
    } catch (error) {
      for (const job of waiting) this.#end(job, (done) => done.reject(error));
    }
  }

  #end(job: Job, settle: (done: PromiseWithResolvers<WriteOutcome>) => void): void {
    if (!this.#flying.delete(job)) return;
    // From here on it no longer insists: its caller has been answered.
    if (this.#latest.get(job.request.key) === job) this.#latest.delete(job.request.key);
    settle(job.done);
  }
}
