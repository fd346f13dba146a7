/** What Redis has not been told of a key: the value of `version` lives until `until`, 0 for a delete. */
export interface Note {
  readonly version: string;
  /** Monotonic milliseconds. */
  readonly until: number;
  /** Another instance's change, of which only the version is known here. */
  readonly carried: boolean;
}

/**
 * The keys whose last write Redis may not have: the last write of a key wins, and there is a bound.
 *
 * It holds no values, so its memory is that of its keys. The value is the memory tier's; where that
 * has evicted it, a delete is replayed: the key is cold then, but never wrong.
 */
export class Journal {
  readonly #notes = new Map<string, Note>();
  readonly #max: number;

  /** @param max - `cache.journalMax` */
  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#notes.size;
  }

  get(key: string): Note | undefined {
    return this.#notes.get(key);
  }

  has(key: string): boolean {
    return this.#notes.has(key);
  }

  /**
   * Notes a write, unless a newer one of the key is noted.
   *
   * @returns false when the oldest note had to go: only a new epoch makes up for it
   */
  put(key: string, note: Note): boolean {
    const known = this.#notes.get(key);
    if (known && known.version > note.version) return true;
    this.#notes.delete(key);
    this.#notes.set(key, note);
    if (this.#notes.size <= this.#max) return true;
    const oldest = this.#notes.keys().next();
    if (!oldest.done) this.#notes.delete(oldest.value);
    return false;
  }

  /** Strikes the note of a key out once Redis has `version` or something newer. */
  settle(key: string, version: string): void {
    const known = this.#notes.get(key);
    if (known && known.version <= version) this.#notes.delete(key);
  }

  clear(): void {
    this.#notes.clear();
  }

  /** The notes, oldest first; may be changed while it is walked. */
  entries(): IterableIterator<[string, Note]> {
    return this.#notes.entries();
  }
}
