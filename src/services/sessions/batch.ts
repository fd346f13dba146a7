import { RedoubtError, isRedoubtError } from '../../core/errors.ts';

export interface BatchOptions<Item, Result> {
  /** One call for all of them; its results are in the order of the items. */
  readonly run: (items: readonly Item[]) => Promise<readonly Result[]>;
  /** Two items of one key never share a call; without it any two may. */
  readonly keyOf?: (item: Item) => string;
  /** When a group that is not full leaves; default: at the end of the turn. */
  readonly turn?: TurnEnd;
  /** Calls in flight. */
  readonly parallel: number;
  /** Most items of one call. */
  readonly size: number;
  /** High-water mark of the items that wait. */
  readonly waitingMax: number;
  /** The setting that `waitingMax` comes from, for the error. */
  readonly bound: string;
}

/** The end of a turn of the event loop, behind everything that it still does: what came together leaves together. */
export class TurnEnd {
  readonly #together: (leave: () => void) => void;
  #leaving: (() => void)[] = [];

  /** @param together - called around those that leave at the end of one turn, so that they may share a way */
  constructor(together: (leave: () => void) => void = (leave) => leave()) {
    this.#together = together;
  }

  atEnd(leave: () => void): void {
    if (this.#leaving.push(leave) === 1) setImmediate(this.#run);
  }

  readonly #run = (): void => {
    const leaving = this.#leaving;
    this.#leaving = [];
    this.#together(() => {
      for (const leave of leaving) leave();
    });
  };
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Groups the calls of one turn of the event loop into one, or into several full ones; while all calls are in flight,
 * later ones wait and share the next.
 *
 * A call never joins one that has left: that one may have looked before a write which the caller already knows of.
 */
export class Batch<Item, Result> {
  readonly #options: BatchOptions<Item, Result>;
  readonly #turn: TurnEnd;
  #waiting: Waiting<Item, Result>[] = [];
  #running = 0;
  #gathering = false;

  constructor(options: BatchOptions<Item, Result>) {
    this.#options = options;
    this.#turn = options.turn ?? new TurnEnd();
  }

  /** @throws {RedoubtError} `ERR_BACKPRESSURE`, or what the call throws */
  add(item: Item): Promise<Result> {
    const { waitingMax, bound, parallel, size } = this.#options;
    if (this.#waiting.length >= waitingMax) {
      return Promise.reject(new RedoubtError('ERR_BACKPRESSURE', { bound, limit: waitingMax }));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (this.#running >= parallel) return;
      // A full group leaves at once, so that the backend works on it while the next one gathers.
      if (this.#waiting.length >= size) return this.#start();
      if (this.#gathering) return;
      this.#gathering = true;
      this.#turn.atEnd(this.#leave);
    });
  }

  readonly #leave = (): void => {
    this.#gathering = false;
    this.#start();
  };

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
      const isMistake = isRedoubtError(error, 'ERR_POSTGRES_REPLY') || isRedoubtError(error, 'ERR_REDIS_REPLY');
      // One that the backend refuses must not take the others with it.
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
