import { LRUCache } from 'lru-cache';

import type { Clock, Timer } from '../../core/clock.ts';
import { type Payload, type Serializer, decodeValue } from './entry.ts';

/** Stands for a value that nobody has read yet, or that every reader gets a copy of. */
export const UNREAD: unique symbol = Symbol('unread');

/** What an entry costs beside its key and value: the entry, its place in the list, its numbers. */
const ENTRY_BYTES = 256;

/** An entry in memory. Times are monotonic milliseconds. */
export interface MemoryEntry {
  /** The value as readers share it, or `UNREAD`: then `payload` has it. */
  value: unknown;
  /** The value as every reader that awaits it gets it, made once; `undefined` while it is unread or copied. */
  answer: Promise<unknown> | undefined;
  /** Serialised; let go of when the value is shared, since it can be made again. */
  payload: Payload | undefined;
  version: string;
  /** The generation (standing.ts) in which it may be answered as a hit; 0 for none. */
  generation: number;
  /** This instance wrote it, and Redis' news of that very write may still come. */
  own: boolean;
  readonly writtenAt: number;
  readonly expiresAt: number;
  /** How long past its lifetime it is kept, for loaders that fail. */
  readonly keepMs: number;
  readonly tags: readonly string[];
  readonly bytes: number;
}

export interface MemoryTierOptions {
  readonly clock: Clock;
  readonly maxEntries: number;
  /** Bytes of keys, values and bookkeeping. */
  readonly maxBytes: number;
  readonly sweepEveryMs: number;
  /** `frozen`: readers share one value, deeply frozen. `copied`: each gets a copy of its own. */
  readonly values: 'frozen' | 'copied';
  readonly serializer?: Serializer | undefined;
}

/** Values in this process' memory: least recently used out first, bounded by entries and by bytes. */
export class MemoryTier {
  readonly #options: MemoryTierOptions;
  readonly #entries: LRUCache<string, MemoryEntry>;
  readonly #tagged = new Map<string, Set<string>>();
  #evictions = 0;
  #sweep: Timer;

  constructor(options: MemoryTierOptions) {
    const { clock, maxEntries, maxBytes, sweepEveryMs } = options;
    this.#options = options;
    // Its own lifetimes are not used: they would ask the clock once more at each read.
    this.#entries = new LRUCache({
      max: maxEntries,
      maxSize: maxBytes,
      dispose: (entry, key, reason) => {
        if (reason === 'evict') this.#evictions += 1;
        if (entry.tags.length > 0) this.#untag(key, entry.tags);
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
    if (entry.expiresAt + entry.keepMs <= this.#options.clock.now()) this.#entries.delete(key);
    // A character of a key takes at most three bytes; most take one, and this is only what it costs.
    else {
      this.#entries.set(key, entry, { size: ENTRY_BYTES + key.length + entry.bytes });
      if (entry.tags.length > 0) this.#tag(key, entry.tags);
    }
  }

  /** Deletes what carries a tag and is of an older version. */
  deleteTagged(tag: string, version: string): void {
    for (const key of this.#tagged.get(tag) ?? []) {
      const entry = this.#entries.peek(key);
      if (entry && entry.version < version) this.#entries.delete(key);
    }
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  /** The value for a reader: shared and frozen, or a copy. */
  read(entry: MemoryEntry): unknown {
    if (entry.value !== UNREAD) return entry.value;
    const { values, serializer } = this.#options;
    const payload = entry.payload as Payload;
    const value = decodeValue(payload, serializer);
    if (typeof value === 'object' && value !== null) {
      // Bytes cannot be frozen, and what a serializer makes may be a class that changes itself.
      if (values === 'copied' || payload.kind !== 'json') return value;
      deepFreeze(value);
    }
    entry.value = value;
    entry.answer = Promise.resolve(value);
    entry.payload = undefined;
    return value;
  }

  entries(): Iterable<[string, MemoryEntry]> {
    return this.#entries.entries() as Iterable<[string, MemoryEntry]>;
  }

  clear(): void {
    this.#entries.clear();
  }

  close(): void {
    this.#options.clock.clearTimeout(this.#sweep);
    this.#entries.clear();
  }

  #tag(key: string, tags: readonly string[]): void {
    // Too large to be kept at all.
    if (!this.#entries.has(key)) return;
    for (const tag of tags) {
      const keys = this.#tagged.get(tag);
      if (keys) keys.add(key);
      else this.#tagged.set(tag, new Set([key]));
    }
  }

  #untag(key: string, tags: readonly string[]): void {
    for (const tag of tags) {
      const keys = this.#tagged.get(tag);
      if (keys?.delete(key) && keys.size === 0) this.#tagged.delete(tag);
    }
  }

  #onSweep(): void {
    const { clock, sweepEveryMs } = this.#options;
    const now = clock.now();
    for (const [key, entry] of this.entries()) {
      if (entry.expiresAt + entry.keepMs <= now) this.#entries.delete(key);
    }
    this.#sweep = clock.setTimeout(() => this.#onSweep(), sweepEveryMs);
  }
}

/** JSON has no cycles. Not recursive: whoever wrote it may have had the deeper stack. */
function deepFreeze(value: object): void {
  const open: object[] = [value];
  for (let next = open.pop(); next; next = open.pop()) {
    Object.freeze(next);
    for (const inner of Object.values(next) as unknown[]) {
      if (typeof inner === 'object' && inner !== null) open.push(inner);
    }
  }
}
