import type { Stored } from './entry.ts';
import { TickBatch } from './tick-batch.ts';

/** What Redis said of a key. */
export interface Arrival {
  readonly stored: Stored | undefined;
  /** Nothing that was heard meanwhile makes it older than what there is. */
  readonly fresh: boolean;
  /** The generation in which it was asked for. */
  readonly generation: number;
}

interface Read {
  readonly key: string;
  readonly generation: number;
  readonly done: PromiseWithResolvers<Arrival>;
  fresh: boolean;
}

export interface ReadsOptions {
  readonly generation: () => number;
  /** Reads many keys at once, in their order. */
  readonly readMany: (keys: readonly string[]) => Promise<(Stored | undefined)[]>;
}

/** Keys in one MGET. */
const BOUNDS = { maxItems: 256, maxBytes: Number.POSITIVE_INFINITY };

/**
 * The reads on their way: those of one tick go together, and whoever asks for a key that is being asked for
 * joins. A change of the key that is heard of meanwhile parts the read from those who ask later, and keeps its
 * answer out of memory: it may be from before the change.
 */
export class Reads {
  readonly #options: ReadsOptions;
  readonly #batch: TickBatch<Read>;
  readonly #joinable = new Map<string, Read>();
  readonly #flying = new Set<Read>();

  constructor(options: ReadsOptions) {
    this.#options = options;
    this.#batch = new TickBatch(BOUNDS, (reads) => this.#send(reads));
  }

  /** @throws what kept Redis from answering */
  read(key: string): Promise<Arrival> {
    const known = this.#joinable.get(key);
    if (known) return known.done.promise;
    const read: Read = { key, generation: this.#options.generation(), done: Promise.withResolvers(), fresh: true };
    this.#joinable.set(key, read);
    this.#flying.add(read);
    this.#batch.add(read);
    return read.done.promise;
  }

  /** The keys that `work` asks for before it returns go in one MGET. */
  together<T>(work: () => T): T {
    return this.#batch.together(work);
  }

  /** The key has changed. */
  drop(key: string): void {
    const read = this.#joinable.get(key);
    if (!read) return;
    read.fresh = false;
    this.#joinable.delete(key);
  }

  dropAll(): void {
    for (const read of this.#joinable.values()) read.fresh = false;
    this.#joinable.clear();
  }

  /** Nobody waits any longer. */
  giveUp(error: unknown): void {
    for (const read of this.#flying) this.#end(read, (done) => done.reject(error));
  }

  async #send(reads: Read[]): Promise<void> {
    const waiting = reads.filter((read) => this.#flying.has(read));
    if (waiting.length === 0) return;
    try {
      const found = await this.#options.readMany(waiting.map(({ key }) => key));
      for (const [index, read] of waiting.entries()) {
        const { fresh, generation } = read;
        this.#end(read, (done) => done.resolve({ stored: found[index], fresh, generation }));
      }
    } catch (error) {
      for (const read of waiting) this.#end(read, (done) => done.reject(error));
    }
  }

  #end(read: Read, settle: (done: PromiseWithResolvers<Arrival>) => void): void {
    if (!this.#flying.delete(read)) return;
    if (this.#joinable.get(read.key) === read) this.#joinable.delete(read.key);
    settle(read.done);
  }
}
