import { LRUCache } from 'lru-cache';

import type { Clock, Timer } from '../../core/clock.ts';
import type { Payload } from './entry.ts';

/** An entry in memory. Times are monotonic milliseconds. */
export interface MemoryEntry {
  readonly payload: Payload;
  readonly writtenAt: number;
  readonly expiresAt: number;
  /** How long past its lifetime it is kept, for loaders that fail. */
  readonly keepMs: number;
  version: string;
  /** This instance wrote it and Redis has not taken it over yet: nobody knows better. Else a copy. */
  vouched: boolean;
}

export interface MemoryTierOptions {
  readonly clock: Clock;
  readonly maxEntries: number;
  /** Bytes of keys and values. */
  readonly maxBytes: number;
  readonly sweepEveryMs: number;
}

/** Serialised values in this process' memory: least recently used out first, bounded by entries and by bytes. */
export class MemoryTier {
  readonly #clock: Clock;
  readonly #sweepEveryMs: number;
  readonly #entries: LRUCache<string, MemoryEntry>;
  #evictions = 0;
  #sweep: Timer;

  constructor({ clock, maxEntries, maxBytes, sweepEveryMs }: MemoryTierOptions) {
    this.#clock = clock;
    this.#sweepEveryMs = sweepEveryMs;
    this.#entries = new LRUCache({
      max: maxEntries,
      maxSize: maxBytes,
      // lru-cache takes a start at 0 for "no lifetime", and a clock may well begin there.
      perf: { now: () => clock.now() + 1 },
      // No remembered time: it would be reset by a timer that is not ours.
      ttlResolution: 0,
      dispose: (_entry, _key, reason) => {
        if (reason === 'evict') this.#evictions += 1;
      },
    });
    this.#sweep = clock.setTimeout(() => this.#onSweep(), sweepEveryMs);
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#entries.calculatedSize;
  }

  get evictions(): number {
    return this.#evictions;
  }

  /** The entry, which may be past its lifetime but within what it was kept for. */
  get(key: string): MemoryEntry | undefined {
    return this.#entries.get(key);
  }

  /** Like `get`, without making the entry a recently used one. */
  peek(key: string): MemoryEntry | undefined {
    return this.#entries.peek(key);
  }

  set(key: string, entry: MemoryEntry): void {
    const ttl = Math.ceil(entry.expiresAt - this.#clock.now() + entry.keepMs);
    if (ttl <= 0) this.#entries.delete(key);
    else this.#entries.set(key, entry, { ttl, size: Buffer.byteLength(key) + Math.max(1, entry.payload.bytes) });
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  /** Removes what this instance cannot vouch for. */
  forgetCopies(): void {
    for (const [key, entry] of this.#entries.entries()) {
      if (!entry.vouched) this.#entries.delete(key);
    }
  }

  clear(): void {
    this.#entries.clear();
  }

  close(): void {
    this.#clock.clearTimeout(this.#sweep);
    this.#entries.clear();
  }

  #onSweep(): void {
    this.#entries.purgeStale();
    this.#sweep = this.#clock.setTimeout(() => this.#onSweep(), this.#sweepEveryMs);
  }
}
