/** What Redis has not been told of a key. */
export interface Note {
  readonly version: string;
  /** When the lifetime of the value of that version ends, in monotonic milliseconds; 0 for a delete. */
  readonly until: number;
}

/** Another instance's change, of which only the version is known here. */
export interface CarriedNote extends Note {
  readonly until: 0;
  /** Who made it, as the bus knows it, and when it was heard of, in monotonic milliseconds. */
  readonly sender: string;
  readonly heardAt: number;
}

/**
 * The keys whose last write Redis may not have: the last write of a key wins, and there is a bound.
 *
 * It holds no values, so its memory is that of its keys. The value is the memory tier's; where that
 * has evicted it, a delete is replayed: the key is cold then, but never wrong.
 */
export class Journal {
  /** This instance's own writes, which nobody else brings to Redis, and those of others, oldest first. */
  readonly #own = new Map<string, Note>();
  readonly #carried = new Map<string, CarriedNote>();
  readonly #max: number;

  /** @param max - `cache.journalMax` */
  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#own.size + this.#carried.size;
  }

  /** How many of the notes are this instance's own. */
  get owed(): number {
    return this.#own.size;
  }

  get(key: string): Note | undefined {
    return this.#own.get(key) ?? this.#carried.get(key);
  }

  has(key: string): boolean {
    return this.#own.has(key) || this.#carried.has(key);
  }

  /**
   * Notes a write of this instance, unless a newer one of the key is noted.
   *
   * @returns false when another note had to go: only a new epoch makes up for it
   */
  put(key: string, note: Note): boolean {
    return this.#put(this.#own, key, note);
  }

  /** As `put`, of a change that another instance has told of. */
  carry(key: string, note: CarriedNote): boolean {
    return this.#put(this.#carried, key, note);
  }
  /** Strikes the note of a key out once Redis has `version` or something newer. */
  settle(key: string, version: string): void {
    const known = this.get(key);
    if (known && known.version <= version) this.#delete(key);
  }

  /** Strikes out what is older than a version at which Redis has been cleared. */
  settleBefore(version: string): void {
    for (const notes of [this.#own, this.#carried]) {
      for (const [key, note] of notes) if (note.version < version) notes.delete(key);
    }
  }

  clear(): void {
    this.#own.clear();
    this.#carried.clear();
  }

  /** This instance's own notes, oldest first; may be changed while it is walked. */
  own(): IterableIterator<[string, Note]> {
    return this.#own.entries();
  }

  /** The notes for others, oldest first; may be changed while it is walked. */
  carried(): IterableIterator<[string, CarriedNote]> {
    return this.#carried.entries();
  }

  #put<N extends Note>(notes: Map<string, N>, key: string, note: N): boolean {
    const known = this.get(key);
    if (known && known.version > note.version) return true;
    this.#delete(key);
    notes.set(key, note);
    if (this.size <= this.#max) return true;
    const oldest = (this.#carried.size > 0 ? this.#carried : this.#own).keys().next();
    if (!oldest.done) this.#delete(oldest.value);
    return false;
  }

  #delete(key: string): void {
    this.#own.delete(key);
    this.#carried.delete(key);
  }
}
