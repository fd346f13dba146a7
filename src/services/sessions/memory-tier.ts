import { LRUCache } from 'lru-cache';

import type { Clock } from '../../core/clock.ts';
import { type SessionRecord, newerRecord } from './record.ts';

interface Kept {
  record: SessionRecord;
  /** On the monotonic clock. */
  expiresAt: number;
}

/** The last resort: sealed copies of what this process read and wrote lately, and the logouts it acknowledged. */
export class MemoryTier {
  readonly #clock: Clock;
  readonly #kept: LRUCache<string, Kept>;

  /** @param max - most records; beyond it the one used longest ago is forgotten */
  constructor(clock: Clock, max: number) {
    this.#clock = clock;
    this.#kept = new LRUCache({ max });
  }

  get size(): number {
    return this.#kept.size;
  }

  get(id: string): SessionRecord | undefined {
    return this.#find(id)?.record;
  }

  /** Keeps the record, unless a newer one or a logout is known: a slow reader must not bring the old one back. */
  keep(id: string, record: SessionRecord, lifeMs: number): void {
    const held = this.#find(id);
    const expiresAt = this.#clock.now() + lifeMs;
    if (!held) this.#kept.set(id, { record, expiresAt });
    else if (newerRecord(held.record, record) === record) {
      // The one that is there has outlived its youth: to put its equal in its place would make work for the collector.
      if (held.record.version !== record.version || held.record.box !== record.box) held.record = record;
      held.expiresAt = expiresAt;
      // Whoever uses a record keeps it again, so that this is its last use.
      this.#kept.get(id);
    }
  }

  /** How long the record will be kept, in milliseconds; 0 for none. */
  lifeMs(id: string): number {
    const kept = this.#kept.peek(id);
    return kept === undefined ? 0 : Math.max(0, kept.expiresAt - this.#clock.now());
  }

  prolong(id: string, lifeMs: number): void {
    const record = this.get(id);
    if (record && record.box !== null) this.keep(id, record, lifeMs);
  }

  #find(id: string): Kept | undefined {
    const kept = this.#kept.peek(id);
    if (kept === undefined || kept.expiresAt > this.#clock.now()) return kept;
    this.#kept.delete(id);
    return undefined;
  }
}

/** A write that the shared truth has not acknowledged. */
export interface JournalEntry {
  readonly record: SessionRecord;
  /** On the monotonic clock. */
  readonly expiresAt: number;
  /** Redis has it: other instances see it, and it outlives this process. */
  readonly shared: boolean;
}

/** Writes to be replayed when the shared truth is back: the last one of each id. */
export class Journal {
  readonly #clock: Clock;
  readonly #entries = new Map<string, JournalEntry>();
  readonly #max: number;

  /** @param max - most ids; a further id is refused, never a living one forgotten */
  constructor(clock: Clock, max: number) {
    this.#clock = clock;
    this.#max = max;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** How many entries exist nowhere but here. */
  get unshared(): number {
    let count = 0;
    for (const entry of this.#entries.values()) if (!entry.shared) count += 1;
    return count;
  }

  get(id: string): JournalEntry | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.expiresAt > this.#clock.now()) return entry;
    this.#entries.delete(id);
    return undefined;
  }

  entries(): [id: string, entry: JournalEntry][] {
    return [...this.#entries];
  }

  /** @returns `false` where the journal is full and the id is not in it */
  put(id: string, entry: JournalEntry): boolean {
    const held = this.get(id);
    if (held === undefined && this.#entries.size >= this.#max && !this.#sweep()) return false;
    if (held === undefined || newerRecord(held.record, entry.record) === entry.record) this.#entries.set(id, entry);
    return true;
  }

  prolong(id: string, lifeMs: number): void {
    const held = this.get(id);
    if (held && held.record.box !== null) {
      this.#entries.set(id, { ...held, expiresAt: this.#clock.now() + lifeMs });
    }
  }

  /** Forgets the entry, unless a later one took its place. */
  settle(id: string, entry: JournalEntry | undefined): void {
    if (entry !== undefined && this.#entries.get(id) === entry) this.#entries.delete(id);
  }

  /** Makes room by forgetting what has expired; whether there is any now. */
  #sweep(): boolean {
    for (const id of this.#entries.keys()) this.get(id);
    return this.#entries.size < this.#max;
  }
}
