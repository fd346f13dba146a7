/** Bounds of one batch: what a Redis on a slow link takes well within a call's deadline. */
export interface BatchBounds {
  readonly maxItems: number;
  readonly maxBytes: number;
}

/**
 * Collects what is asked for in one turn of the event loop and hands it over as one: a command for
 * many keys costs little more than one for a single key.
 *
 * Not a microtask: those who wait for the same answer go on one after the other, some of them microtasks
 * apart, and all of them belong into the same batch.
 */
export class TickBatch<Item> {
  readonly #bounds: BatchBounds;
  readonly #run: (items: Item[]) => void;
  #items: Item[] = [];
  #bytes = 0;
  #scheduled = false;

  constructor(bounds: BatchBounds, run: (items: Item[]) => void) {
    this.#bounds = bounds;
    this.#run = run;
  }

  add(item: Item, bytes = 0): void {
    const { maxItems, maxBytes } = this.#bounds;
    if (this.#items.length >= maxItems || this.#bytes + bytes > maxBytes) this.#flush();
    this.#items.push(item);
    this.#bytes += bytes;
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#items.length === 0) return;
    const items = this.#items;
    this.#items = [];
    this.#bytes = 0;
    this.#run(items);
  }
}
