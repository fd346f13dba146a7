/** Lets at most `size` run at once, across the BullMQ workers that follow each other over outages. */
export class Slots {
  readonly #waiting: (() => void)[] = [];
  readonly #idle: (() => void)[] = [];
  #free: number;
  #taken = 0;

  constructor(size: number) {
    this.#free = size;
  }

  /** Runs `work` as soon as there is a slot. Waiting is bounded by what BullMQ hands out at once. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    this.#taken += 1;
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
      this.#taken -= 1;
      if (this.#taken === 0) for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  /** Resolves when nothing runs or waits. */
  idle(): Promise<void> {
    return this.#taken === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }
}
