import type { Clock } from '../../core/clock.ts';
import type { Counts } from './counts.ts';
import type { Payload } from './entry.ts';
import type { Journal } from './journal.ts';
import type { MemoryEntry, MemoryTier } from './memory-tier.ts';
import type { Reads } from './reads.ts';
import type { RedisTier } from './redis-tier.ts';
import type { Standing } from './standing.ts';
import { Verifier } from './verifier.ts';
import type { VersionClock } from './version.ts';
import type { Writes } from './writes.ts';

/** A copy that Redis lacks is gone elsewhere, unless both were about to expire: clocks differ by less than this. */
const EXPIRY_SLACK_MS = 1000;

/** Later than every version. */
const LATEST = ':';

/** A place in a namespace's memory. */
export interface Place {
  readonly memory: MemoryTier;
  /** The key within its namespace. */
  readonly key: string;
  serialised(entry: MemoryEntry): Payload;
}

/** Where things lie in this process. */
export interface Layout {
  /** Where a key of the fleet lies; `undefined` where nothing of its namespace does. */
  readonly locate: (fleetKey: string) => Place | undefined;
  /** Every memory, with what makes its keys those of the fleet. */
  readonly memories: () => Iterable<readonly [MemoryTier, (key: string) => string]>;
  /** A key has changed, which may be a tag: what carries it and is older than that version is void. */
  readonly onTag: (fleetKey: string, version: string) => void;
}

export interface CoherenceOptions extends Layout {
  readonly clock: Clock;
  readonly counts: Counts;
  readonly standing: Standing;
  readonly versions: VersionClock;
  readonly journal: Journal;
  readonly redis: RedisTier;
  readonly reads: Reads;
  readonly writes: Writes;
  readonly deadlineMs: number;
  /** Notes what another instance has changed and Redis lacks. */
  readonly carry: (key: string, version: string, sender: string) => void;
  /** Redis' content as a whole is void. @param cleared - version of a clear(), or empty */
  readonly requireEpoch: (cleared: string) => void;
}

/** What others' changes do to this instance's memory, however they are heard of. */
export class Coherence {
  readonly #options: CoherenceOptions;
  readonly #verifier: Verifier;

  constructor(options: CoherenceOptions) {
    const { clock, redis, deadlineMs } = options;
    this.#options = options;
    this.#verifier = new Verifier({
      clock,
      versionsOf: (keys) => redis.versionsOf(keys, { deadlineMs }),
      onVersion: (key, version) => this.#onVersion(key, version),
    });
  }

  peek(key: string): MemoryEntry | undefined {
    const place = this.#options.locate(key);
    return place?.memory.peek(place.key);
  }

  forget(key: string): void {
    const place = this.#options.locate(key);
    place?.memory.delete(place.key);
  }

  /** Looks after a key that was written here and reported as changed. */
  verify(key: string): void {
    this.#verifier.add(key);
  }

  /** Redis reports that keys have changed. */
  changed(redisKeys: readonly string[]): void {
    const { keys, epoch, own } = this.#options.redis.readReport(redisKeys);
    if (epoch) this.doubt();
    for (const key of keys) this.#invalidate(key, own);
  }

  /** News may have been missed. */
  doubt(): void {
    this.#options.standing.doubt();
    this.#options.reads.dropAll();
  }

  /** Every key in Redis is void: so are the copies of them, and our own writes from before the last clear(). */
  epochMoved(cleared: string): void {
    this.#options.counts.epochs += 1;
    this.doubt();
    this.forgetCopies(cleared);
  }

  /** Another instance has changed a key. @param lackedBy - who is to bring it to Redis; none: Redis has it */
  heard(key: string, version: string, lackedBy: string | undefined): void {
    const { versions, reads, locate, onTag, counts, journal, carry } = this.#options;
    versions.observe(version);
    reads.drop(key);
    const place = locate(key);
    const entry = place?.memory.peek(place.key);
    if (entry && entry.version >= version) return;
    if (entry) place?.memory.delete(place.key);
    onTag(key, version);
    counts.invalidations += 1;
    if (lackedBy) carry(key, version, lackedBy);
    else journal.settle(key, version);
  }

  /** Other instances may have changed any key, up to that version. @param apart - Redis does not have the changes */
  heardAll(version: string, apart: boolean, cleared: boolean): void {
    this.doubt();
    this.forgetCopies(version);
    if (apart) this.#options.requireEpoch(cleared ? version : '');
  }

  /** Leaves nothing in memory but this instance's own writes that Redis lacks, and of these none before a version. */
  forgetCopies(before: string): void {
    const { journal, writes, memories } = this.#options;
    journal.settleBefore(before);
    for (const [memory, fleetKeyOf] of memories()) {
      for (const [key] of memory.entries()) {
        const fleetKey = fleetKeyOf(key);
        if (!journal.has(fleetKey) && !writes.has(fleetKey)) memory.delete(key);
      }
    }
  }

  /**
   * What memory has of a key is no longer so.
   *
   * @param deleted - it is known to have been deleted; else it may just have expired
   */
  invalidated(place: Place, entry: MemoryEntry, deleted: boolean): void {
    const { counts, clock } = this.#options;
    counts.invalidations += 1;
    // What merely expires in Redis stays, for a loader that fails.
    if (deleted || entry.expiresAt - clock.now() > EXPIRY_SLACK_MS) place.memory.delete(place.key);
    else entry.generation = 0;
  }

  close(): void {
    this.#verifier.close();
  }

  /** @param own - in a report of this instance's changes */
  #invalidate(key: string, own: boolean): void {
    const { reads, writes, journal, locate, onTag } = this.#options;
    reads.drop(key);
    // Which version the tag has now is not known; whatever carries it has to be read again.
    onTag(key, LATEST);
    if (writes.touch(key, own) || journal.has(key)) return;
    const place = locate(key);
    const entry = place?.memory.peek(place.key);
    if (!place || !entry) return;
    // Expected, and nobody else's. Not expected, it is about an earlier write of ours, or of somebody who has no part
    // in this and changed the key in that turn.
    if (own && entry.own) entry.own = false;
    else if (own || entry.own) this.#verifier.add(key);
    else this.invalidated(place, entry, false);
  }

  #onVersion(key: string, version: string | undefined): void {
    const { writes, journal, locate, standing } = this.#options;
    const place = locate(key);
    const entry = place?.memory.peek(place.key);
    if (!place || !entry || writes.has(key) || journal.has(key)) return;
    if (version !== undefined && entry.version !== version) return this.invalidated(place, entry, version !== '');
    entry.own = false;
    // Redis could not be asked: good for a copy, and no more.
    if (version === undefined && !standing.isLocal) entry.generation = 0;
  }
}
