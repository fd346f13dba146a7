import type { Clock } from '../../core/clock.ts';
import { SingleFlight } from '../../core/single-flight.ts';
import type { Logger } from '../../observe/log.ts';
import type { Payload } from './entry.ts';
import { InFlight } from './in-flight.ts';
import { type MemoryEntry, type MemoryTier, UNREAD } from './memory-tier.ts';
import type { VersionClock } from './version.ts';

/** What a load came to: as memory would have it, or the bare value where that cannot be stored. */
type Loaded = { readonly entry: MemoryEntry } | { readonly entry?: undefined; readonly value: unknown };

export interface LoaderOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly memory: MemoryTier;
  readonly versions: VersionClock;
  readonly encode: (value: unknown) => Payload;
  /** Stores what was loaded; `version` is from before the load. Never rejects. */
  readonly store: (key: string, payload: Payload, version: string, load: LoadOptions) => Promise<void>;
}

export interface LoadOptions {
  readonly ttlMs: number;
  /** How long past its lifetime the last value may stand in for a load that fails. */
  readonly graceMs: number;
  /** Redis has just failed to answer: it is told later. */
  readonly offline: boolean;
}

/** Loads a key once for all who want it at the time; a write to the key meanwhile parts the two. */
export class Loader {
  readonly #options: LoaderOptions;
  readonly #flights = new SingleFlight<Loaded>();
  readonly #wanted = new InFlight();
  #loads = 0;
  #failures = 0;
  #stale = 0;

  constructor(options: LoaderOptions) {
    this.#options = options;
  }

  /** Loads begun, loads that failed, and how many of these a stale value stood in for. */
  get counts(): { readonly loads: number; readonly loadFailures: number; readonly stale: number } {
    return { loads: this.#loads, loadFailures: this.#failures, stale: this.#stale };
  }

  /**
   * The value, in the form that a later get() has.
   *
   * @throws what `load` throws, where no value within its grace can stand in
   */
  async run<T>(key: string, load: () => unknown, options: LoadOptions): Promise<T> {
    const token = this.#wanted.join(key);
    const loaded = await this.#flights.run(`${token}:${key}`, () => this.#load(key, token, load, options));
    return (loaded.entry ? this.#options.memory.read(loaded.entry) : loaded.value) as T;
  }

  /** The key was written or deleted: loads under way are neither stored nor joined any more. */
  drop(key: string): void {
    this.#wanted.drop(key);
  }

  dropAll(): void {
    this.#wanted.dropAll();
  }

  async #load(key: string, token: number, load: () => unknown, options: LoadOptions): Promise<Loaded> {
    this.#loads += 1;
    // Taken before the load: what it brings is no newer than this, and yields to whatever came since.
    const version = this.#options.versions.next();
    try {
      const value = await load();
      const payload = this.#encode(value);
      if (!payload) return { value };
      // The flight goes on until Redis has the value: whoever missed it before then is still with us.
      if (this.#wanted.holds(key, token)) await this.#options.store(key, payload, version, options);
      return { entry: detached(payload) };
    } catch (error) {
      return this.#failed(key, error, options.graceMs);
    } finally {
      this.#wanted.end(key, token);
    }
  }

  #failed(key: string, error: unknown, graceMs: number): Loaded {
    const { clock, memory } = this.#options;
    this.#failures += 1;
    const last = memory.get(key);
    if (!last || clock.now() >= last.expiresAt + graceMs) throw error;
    this.#stale += 1;
    return { entry: last };
  }

  /** What cannot be stored is handed to the callers as it is: getOrSet rejects only as the loader rejects. */
  #encode(value: unknown): Payload | undefined {
    // Many loaders say "there is none" so.
    if (value === undefined) return undefined;
    try {
      return this.#options.encode(value);
    } catch (error) {
      this.#options.log.warn({ err: error }, 'A loaded value was not cached');
      return undefined;
    }
  }
}

/** An entry that lies in no memory: what was loaded, for those who waited for it. */
function detached(payload: Payload): MemoryEntry {
  const none = { version: '', generation: 0, own: false, writtenAt: 0, expiresAt: 0, keepMs: 0, tags: [] };
  return { ...none, value: UNREAD, payload, bytes: payload.bytes };
}
