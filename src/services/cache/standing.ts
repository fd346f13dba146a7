/**
 * What may be believed of memory now, and until when. Read at each hit, so plain fields.
 *
 * A *generation* is a time in which this instance heard of every change: while it is coherent with
 * Redis, or while it works alone. Only entries of the present generation are hits. It ends whenever
 * news may have been missed, which is cheaper and surer than looking for what they were.
 */
export class Standing {
  generation = 1;
  /** Entries of this generation are hits until then: what was heard last proves no more. */
  hitsUntil = Number.NEGATIVE_INFINITY;
  /** When others' changes stopped arriving for certain; infinitely long ago while Redis can be asked. */
  lostAt = Number.NEGATIVE_INFINITY;
  /** Up to when the others' changes have arrived by way of PostgreSQL. */
  heardAt = Number.NEGATIVE_INFINITY;

  /** Whether this instance works without Redis. */
  get isLocal(): boolean {
    return this.lostAt !== Number.NEGATIVE_INFINITY;
  }

  /** Coherent with Redis as long as `hitsUntil` is moved on. */
  share(): void {
    this.generation += 1;
    this.hitsUntil = Number.NEGATIVE_INFINITY;
    this.lostAt = Number.NEGATIVE_INFINITY;
    this.heardAt = Number.NEGATIVE_INFINITY;
  }

  /** Alone: what is written here is right until Redis is back; what was read before is stale. */
  part(now: number): void {
    if (this.isLocal) return;
    this.generation += 1;
    this.hitsUntil = Number.POSITIVE_INFINITY;
    this.lostAt = now;
    this.heardAt = now;
  }

  /** News may have been missed. Alone there is none to miss. */
  doubt(): void {
    if (this.isLocal) return;
    this.generation += 1;
    this.hitsUntil = Number.NEGATIVE_INFINITY;
  }
}
