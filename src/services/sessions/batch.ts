import { RedoubtError, isRedoubtError } from '../../core/errors.ts';

export interface BatchOptions<Item, Result> {
  /** One statement for all of them; its results are in the order of the items. */
  readonly run: (items: readonly Item[]) => Promise<readonly Result[]>;
  /** Two items of one key never share a statement; without it any two may. */
  readonly keyOf?: (item: Item) => string;
  /** Statements in flight. */
  readonly parallel: number;
  /** Most items of one statement. */
  readonly size: number;
  /** High-water mark of the items that wait. */
  readonly waitingMax: number;
  /** The setting that `waitingMax` comes from, for the error. */
  readonly bound: string;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Groups concurrent calls into few statements: while all are in flight, later calls wait and share the next one.
 *
 * A call never joins a statement that has left: that one may have looked before a write which the
 * caller already knows of.
 */
export class Batch<Item, Result> {
  readonly #options: BatchOptions<Item, Result>;
  #waiting: Waiting<Item, Result>[] = [];
  #running = 0;

  constructor(options: BatchOptions<Item, Result>) {
    this.#options = options;
  }

  /** @throws {RedoubtError} `ERR_BACKPRESSURE`, or what the statement throws */
  add(item: Item): Promise<Result> {
    const { waitingMax, bound } = this.#options;
    if (this.#waiting.length >= waitingMax) {
      return Promise.reject(new RedoubtError('ERR_BACKPRESSURE', { bound, limit: waitingMax }));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#start();
    });
  }

  #start(): void {
    while (this.#waiting.length > 0 && this.#running < this.#options.parallel) void this.#flush(this.#take());
  }

  #take(): Waiting<Item, Result>[] {
    const { keyOf, size } = this.#options;
    if (!keyOf) return this.#waiting.splice(0, size);
    const taken = new Map<string, Waiting<Item, Result>>();
    const left: Waiting<Item, Result>[] = [];
    for (const one of this.#waiting) {
      const key = keyOf(one.item);
      if (taken.size < size && !taken.has(key)) taken.set(key, one);
      else left.push(one);
    }
    this.#waiting = left;
    return [...taken.values()];
  }

  async #flush(group: readonly Waiting<Item, Result>[]): Promise<void> {
    this.#running += 1;
    try {
      const results = await this.#options.run(group.map(({ item }) => item));
      for (const [i, { resolve }] of group.entries()) resolve(results[i] as Result);
    } catch (error) {
      const isMistake = isRedoubtError(error, 'ERR_POSTGRES_REPLY');
      // One that PostgreSQL refuses must not take the others with it.
      if (isMistake && group.length > 1) await Promise.all(group.map((one) => this.#runAlone(one)));
      else for (const { reject } of group) reject(error);
      // Nobody waits for a second deadline behind one that has just passed.
      if (!isMistake) for (const { reject } of this.#waiting.splice(0)) reject(error);
    } finally {
      this.#running -= 1;
      this.#start();
    }
  }

  async #runAlone({ item, resolve, reject }: Waiting<Item, Result>): Promise<void> {
    try {
      const [result] = await this.#options.run([item]);
      resolve(result as Result);
    } catch (error) {
      reject(error);
    }
  }
}
