/** What the cache has done, for stats(), `/health` and `/metrics`. */
export class Counts {
  l1Hits = 0;
  redisHits = 0;
  memoryHits = 0;
  misses = 0;
  stale = 0;
  unknown = 0;
  sets = 0;
  deletes = 0;
  /** Calls that Redis did not answer, or not in time. */
  fallbacks = 0;
  /** New epochs: times at which everything was cold. */
  epochs = 0;
  /** Times at which Redis was left alone because a call had no answer in time. */
  suspensions = 0;
  /** Keys that others' news took out of memory. */
  invalidations = 0;

  get hits(): number {
    return this.l1Hits + this.redisHits + this.memoryHits;
  }
}
