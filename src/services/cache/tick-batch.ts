/** Bounds of one batch: what a Redis on a slow link takes well within a call's deadline. */
export interface BatchBounds {
  readonly maxItems: number;
  readonly maxBytes: number;
}

/**
 * Collects what is asked for in one turn of the event loop and hands it over as few commands: one for many keys costs
 * little more than one for a single key. But Redis should not idle while a turn gathers, nor we while it answers. So
 * the first item leaves at once where no batch is on its way, and each batch that is makes the next one twice as large:
 * 1, 2, 4 … Ratios to one large batch: gets 1.0 (1 caller), 1.4 (5), 1.2 (20), 0.85 (100); sets 1.0, 1.5, 1.25, 0.95.
 *
 * Not a microtask: those who wait for the same answer go on one after the other, some of them microtasks
 * apart, and all of them belong into the same batch.
 */
export class TickBatch<Item> {
  readonly #bounds: BatchBounds;
  readonly #run: (items: Item[]) => Promise<void>;
  #items: Item[] = [];
  #bytes = 0;
  #scheduled = false;
  #flying = 0;
  #together = false;

  /** @param run - never rejects; resolves when the batch has been answered */
  constructor(bounds: BatchBounds, run: (items: Item[]) => Promise<void>) {
    this.#bounds = bounds;
    this.#run = run;
  }

  add(item: Item, bytes = 0): void {
    const { maxItems, maxBytes } = this.#bounds;
    if (this.#bytes + bytes > maxBytes) this.#flush();
    this.#items.push(item);
    this.#bytes += bytes;
    const limit = this.#together ? maxItems : Math.min(maxItems, 2 ** this.#flying);
    if (this.#items.length >= limit) return this.#flush();
    if (this.#together || this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(this.#endTurn);
  }

  /** What `work` adds before it returns leaves together, in full batches. */
  together<T>(work: () => T): T {
    this.#flush();
    this.#together = true;
    try {
      return work();
    } finally {
      this.#together = false;
      this.#flush();
    }
  }

  readonly #endTurn = (): void => {
    this.#scheduled = false;
    this.#flush();
  };

  readonly #landed = (): void => {
    this.#flying -= 1;
  };

  #flush(): void {
    if (this.#items.length === 0) return;
    const items = this.#items;
    this.#items = [];
    this.#bytes = 0;
    this.#flying += 1;
    void this.#run(items).then(this.#landed);
  }
}
