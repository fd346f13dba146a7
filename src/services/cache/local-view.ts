import type { Clock } from '../../core/clock.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { type Stored, decodeValue } from './entry.ts';
import type { Journal } from './journal.ts';
import type { MemoryEntry, MemoryTier } from './memory-tier.ts';
import type { Lookup } from './types.ts';
import type { VersionClock } from './version.ts';

/** A copy that Redis lacks is gone elsewhere, unless both were about to expire: clocks differ by less than this. */
const EXPIRY_SLACK_MS = 1000;

export interface LocalViewOptions {
  readonly memory: MemoryTier;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly versions: VersionClock;
  readonly graceMs: number;
}

/** What an absent key and an old copy mean at the moment. */
export interface Circumstances {
  /** Why Redis was not asked; `undefined` where memory is all there is. */
  readonly unasked: ErrorCode | undefined;
  /** Monotonic milliseconds at which Redis was lost; `undefined`: just now. */
  readonly lostAt: number | undefined;
  /** This instance has cleared the cache and Redis does not know yet. */
  readonly cleared: boolean;
}

/** What this instance can say without Redis: its own writes for certain, copies of Redis' values as stale. */
export class LocalView {
  readonly #options: LocalViewOptions;

  constructor(options: LocalViewOptions) {
    this.#options = options;
  }

  find<T>(key: string, { unasked, lostAt, cleared }: Circumstances): Lookup<T> {
    const { clock, graceMs, journal, memory } = this.#options;
    const now = clock.now();
    const note = journal.get(key);
    const entry = memory.get(key);
    const alive = entry !== undefined && entry.expiresAt > now && !(note && entry.version < note.version);
    if (alive && (entry.vouched || now - (lostAt ?? now) <= graceMs)) {
      const value = decodeValue(entry.payload) as T;
      const ageMs = Math.max(0, now - entry.writtenAt);
      return { status: entry.vouched ? 'hit' : 'stale', value, source: 'memory', ageMs };
    }
    const ended = (note !== undefined && note.until <= now) || (entry?.vouched ?? false);
    if (ended || cleared || unasked === undefined) return { status: 'miss', source: 'memory' };
    return { status: 'unknown', source: 'memory', reason: unasked };
  }

  /** Whether memory has a value of the key that is within its lifetime. */
  has(key: string): boolean {
    const entry = this.#options.memory.peek(key);
    return entry !== undefined && entry.expiresAt > this.#options.clock.now();
  }

  /**
   * Keeps what Redis has just said of a key, for an outage.
   *
   * @param keepMs - how long past its lifetime memory keeps it
   */
  copy(key: string, stored: Stored | undefined, keepMs: number): void {
    const { clock, memory, versions } = this.#options;
    const now = clock.now();
    const known = memory.peek(key);
    if (!stored?.payload) {
      // A tombstone, or a key that vanished well before its time: deleted elsewhere. What merely
      // expired stays, for a loader that fails.
      const gone = stored !== undefined || (known !== undefined && known.expiresAt - now > EXPIRY_SLACK_MS);
      if (gone && !known?.vouched) memory.delete(key);
      return;
    }
    // A write of ours that is on its way to Redis.
    if (known?.vouched && known.version >= stored.version) return;
    // What a getOrSet() has kept for its grace, a mere get() does not cut short.
    const same = known?.version === stored.version;
    if (same && known.keepMs >= keepMs) return void memory.get(key);
    const { payload, version, writtenAt, expiresAt } = stored;
    const redisNow = versions.redisNow();
    const leftMs = Math.min(expiresAt - redisNow, expiresAt - writtenAt);
    if (leftMs <= 0) return;
    const ageMs = Math.max(0, redisNow - writtenAt);
    const entry: MemoryEntry = {
      payload,
      version,
      writtenAt: now - ageMs,
      expiresAt: now + leftMs,
      keepMs,
      vouched: false,
    };
    memory.set(key, entry);
  }

  /** Every key in Redis is void: so are the copies of them, and our own writes from before the last clear(). */
  forget(cleared: string): void {
    const { journal, memory } = this.#options;
    memory.forgetCopies();
    for (const [key, note] of journal.entries()) {
      if (note.version >= cleared) continue;
      journal.settle(key, note.version);
      memory.delete(key);
    }
  }
}
