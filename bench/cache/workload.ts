import { monitorEventLoopDelay } from 'node:perf_hooks';

import { type Load, type LoadSample, startLoad } from '../../test/support/load.ts';
import { type Ack, type Harvest, type Marks, type Operations, type Read, sharedMs, type Waited } from './records.ts';
import type { CacheUnderTest, Versioned } from './stores.ts';

/** Keys that each instance writes over and over, and that the other reads. */
const HOT_KEYS = 100;
const HUNG_MS = 1000;
/** A call that never waits for Redis is done long before, one that does only after `cache.deadline`. */
const WAITED_MS = 45;
/** A cold getOrSet may wait as long once more for the lock of PostgreSQL, whose connections open in that moment. */
const WAITED_COLD_MS = 95;
const LAG_RESOLUTION_MS = 5;
/** A timer of `LAG_RESOLUTION_MS` that comes later than this has found the event loop standing still. */
const STALL_MS = 15;
/** So long before the fault nothing was wrong: what is slow there is the machine's. */
const BEFORE_MS = 2000;

/** What kind of operation comes when: twenty turns of it are one round. */
const TURNS = [
  ...Array.from({ length: 5 }, () => 'readOwn' as const),
  ...Array.from({ length: 5 }, () => 'readOther' as const),
  ...Array.from({ length: 4 }, () => 'set' as const),
  'delete' as const,
  ...Array.from({ length: 3 }, () => 'getOrSetCold' as const),
  'getOrSetAgain' as const,
  'readNothing' as const,
];

export interface LoadPlan {
  readonly me: string;
  readonly other: string;
  readonly ratePerSecond: number;
  readonly seed: number;
}

type Turn = (typeof TURNS)[number];

/** One instance's load and what it has written down: acknowledged writes, and what each read saw. */
export class Workload {
  readonly #cache: CacheUnderTest;
  readonly #acks: Ack[] = [];
  readonly #reads: Read[] = [];
  readonly #versions = new Map<string, number>();
  readonly #lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  /** When the event loop stood still, on `performance.now()`'s scale. */
  readonly #stalls: { readonly from: number; readonly to: number }[] = [];
  #stallWatch: NodeJS.Timeout | undefined;
  #crossed = 0;
  #load: Load<void> | undefined;
  #watch: NodeJS.Timeout | undefined;

  constructor(cache: CacheUnderTest) {
    this.#cache = cache;
  }

  static hotKeys(of: string): string[] {
    return Array.from({ length: HOT_KEYS }, (_, i) => `hot:${of}:${i}`);
  }

  /**
   * Sets the next version of each key, or version `n`, all at once, and writes down when each was acknowledged.
   *
   * @returns when the last one was
   */
  async set(keys: readonly string[], n?: number): Promise<number> {
    await Promise.all(keys.map((key) => this.#set(key, n)));
    return sharedMs();
  }

  async delete(keys: readonly string[], n?: number): Promise<number> {
    await Promise.all(keys.map((key) => this.#delete(key, n)));
    return sharedMs();
  }

  async read(keys: readonly string[]): Promise<Read[]> {
    return Promise.all(keys.map((key) => this.#read(key)));
  }

  /** Reads the keys again and again until `unwatch`, or until the next watch. */
  watch(keys: readonly string[], everyMs: number): void {
    this.unwatch();
    this.#watch = setInterval(() => {
      // A rejection is the load's to count; the watch wants only what is seen.
      for (const key of keys) this.#read(key).catch(() => undefined);
    }, everyMs);
  }

  /** Reads one key every two milliseconds until it shows another version than `n`, or nothing, or time is up. */
  async awaitChange(key: string, n: number, withinMs: number): Promise<Read | undefined> {
    const endAt = sharedMs() + withinMs;
    while (sharedMs() < endAt) {
      const read = await this.#read(key);
      if (read.n !== n) return read;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return undefined;
  }

  unwatch(): void {
    clearInterval(this.#watch);
  }

  start(plan: LoadPlan): void {
    const random = mulberry32(plan.seed);
    const own = Workload.hotKeys(plan.me);
    const others = Workload.hotKeys(plan.other);
    const pick = (keys: readonly string[]): string => keys[Math.floor(random() * keys.length)]!;
    let cold = 0;
    const work = {
      readOwn: () => this.#read(pick(own)),
      readOther: () => this.#read(pick(others)),
      set: () => this.#set(pick(own)),
      delete: () => this.#delete(pick(own)),
      getOrSetCold: () => this.#getOrSet(`cold:${plan.me}:${cold++}`),
      getOrSetAgain: () => this.#getOrSet(`cold:${plan.me}:${Math.max(0, cold - 50)}`),
      readNothing: () => this.#read(`nothing:${plan.me}:${cold}`),
    };
    this.#lag.enable();
    this.#watchStalls();
    this.#load = startLoad({
      ratePerSecond: plan.ratePerSecond,
      request: async (index) => {
        await work[turnOf(index)]();
      },
    });
  }

  resetLag(): void {
    this.#lag.reset();
  }

  /** Ends load and watch, and gives out everything that was written down. */
  async harvest(marks: Marks): Promise<Harvest> {
    this.unwatch();
    const summary = await this.#load?.stop();
    this.#lag.disable();
    clearInterval(this.#stallWatch);
    const changes = [...this.#cache.changes];
    // performance.now() of this process to the clock of all.
    const offset = sharedMs() - performance.now();
    const during = summary?.between(marks.faultAt - offset, marks.endAt - offset);
    const samples = during?.samples ?? [];
    const before = summary?.between(marks.faultAt - BEFORE_MS - offset, marks.faultAt - offset);
    const tripAt = changes.find(({ to, at }) => at >= marks.faultAt && to.startsWith('degraded'))?.at;
    const operations: Operations = {
      count: samples.length,
      rejected: countBy(samples.filter(({ failed }) => failed)),
      hung: samples.filter(({ latencyMs, settled }) => !settled || latencyMs > HUNG_MS).length,
      p50: during?.p50 ?? 0,
      p99: during?.p99 ?? 0,
      p99Before: before?.p99 ?? 0,
      maxMs: during?.maxMs ?? 0,
      waited:
        tripAt === undefined
          ? []
          : this.#waited(summary!.between(tripAt - offset, marks.healedAt - offset).samples, tripAt - offset),
      crossed: this.#crossed,
      loopLagMs: Math.max(0, this.#lag.max / 1e6 - LAG_RESOLUTION_MS),
    };
    return { operations, acks: this.#acks, reads: this.#reads, changes };
  }

  #watchStalls(): void {
    let last = performance.now();
    this.#stallWatch = setInterval(() => {
      const now = performance.now();
      if (now - last > STALL_MS) this.#stalls.push({ from: last, to: now });
      last = now;
    }, LAG_RESOLUTION_MS);
  }

  #waited(samples: readonly LoadSample<void>[], tripAt: number): Waited[] {
    return samples.flatMap(({ index, startedMs, latencyMs }) => {
      const turn = turnOf(index);
      if (latencyMs <= (turn === 'getOrSetCold' ? WAITED_COLD_MS : WAITED_MS)) return [];
      const overlap = ({ from, to }: { from: number; to: number }): number =>
        Math.max(0, Math.min(to, startedMs + latencyMs) - Math.max(from, startedMs));
      const stalledMs = this.#stalls.reduce((sum, stall) => sum + overlap(stall), 0);
      return { turn, afterTripMs: startedMs - tripAt, latencyMs, stalledMs };
    });
  }

  async #read(key: string): Promise<Read> {
    const at = sharedMs();
    const { value, declared, source } = await this.#cache.lookup(key);
    if (value && value.key !== key) this.#crossed += 1;
    const read = { key, at, n: value?.n ?? 0, declared, source };
    this.#reads.push(read);
    return read;
  }

  async #set(key: string, n = this.#next(key)): Promise<void> {
    await this.#cache.set(key, { key, n });
    this.#acks.push({ key, n, deleted: false, at: sharedMs() });
  }

  async #delete(key: string, n = this.#next(key)): Promise<void> {
    await this.#cache.delete(key);
    this.#acks.push({ key, n, deleted: true, at: sharedMs() });
  }

  async #getOrSet(key: string): Promise<void> {
    // A loader that takes no time: the latency is the cache's own.
    const load = async (): Promise<Versioned> => ({ key, n: 1 });
    const value = await this.#cache.getOrSet(key, load);
    if (value.key !== key) this.#crossed += 1;
  }

  #next(key: string): number {
    const n = (this.#versions.get(key) ?? 0) + 1;
    this.#versions.set(key, n);
    return n;
  }
}

function turnOf(index: number): Turn {
  return TURNS[(index * 7) % TURNS.length]!;
}

function countBy(samples: readonly LoadSample<unknown>[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { settled, error } of samples) {
    const { code, name } = (error ?? {}) as { code?: string; name?: string };
    const why = settled ? (code ?? name ?? 'unknown') : 'unsettled';
    counts[why] = (counts[why] ?? 0) + 1;
  }
  return counts;
}

/** Tommy Ettinger's mulberry32: a run is repeated by its seed. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
