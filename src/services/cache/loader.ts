import type { Clock } from '../../core/clock.ts';
import { SingleFlight } from '../../core/single-flight.ts';
import type { Logger } from '../../observe/log.ts';
import { type Payload, decodeValue, encodeValue } from './entry.ts';
import { InFlight } from './in-flight.ts';
import type { MemoryTier } from './memory-tier.ts';
import type { VersionClock } from './version.ts';

/** What a load came to: the stored form, or the bare value where that cannot be stored. */
type Loaded = { readonly payload: Payload } | { readonly payload?: undefined; readonly value: unknown };

export interface LoaderOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly memory: MemoryTier;
  readonly versions: VersionClock;
  readonly maxValueBytes: number;
  /** Stores what was loaded; `version` is from before the load. Never rejects. */
  readonly store: (key: string, payload: Payload, version: string, load: LoadOptions) => Promise<void>;
}

export interface LoadOptions {
  readonly ttlMs: number;
  /** How long past its lifetime the last value may stand in for a load that fails. */
  readonly graceMs: number;
  /** What is left for storing it in Redis; 0: not at once. */
  readonly deadlineMs: number;
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
   * The value, as a copy of the caller's own in the form that a later get() has.
   *
   * @throws what `load` throws, where no value within its grace can stand in
   */
  async run<T>(key: string, load: () => unknown, options: LoadOptions): Promise<T> {
    const token = this.#wanted.join(key);
    const loaded = await this.#flights.run(`${token}:${key}`, () => this.#load(key, token, load, options));
    return (loaded.payload ? decodeValue(loaded.payload) : loaded.value) as T;
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
      return { payload };
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
    return { payload: last.payload };
  }

  /** What cannot be stored is handed to the callers as it is: getOrSet rejects only as the loader rejects. */
  #encode(value: unknown): Payload | undefined {
    // Many loaders say "there is none" so.
    if (value === undefined) return undefined;
    try {
      return encodeValue(value, this.#options.maxValueBytes);
    } catch (error) {
      this.#options.log.warn({ err: error }, 'A loaded value was not cached');
      return undefined;
    }
  }
}
