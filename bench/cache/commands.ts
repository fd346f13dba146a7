import { importRedoubt } from './contenders.ts';
import { sharedMs } from './records.ts';
import { type CacheUnderTest, type StoreStart, openStore } from './stores.ts';
import { Workload } from './workload.ts';

/** Bound of concurrent writes of a bulk: as a busy server has them, not a million promises at once. */
const BULK_CALLERS = 200;

/** What getOrSet's callers and loaders did. */
export interface LoadersSeen {
  /** How often a loader ran. */
  readonly loads: number;
  /** Most that ran at the same time. */
  readonly concurrent: number;
  readonly rejected: Readonly<Record<string, number>>;
  readonly maxMs: number;
}

/** What the process of one instance can be asked to do. */
export type Commands = ReturnType<typeof createCommands>;

/** Makes the commands of one instance process. */
export function createCommands() {
  let cache: CacheUnderTest | undefined;
  let workload: Workload | undefined;
  const opened = (): CacheUnderTest => {
    if (!cache) throw new Error('open comes first');
    return cache;
  };
  const work = (): Workload => (workload ??= new Workload(opened()));
  return {
    /** Reads the module in, which keeps a core busy for a second: in production that is another machine's. */
    load: async (library: string | undefined): Promise<void> => void (await importRedoubt(library)),
    open: async (start: StoreStart): Promise<number> => {
      cache = await openStore(start);
      return sharedMs();
    },
    state: () => cache?.state() ?? 'closed',
    set: (keys: readonly string[], n?: number) => work().set(keys, n),
    delete: (keys: readonly string[], n?: number) => work().delete(keys, n),
    awaitChange: (key: string, n: number, withinMs: number) => work().awaitChange(key, n, withinMs),
    read: (keys: readonly string[]) => work().read(keys),
    watch: (keys: readonly string[], everyMs: number) => work().watch(keys, everyMs),
    unwatch: () => work().unwatch(),
    startLoad: (plan: Parameters<Workload['start']>[0]) => work().start(plan),
    resetLag: () => work().resetLag(),
    harvest: (marks: Parameters<Workload['harvest']>[0]) => work().harvest(marks),
    size: () => opened().size(),
    rss: () => process.memoryUsage.rss(),
    /** What is still used after a full collection, and what the process holds then. */
    settledMemory: (): { readonly heapUsed: number; readonly rss: number } => {
      (globalThis as { gc?: () => void }).gc?.();
      const { heapUsed, external, rss } = process.memoryUsage();
      return { heapUsed: heapUsed + external, rss };
    },
    loadersMax: () => opened().loadersMax,
    /** Writes `count` keys `<prefix><i>`, evenly over `forMs`; answers how many were rejected and how long it took. */
    bulk: async (prefix: string, count: number, forMs: number, filler: string) => {
      const startedAt = performance.now();
      let next = 0;
      let rejected = 0;
      const caller = async (): Promise<void> => {
        while (next < count) {
          const i = next++;
          const dueMs = (i / count) * forMs - (performance.now() - startedAt);
          if (dueMs > 1) await new Promise((resolve) => setTimeout(resolve, dueMs));
          await opened()
            .set(`${prefix}${i}`, { key: `${prefix}${i}`, n: 1, filler })
            .catch(() => (rejected += 1));
          // Timers and probes want their turn as they have it in a server.
          if (i % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
      };
      await Promise.all(Array.from({ length: BULK_CALLERS }, caller));
      return { rejected, tookMs: performance.now() - startedAt };
    },
    getOrSet: async (keys: readonly string[], callersPerKey: number, loaderMs: number): Promise<LoadersSeen> => {
      let loads = 0;
      let running = 0;
      let concurrent = 0;
      let maxMs = 0;
      const rejected: Record<string, number> = {};
      const ask = async (key: string): Promise<void> => {
        const startedAt = performance.now();
        try {
          await opened().getOrSet(key, async () => {
            loads += 1;
            concurrent = Math.max(concurrent, (running += 1));
            await new Promise((resolve) => setTimeout(resolve, loaderMs));
            running -= 1;
            return { key, n: 1 };
          });
        } catch (error) {
          const code = (error as { code?: string }).code ?? 'unknown';
          rejected[code] = (rejected[code] ?? 0) + 1;
        }
        maxMs = Math.max(maxMs, performance.now() - startedAt);
      };
      await Promise.all(keys.flatMap((key) => Array.from({ length: callersPerKey }, () => ask(key))));
      return { loads, concurrent, rejected, maxMs };
    },
    close: () => cache?.close(),
  };
}
