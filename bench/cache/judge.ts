import type { Ack, Read } from './records.ts';

/** A read that showed a value older than one that had been acknowledged before it began. */
export interface StaleRead extends Read {
  /** The newest version acknowledged by then. */
  readonly acked: number;
  /** How long the value had been overtaken when the read began. */
  readonly overdueMs: number;
}

/**
 * Finds the stale reads: a value is stale where a newer version, or the key's deletion, was acknowledged more
 * than `allowedMs` before the read began. A miss is never stale: a cache may always forget.
 *
 * @param acks - of the one writer of each key read
 */
export function staleReads(acks: readonly Ack[], reads: readonly Read[], allowedMs: number): StaleRead[] {
  const byKey = Map.groupBy(acks, ({ key }) => key);
  const stale: StaleRead[] = [];
  for (const read of reads) {
    if (read.n === 0) continue;
    const newer = (byKey.get(read.key) ?? []).filter(({ n, at }) => n > read.n && at < read.at);
    if (newer.length === 0) continue;
    // From the first that overtook it: that is how long this reader has lagged.
    const overdueMs = read.at - Math.min(...newer.map(({ at }) => at));
    if (overdueMs > allowedMs) stale.push({ ...read, acked: Math.max(...newer.map(({ n }) => n)), overdueMs });
  }
  return stale;
}

/** The first of them as text, for whoever looks for the cause; instants count from `zeroAt`. */
export function describeStale(stale: readonly StaleRead[], zeroAt: number, most = 3): string[] {
  return stale.slice(0, most).map(({ key, n, acked, at, overdueMs, declared, source }) => {
    const how = declared ? `${source}, declared stale` : source;
    return `${key}: saw v${n} (${how}) ${Math.round(at - zeroAt)} ms after the fault began; v${acked} is acknowledged, v${n} was overtaken ${Math.round(overdueMs)} ms before`;
  });
}
