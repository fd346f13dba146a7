import { type ErrorCode, RedoubtError } from '../../core/errors.ts';
import type { Place } from './coherence.ts';
import type { Core } from './core.ts';
import { type MemoryEntry, type MemoryTier, UNREAD } from './memory-tier.ts';
import type { Arrival } from './reads.ts';
import type { Tags } from './tags.ts';
import type { Lookup } from './types.ts';

export interface ReaderOptions {
  readonly core: Core;
  readonly tags: Tags;
  readonly memory: MemoryTier;
  readonly graceMs: number;
  readonly maxStaleMs: number;
  readonly fleetKeyOf: (key: string) => string;
  readonly place: (key: string) => Place;
}

type WithEntry<Status> = Omit<Extract<Lookup, { readonly status: Status }>, 'value'> & { readonly entry: MemoryEntry };

/** What a look-up came to; a value is read from its entry by whoever wants it. */
export type Found = Extract<Lookup, { readonly status: 'miss' | 'unknown' }> | WithEntry<'hit'> | WithEntry<'stale'>;

/** Looks a key up: in memory while that is coherent, else in Redis, else in what this instance can say alone. */
export class Reader {
  readonly #core: Core;
  readonly #options: ReaderOptions;

  constructor(options: ReaderOptions) {
    this.#core = options.core;
    this.#options = options;
  }

  /** @param keepMs - how long past its lifetime memory keeps what is found */
  async find(key: string, keepMs: number): Promise<Found> {
    const core = this.#core;
    const { standing } = core;
    const now = core.clock.now();
    const entry = this.#options.memory.get(key);
    if (entry?.generation === standing.generation && now < entry.expiresAt && now < standing.hitsUntil) {
      return hit(entry, standing.isLocal ? 'memory' : 'l1', now);
    }
    const fleetKey = this.#options.fleetKeyOf(key);
    if (!core.asksRedis || core.journal.has(fleetKey)) {
      const found = this.#findHere(key, fleetKey, 'ERR_REDIS_UNAVAILABLE');
      await core.turns.take();
      return found;
    }
    try {
      const arrival = await core.reads.read(fleetKey);
      // Written here meanwhile, and Redis could not be told.
      if (core.journal.has(fleetKey)) return this.#findHere(key, fleetKey, 'ERR_REDIS_UNAVAILABLE');
      const taken = await this.#take(key, fleetKey, arrival, keepMs);
      return taken ? hit(taken, 'redis', core.clock.now()) : { status: 'miss', source: 'redis' };
    } catch (error) {
      // Not logged: the backend has told the detector, and the answer says where it comes from.
      core.failed(error);
      return this.#findHere(key, fleetKey, error instanceof RedoubtError ? error.code : 'ERR_REDIS_REPLY');
    }
  }

  /** What is there now. A read that is on its way already is not joined: its answer may be older than the question. */
  async findAnew(key: string): Promise<MemoryEntry | undefined> {
    this.#core.reads.drop(this.#options.fleetKeyOf(key));
    const found = await this.find(key, 0);
    return found.status === 'hit' ? found.entry : undefined;
  }

  /** What this instance can say without Redis: its own writes for certain, copies of Redis' values as stale. */
  #findHere(key: string, fleetKey: string, reason: ErrorCode): Found {
    const { clock, journal, replayer, standing, shared } = this.#core;
    const now = clock.now();
    const note = journal.get(fleetKey);
    const entry = this.#options.memory.get(key);
    const known = entry !== undefined && !(note && entry.version < note.version);
    const vouched = known && (note !== undefined || (standing.isLocal && entry.generation === standing.generation));
    if (known && entry.expiresAt > now) {
      if (vouched) return hit(entry, 'memory', now);
      if (now < this.#staleUntil(now)) {
        return { status: 'stale', entry, source: 'memory', ageMs: Math.max(0, now - entry.writtenAt) };
      }
    }
    const ended = (note !== undefined && note.until <= now) || vouched;
    if (ended || replayer.clearDue || !shared) return { status: 'miss', source: 'memory' };
    return { status: 'unknown', source: 'memory', reason };
  }

  /** Up to when a copy may stand in; a call that failed while Redis is in use has only just lost it. */
  #staleUntil(now: number): number {
    const { standing } = this.#core;
    const lostAt = standing.isLocal ? standing.lostAt : now;
    const heardAt = standing.isLocal ? standing.heardAt : now;
    return Math.min(lostAt + this.#options.graceMs + 1, heardAt + this.#options.maxStaleMs);
  }

  /** Keeps what Redis has just said of a key; `undefined` where it has no value. */
  async #take(key: string, fleetKey: string, arrival: Arrival, keepMs: number): Promise<MemoryEntry | undefined> {
    const { clock, versions } = this.#core;
    const { stored, generation } = arrival;
    const isVoid = stored && stored.tags.length > 0 ? this.#options.tags.isVoid(stored.tags, stored.version) : false;
    // While a tag is asked for the key may change: then it is read and not kept, and kept the next time.
    const keeps = isVoid !== undefined && this.#core.mayKeep(fleetKey, arrival);
    if (isVoid ?? (stored && (await this.#options.tags.askVoid(stored.tags, stored.version)))) return undefined;
    const known = this.#options.memory.peek(key);
    if (!stored?.payload) {
      if (keeps && known) this.#core.coherence.invalidated(this.#options.place(key), known, stored !== undefined);
      return undefined;
    }
    // What a getOrSet() has kept for its grace, a mere get() does not cut short.
    if (known && known.version === stored.version && known.keepMs >= keepMs) {
      if (keeps) known.generation = generation;
      return known;
    }
    const { payload, version, writtenAt, expiresAt, tags } = stored;
    const now = clock.now();
    const redisNow = versions.redisNow();
    const entry: MemoryEntry = {
      value: UNREAD,
      answer: undefined,
      payload,
      version,
      generation,
      own: false,
      writtenAt: now - Math.max(0, redisNow - writtenAt),
      expiresAt: now + Math.min(expiresAt - redisNow, expiresAt - writtenAt),
      keepMs,
      tags,
      bytes: payload.bytes,
    };
    if (keeps && !(known && known.version > version)) this.#options.memory.set(key, entry);
    return entry;
  }
}

function hit(entry: MemoryEntry, source: 'l1' | 'redis' | 'memory', now: number): Found {
  return { status: 'hit', entry, source, ageMs: Math.max(0, now - entry.writtenAt) };
}
