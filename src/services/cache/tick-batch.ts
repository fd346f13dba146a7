/** Bounds of one batch: what a Redis on a slow link takes well within a call's deadline. */
export interface BatchBounds {
  readonly maxItems: number;
  readonly maxBytes: number;
  /** So many leave at once while no batch is on its way: Redis works on them while the others gather. */
  readonly firstItems: number;
}

/**
 * Collects what is asked for in one turn of the event loop and hands it over as one: a command for
 * many keys costs little more than one for a single key. What is full leaves before the turn ends.
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

  /** @param run - never rejects; resolves when the batch has been answered */
  constructor(bounds: BatchBounds, run: (items: Item[]) => Promise<void>) {
    this.#bounds = bounds;
    this.#run = run;
  }

  add(item: Item, bytes = 0): void {
    const { maxItems, maxBytes, firstItems } = this.#bounds;
    if (this.#bytes + bytes > maxBytes) this.#flush();
    this.#items.push(item);
    this.#bytes += bytes;
    if (this.#items.length >= (this.#flying === 0 ? firstItems : maxItems)) return this.#flush();
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(this.#endTurn);
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
