import type { Clock } from '../../core/clock.ts';
import { withDeadline } from '../../core/deadline.ts';
import { RedoubtError, isRedoubtError } from '../../core/errors.ts';
import { SingleFlight } from '../../core/single-flight.ts';
import type { Logger } from '../../observe/log.ts';
import { NONE, type Payload } from './entry.ts';
import { InFlight } from './in-flight.ts';
import type { LoadLock } from './load-lock.ts';
import { type MemoryEntry, type MemoryTier, UNREAD } from './memory-tier.ts';
import type { VersionClock } from './version.ts';

/** What a load came to: as memory would have it, or the bare value where that cannot be stored. */
type Loaded = { readonly entry: MemoryEntry } | { readonly entry?: undefined; readonly value: unknown };

/** The loads of this process, for all namespaces: how many run, and how many may. */
export class LoadGate {
  readonly #max: number;
  #running = 0;

  /** @param max - `cache.maxLoads` */
  constructor(max: number) {
    this.#max = max;
  }

  get running(): number {
    return this.#running;
  }

  /** @throws {RedoubtError} `ERR_BACKPRESSURE` */
  enter(): void {
    if (this.#running >= this.#max) throw new RedoubtError('ERR_BACKPRESSURE', { bound: 'cache.maxLoads' });
    this.#running += 1;
  }

  leave(): void {
    this.#running -= 1;
  }
}

export interface LoaderOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly memory: MemoryTier;
  readonly versions: VersionClock;
  readonly gate: LoadGate;
  readonly lock: LoadLock;
  readonly encode: (value: unknown) => Payload;
  /** The key with its namespace. */
  readonly fleetKeyOf: (key: string) => string;
  /** What another instance may have loaded meanwhile. */
  readonly find: (key: string) => Promise<MemoryEntry | undefined>;
  /** Stores what was loaded; `version` is from before the load. Never rejects. */
  readonly store: (key: string, payload: Payload, version: string, load: LoadOptions) => Promise<void>;
}

export interface LoadOptions {
  readonly ttlMs: number;
  /** How long past its lifetime the last value may stand in for a load that fails or is late. */
  readonly graceMs: number;
  /** Redis has just failed to answer: it is told later. */
  readonly offline: boolean;
  readonly tags: readonly string[];
  /** After which the last value stands in, and the load goes on; infinite for never. */
  readonly softTimeoutMs: number;
  /** After which nobody waits any longer; infinite for never. */
  readonly hardTimeoutMs: number;
  /** Lifetime of "there is none"; 0: it is not kept. */
  readonly negativeTtlMs: number;
  /** How long one instance may load while the others wait for it; 0: they do not. */
  readonly lockMs: number;
}

/** Reasons that are remembered as told. */
const MAX_TOLD = 100;

/** Loads a key once for all who want it at the time; a write to the key meanwhile parts the two. */
export class Loader {
  readonly #options: LoaderOptions;
  readonly #flights = new SingleFlight<Loaded>();
  readonly #wanted = new InFlight();
  readonly #told = new Set<string>();
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
   * @throws what `load` throws, `ERR_BACKPRESSURE` or `ERR_CACHE_LOAD_TIMEOUT`, where no value within its grace
   * can stand in
   */
  async run<T>(key: string, load: () => unknown, options: LoadOptions): Promise<T> {
    const token = this.#wanted.join(key);
    const flight = this.#flights.run(`${token}:${key}`, () => this.#fly(key, token, load, options));
    const loaded = await this.#wait(key, flight, options);
    return (loaded.entry ? this.#options.memory.read(loaded.entry) : loaded.value) as T;
  }

  /** Loads anew behind the back of those who have a value to go on with. */
  refresh(key: string, load: () => unknown, options: LoadOptions): void {
    // Who fails here has been counted, and the value that is there goes on until its own end.
    this.run(key, load, options).catch(() => undefined);
  }

  /** The last value, past its lifetime by no more than that. */
  last(key: string, graceMs: number): MemoryEntry | undefined {
    const { clock, memory } = this.#options;
    const last = memory.get(key);
    return last && clock.now() < last.expiresAt + graceMs ? last : undefined;
  }

  /** The key was written or deleted: loads under way are neither stored nor joined any more. */
  drop(key: string): void {
    this.#wanted.drop(key);
  }

  dropAll(): void {
    this.#wanted.dropAll();
  }

  /** Waits for a flight, up to the soft timeout where there is something to fall back on. */
  async #wait(key: string, flight: Promise<Loaded>, { graceMs, softTimeoutMs }: LoadOptions): Promise<Loaded> {
    const last = Number.isFinite(softTimeoutMs) ? this.last(key, graceMs) : undefined;
    if (!last) return flight;
    try {
      return await withDeadline(flight, softTimeoutMs, { clock: this.#options.clock, operation: 'soft timeout' });
    } catch (error) {
      if (!isRedoubtError(error, 'ERR_DEADLINE')) throw error;
      this.#stale += 1;
      return { entry: last };
    }
  }

  async #fly(key: string, token: number, load: () => unknown, options: LoadOptions): Promise<Loaded> {
    const { gate, lock, find, fleetKeyOf, memory } = this.#options;
    try {
      gate.enter();
      try {
        const seen = memory.peek(key)?.version;
        const held = await lock.acquire(fleetKeyOf(key), options.lockMs, seen, () => find(key));
        if ('found' in held) return { entry: held.found };
        return await this.#load(key, token, load, options).finally(held.release);
      } finally {
        gate.leave();
      }
    } catch (error) {
      return this.#failed(key, error, options.graceMs);
    } finally {
      this.#wanted.end(key, token);
    }
  }

  async #load(key: string, token: number, load: () => unknown, options: LoadOptions): Promise<Loaded> {
    this.#loads += 1;
    // Taken before the load: what it brings is no newer than this, and yields to whatever came since.
    const version = this.#options.versions.next();
    const value = await this.#inTime(load, options.hardTimeoutMs);
    const isNone = value === undefined || value === null;
    const ttlMs = isNone && options.negativeTtlMs > 0 ? options.negativeTtlMs : options.ttlMs;
    const payload = this.#encode(value, options);
    if (!payload) return { value };
    // The flight goes on until Redis has the value: whoever missed it before then is still with us.
    if (this.#wanted.holds(key, token)) await this.#options.store(key, payload, version, { ...options, ttlMs });
    return { entry: detached(payload) };
  }

  async #inTime(load: () => unknown, hardTimeoutMs: number): Promise<unknown> {
    const loading = (async () => load())();
    if (!Number.isFinite(hardTimeoutMs)) return loading;
    try {
      return await withDeadline(loading, hardTimeoutMs, { clock: this.#options.clock, operation: 'load' });
    } catch (error) {
      if (!isRedoubtError(error, 'ERR_DEADLINE') || error.details['operation'] !== 'load') throw error;
      throw new RedoubtError('ERR_CACHE_LOAD_TIMEOUT', { hardTimeoutMs });
    }
  }

  #failed(key: string, error: unknown, graceMs: number): Loaded {
    this.#failures += 1;
    const last = this.last(key, graceMs);
    if (!last) throw error;
    this.#stale += 1;
    return { entry: last };
  }

  /** What cannot be stored is handed to the callers as it is: getOrSet rejects only as the loader rejects. */
  #encode(value: unknown, { negativeTtlMs }: LoadOptions): Payload | undefined {
    // Many loaders say "there is none" so.
    if (value === undefined) return negativeTtlMs > 0 ? NONE : undefined;
    try {
      return this.#options.encode(value);
    } catch (error) {
      this.#tell(error);
      return undefined;
    }
  }

  /** Once for each reason: every load of such a value meets it again. */
  #tell(error: unknown): void {
    const reason = String(error);
    if (this.#told.has(reason)) return;
    if (this.#told.size < MAX_TOLD) this.#told.add(reason);
    this.#options.log.warn({ err: error }, 'A loaded value is not cached: each getOrSet() loads it again');
  }
}

/** An entry that lies in no memory: what was loaded, for those who waited for it. */
function detached(payload: Payload): MemoryEntry {
  const none = { version: '', generation: 0, own: false, writtenAt: 0, expiresAt: 0, keepMs: 0, tags: [] };
  return { ...none, value: UNREAD, answer: undefined, payload, bytes: payload.bytes };
}
