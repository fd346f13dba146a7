const BUCKETS = 10;

/** What a window holds. */
export interface WindowTotals {
  readonly calls: number;
  readonly failed: number;
  readonly slow: number;
}

interface Bucket {
  slot: number;
  calls: number;
  failed: number;
  slow: number;
}

/**
 * Counts calls over a sliding time, in ten buckets: adding is constant work, and the oldest tenth
 * falls out at once.
 */
export class SlidingWindow {
  readonly #bucketMs: number;
  readonly #buckets: Bucket[];

  /** @param windowMs - length of the window */
  constructor(windowMs: number) {
    this.#bucketMs = Math.max(1, windowMs / BUCKETS);
    this.#buckets = Array.from({ length: BUCKETS }, () => ({ slot: -1, calls: 0, failed: 0, slow: 0 }));
  }

  /** @param now - monotonic milliseconds */
  add(now: number, failed: boolean, slow: boolean): void {
    const slot = Math.floor(now / this.#bucketMs);
    const bucket = this.#buckets[slot % BUCKETS] as Bucket;
    if (bucket.slot !== slot) Object.assign(bucket, { slot, calls: 0, failed: 0, slow: 0 });
    bucket.calls += 1;
    if (failed) bucket.failed += 1;
    if (slow) bucket.slow += 1;
  }

  totals(now: number): WindowTotals {
    const oldest = Math.floor(now / this.#bucketMs) - BUCKETS + 1;
    const totals = { calls: 0, failed: 0, slow: 0 };
    for (const bucket of this.#buckets) {
      if (bucket.slot < oldest) continue;
      totals.calls += bucket.calls;
      totals.failed += bucket.failed;
      totals.slow += bucket.slow;
    }
    return totals;
  }

  clear(): void {
    for (const bucket of this.#buckets) bucket.slot = -1;
  }
}
