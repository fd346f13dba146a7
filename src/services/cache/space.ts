import { RedoubtError } from '../../core/errors.ts';
import { assertKey, assertTags } from './check.ts';
import type { Place } from './coherence.ts';
import { CoarseClock } from './coarse-clock.ts';
import type { Core } from './core.ts';
import type { Counts } from './counts.ts';
import { type Payload, encodeValue, serialise } from './entry.ts';
import { SAMPLE_EVERY } from './hot-keys.ts';
import { type LoadGate, type LoadOptions, Loader } from './loader.ts';
import { listEntries } from './listing.ts';
import type { LoadLock } from './load-lock.ts';
import { type MemoryEntry, MemoryTier, UNREAD } from './memory-tier.ts';
import {
  type LoadDefaults,
  type NamespaceSettings,
  SET_OPTIONS,
  assertOptions,
  lifetimeMs,
  loadSettings,
  namespaceSettings,
  refusedOption,
} from './options.ts';
import { type Found, Reader } from './reader.ts';
import type { Standing } from './standing.ts';
import { TAG_LIFE_MS, type Tags } from './tags.ts';
import type { CacheEntry, CacheSetOptions, CacheSpace, GetOrSetOptions, Lookup, NamespaceOptions } from './types.ts';
import type { Writer } from './writer.ts';

const NO_TAGS: readonly string[] = [];
const NO_OPTIONS = {};

/** What the namespaces share beside the core. */
export interface Common {
  readonly core: Core;
  readonly writer: Writer;
  readonly tags: Tags;
  readonly gate: LoadGate;
  readonly lock: LoadLock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Where the cache and its namespaces have what is behind them. */
export const SPACE: unique symbol = Symbol('space');

/** One namespace: its own memory, lifetimes and bounds, on what all of them share. */
export class Space implements CacheSpace {
  readonly [SPACE] = this;
  readonly memory: MemoryTier;
  readonly loader: Loader;
  readonly #core: Core;
  readonly #reader: Reader;
  readonly #writer: Writer;
  readonly #standing: Standing;
  readonly #counts: Counts;
  readonly #clock: CoarseClock;
  readonly #tags: Tags;
  readonly #settings: NamespaceSettings;
  readonly #loadDefaults: LoadDefaults;
  /** On every value of this namespace, beside its own. */
  readonly #commonTags: readonly string[];
  /** Before each key of this namespace in Redis, in the journal and in what is told to others. */
  readonly #prefix: string;

  /**
   * @param name - empty for the cache itself
   * @throws {RedoubtError} `ERR_CACHE_VALUE` for an option that is unknown or cannot be used
   */
  constructor({ core, writer, tags, gate, lock, random }: Common, name: string, options: NamespaceOptions) {
    const { config, clock, log } = core;
    const settings = namespaceSettings(options, config);
    this.#core = core;
    this.#writer = writer;
    this.#standing = core.standing;
    this.#counts = core.counts;
    this.#clock = new CoarseClock(clock);
    this.#tags = tags;
    this.#settings = settings;
    const { lockMs } = config;
    this.#loadDefaults = { ...settings, lockMs, random, tagsOf: (given, ttlMs) => this.#tagsOf(given, ttlMs) };
    this.#prefix = name === '' ? '' : `\u0000n\u0000${name}\u0000`;
    this.#commonTags = name === '' ? NO_TAGS : [tagOf(name)];
    this.memory = new MemoryTier({
      clock,
      maxEntries: settings.maxEntries,
      maxBytes: settings.maxBytes,
      sweepEveryMs: config.sweepEveryMs,
      values: config.values,
      serializer: settings.serializer,
    });
    this.#reader = new Reader({
      core,
      tags,
      memory: this.memory,
      graceMs: settings.graceMs,
      maxStaleMs: settings.maxStaleMs,
      fleetKeyOf: (key) => this.fleetKeyOf(key),
      place: (key) => this.place(key),
    });
    this.loader = new Loader({
      clock,
      log,
      memory: this.memory,
      versions: core.versions,
      gate,
      lock,
      fleetKeyOf: (key) => this.fleetKeyOf(key),
      find: (key) => this.#reader.findAnew(key),
      encode: (value) => encodeValue(value, config.maxValueBytes, settings.serializer),
      store: (key, payload, version, load) => this.#store(key, payload, version, false, load),
    });
  }

  fleetKeyOf(key: string): string {
    return this.#prefix + key;
  }

  place(key: string): Place {
    return { memory: this.memory, key, serialised: (entry) => this.#serialised(entry) };
  }

  get<T = unknown>(key: string): Promise<T | undefined> {
    const entry = this.memory.get(key);
    const standing = this.#standing;
    // The short way: nothing is awaited, made or looked at that a hit does not need.
    if (entry !== undefined && entry.answer !== undefined && entry.generation === standing.generation) {
      const now = this.#clock.now();
      if (now < entry.expiresAt && now < standing.hitsUntil) {
        this.#quickHit(key);
        return entry.answer as Promise<T>;
      }
    }
    return this.lookup<T>(key).then(valueOf);
  }

  async lookup<T = unknown>(key: string): Promise<Lookup<T>> {
    this.#assertUsable(key);
    const found = this.#count(await this.#reader.find(key, 0));
    if (found.status !== 'hit' && found.status !== 'stale') return found;
    const { entry, ...how } = found;
    return { ...how, value: this.memory.read(entry) as T };
  }

  async has(key: string): Promise<boolean> {
    this.#assertUsable(key);
    const { status } = await this.#reader.find(key, 0);
    return status === 'hit' || status === 'stale';
  }

  async set(key: string, value: unknown, options: CacheSetOptions = NO_OPTIONS): Promise<void> {
    this.#assertUsable(key);
    if (options !== NO_OPTIONS) assertOptions(options, SET_OPTIONS);
    const ttlMs = lifetimeMs(options.ttlMs, this.#settings.ttlMs);
    await this.#put(key, value, ttlMs, this.#tagsOf(options.tags, ttlMs));
  }

  /** As `set`, into groups that are cleared one by one. */
  async setIn(groups: readonly string[], key: string, value: unknown, ttlMs?: number): Promise<void> {
    this.#assertUsable(key);
    const tags = groups.map((group) => this.#groupTag(group));
    await this.#put(key, value, lifetimeMs(ttlMs, this.#settings.ttlMs), [...tags, ...this.#commonTags]);
  }

  async delete(key: string): Promise<boolean> {
    this.#assertUsable(key);
    const core = this.#core;
    const fleetKey = this.fleetKeyOf(key);
    const known = this.memory.peek(key);
    const wasHere = known !== undefined && known.expiresAt > core.clock.now();
    const wasNoted = core.journal.has(fleetKey);
    this.loader.drop(key);
    const existed = await this.#writer.remove(this.place(key), {
      key: fleetKey,
      version: core.versions.next(),
      payload: undefined,
      tags: NO_TAGS,
      lifetimeMs: 0,
      insists: true,
    });
    return (existed ?? false) ? true : wasHere && (existed === undefined || wasNoted);
  }

  async getOrSet<T>(key: string, load: () => T | Promise<T>, options: GetOrSetOptions = {}): Promise<T> {
    this.#assertUsable(key);
    if (typeof load !== 'function') throw refusedOption('load', 'a function that gives the value', load);
    const settings = loadSettings(options, this.#loadDefaults);
    const { eager, swrMs } = settings;
    const found = this.#count(await this.#reader.find(key, settings.graceMs));
    if (found.status === 'hit') {
      if (eager !== undefined && this.#isDue(key, eager)) this.loader.refresh(key, load, settings);
      return this.memory.read(found.entry) as T;
    }
    if (found.status === 'stale') return this.memory.read(found.entry) as T;
    // Redis has just failed to answer: storing does not ask it a second time.
    const load1 = { ...settings, offline: found.status === 'unknown' };
    const last = swrMs > 0 ? this.loader.last(key, swrMs) : undefined;
    if (!last) return this.loader.run<T>(key, load, load1);
    this.loader.refresh(key, load, load1);
    this.#core.counts.stale += 1;
    return this.memory.read(last) as T;
  }

  // Those of one tick go together as they are.
  getMany<T = unknown>(keys: readonly string[]): Promise<(T | undefined)[]> {
    return Promise.all(this.#core.reads.together(() => keys.map((key) => this.get<T>(key))));
  }

  async setMany(entries: Iterable<CacheEntry>, options?: CacheSetOptions): Promise<void> {
    if (typeof entries?.[Symbol.iterator] !== 'function') {
      throw refusedOption('entries', 'a Map or an array of [key, value]', entries);
    }
    if (options !== undefined) assertOptions(options, SET_OPTIONS);
    const set = ([key, value]: CacheEntry): Promise<void> => this.set(key, value, options);
    await Promise.all(this.#core.writes.together(() => Array.from(entries, set)));
  }

  async deleteMany(keys: readonly string[]): Promise<number> {
    const existed = await Promise.all(this.#core.writes.together(() => keys.map((key) => this.delete(key))));
    return existed.filter(Boolean).length;
  }

  /** Makes every value of this namespace void. */
  async clear(): Promise<void> {
    this.loader.dropAll();
    for (const tag of this.#commonTags) await this.#tags.delete(tag);
  }

  /** Makes every value void that was set in the group. */
  async clearGroup(group: string): Promise<void> {
    if (this.#core.closed) throw new RedoubtError('ERR_CLOSED');
    await this.#tags.delete(this.#groupTag(group));
  }

  /** What there is under keys that begin so: in memory and, where it can be asked, in Redis. */
  entries(prefix: string): AsyncGenerator<[string, unknown]> {
    const { memory } = this;
    const read = (keys: readonly string[]): Promise<unknown[]> => this.getMany(keys);
    return listEntries({ core: this.#core, memory, fleetPrefix: this.#prefix, read }, prefix);
  }

  close(): void {
    this.memory.close();
  }

  async #put(key: string, value: unknown, ttlMs: number, tags: readonly string[]): Promise<void> {
    const payload = encodeValue(value, this.#core.config.maxValueBytes, this.#settings.serializer);
    this.loader.drop(key);
    // What knows of the last deletion of its tags is newer than that.
    if (tags.length > 0 && this.#tags.isVoid(tags, '') === undefined) await this.#learn(tags);
    await this.#store(key, payload, this.#core.versions.next(), true, { ttlMs, graceMs: 0, offline: false, tags });
  }

  /** No tag of a user's begins so, nor one of a namespace. */
  #groupTag(group: string): string {
    return `\u0000k${this.#prefix}\u0000${group}`;
  }

  #quickHit(key: string): void {
    const counts = this.#counts;
    const hits = this.#standing.isLocal ? (counts.memoryHits += 1) : (counts.l1Hits += 1);
    if ((hits & (SAMPLE_EVERY - 1)) === 0) this.#core.hotKeys.add(key);
  }

  #assertUsable(key: unknown): void {
    if (this.#core.closed) throw new RedoubtError('ERR_CLOSED');
    assertKey(key, this.#core.config.maxKeyBytes);
  }

  #store(
    key: string,
    payload: Payload,
    version: string,
    insists: boolean,
    load: Pick<LoadOptions, 'ttlMs' | 'graceMs' | 'offline' | 'tags'>,
  ): Promise<void> {
    const { graceMs, offline, tags } = load;
    // A value that outlived the deletion of its tags would come back.
    const ttlMs = tags.length > 0 ? Math.min(load.ttlMs, TAG_LIFE_MS) : load.ttlMs;
    const now = this.#core.clock.now();
    const entry: MemoryEntry = {
      value: UNREAD,
      answer: undefined,
      payload,
      version,
      generation: 0,
      own: false,
      writtenAt: now,
      expiresAt: now + ttlMs,
      keepMs: graceMs,
      tags,
      bytes: payload.bytes,
    };
    const request = { key: this.fleetKeyOf(key), version, payload, tags, lifetimeMs: ttlMs, insists };
    return this.#writer.store(this.place(key), request, entry, offline);
  }

  #tagsOf(tags: readonly string[] | undefined, ttlMs: number): readonly string[] {
    if (tags === undefined) return this.#commonTags;
    assertTags(tags, this.#core.config.maxKeyBytes, ttlMs, TAG_LIFE_MS);
    return tags.length === 0 ? this.#commonTags : [...tags, ...this.#commonTags];
  }

  async #learn(tags: readonly string[]): Promise<void> {
    // Without an answer it is as with any other clock that is behind: the deletion may win.
    await this.#tags.askVoid(tags, '').catch((error: unknown) => this.#core.failed(error));
  }

  /** Whether so much of the lifetime is over that a new value is worth its while. */
  #isDue(key: string, share: number): boolean {
    const entry = this.memory.peek(key);
    if (!entry) return false;
    const { writtenAt, expiresAt } = entry;
    return this.#core.clock.now() >= writtenAt + (expiresAt - writtenAt) * share;
  }

  #serialised(entry: MemoryEntry): Payload {
    return entry.payload ?? serialise(entry.value, this.#settings.serializer);
  }

  #count(found: Found): Found {
    const { counts } = this.#core;
    if (found.status === 'miss') counts.misses += 1;
    else if (found.status !== 'hit') counts[found.status] += 1;
    else counts[`${found.source}Hits`] += 1;
    return found;
  }
}

/** The tag that stands for a namespace; no tag of a user's begins so. */
const tagOf = (name: string): string => `\u0000${name}`;

function valueOf<T>(found: Lookup<T>): T | undefined {
  return found.status === 'hit' || found.status === 'stale' ? found.value : undefined;
}
