import { setTimeout as sleep } from 'node:timers/promises';

import { type Bar, printBars } from './bars.ts';
import type { Instance } from './instance.ts';
import { type RigStart, startRig } from './rig.ts';
import type { Size } from './stores.ts';

/** Keys that everybody knows from before, overwritten or deleted in the outage. */
const KNOWN_KEYS = 500;
const FILLER = 'x'.repeat(100);
const MB = 1024 * 1024;
/** Over the cap: the bar. */
const TOLERANCE = 1.1;
const RETURN_WITHIN_MS = 30_000;

export interface MillionStart extends RigStart {
  readonly keys: number;
  readonly forMs: number;
}

/**
 * A long outage with a million distinct writes on one instance: memory against its cap, and stale reads afterwards.
 *
 * @returns how many bars are missed
 */
export async function runMillion(start: MillionStart): Promise<number> {
  await using rig = await startRig(start);
  const { a, b, fresh } = rig;
  const known = Array.from({ length: KNOWN_KEYS }, (_, i) => `known:a:${i}`);
  await a.call('set', known, 1);
  await b.call('read', known);
  const before = await a.call('settledMemory');
  // The hop, not the server: what is in Redis stays, so that something stale could come back.
  for (const { hop } of [a, b]) hop.mode = 'refuse';
  await a.reaches('degraded', 10_000);
  await a.call('set', known.slice(KNOWN_KEYS / 2), 2);
  await a.call('delete', known.slice(0, KNOWN_KEYS / 2), 2);

  const peak = { entries: 0, bytes: 0, journal: 0, rss: 0, maxEntries: 0, maxBytes: 0 };
  const writing = a.call('bulk', 'million:a:', start.keys, start.forMs, FILLER);
  const over = new AbortController();
  const sampling = sample(a, peak, over.signal);
  const { rejected, tookMs } = await writing;
  over.abort();
  await sampling;
  const after = await a.call('settledMemory');
  for (const { hop } of [a, b]) hop.mode = 'pass';
  const opening = rig.open(fresh);
  for (const instance of [a, b]) await instance.reaches('available', RETURN_WITHIN_MS).catch(() => undefined);
  await opening;
  await sleep(300);
  let stale = 0;
  for (const instance of [a, b, fresh]) {
    stale += (await instance.call('read', known)).filter(({ n }) => n === 1).length;
  }

  const grownBytes = after.heapUsed - before.heapUsed;
  console.log(
    `\n${start.keys} keys in ${Math.round(tookMs / 1000)} s; peak ${peak.entries} entries, ${mb(peak.bytes)} of ${mb(peak.maxBytes)} by its own count, journal ${peak.journal}; rss before ${mb(before.rss)}, peak ${mb(peak.rss)}, after a collection ${mb(after.rss)}; heap grew by ${mb(grownBytes)}`,
  );
  const bars: Bar[] = [
    { what: 'bar 5: rejected', figure: rejected, atMost: 0 },
    { what: 'bar 5: entries over the cap, ratio', figure: ratio(peak.entries, peak.maxEntries), atMost: TOLERANCE },
    { what: 'bar 5: bytes over the cap, ratio', figure: ratio(peak.bytes, peak.maxBytes), atMost: TOLERANCE },
    { what: 'bar 5: heap grown, MB', figure: grownBytes / MB, atMost: (peak.maxBytes * TOLERANCE) / MB },
    { what: 'bar 5: stale afterwards, of three instances', figure: stale, atMost: 0 },
  ];
  return printBars(`${start.keys} distinct keys written in an outage, ${start.store}`, bars);
}

async function sample(instance: Instance, peak: Size & { rss: number }, over: AbortSignal): Promise<void> {
  const most = peak as { -readonly [Name in keyof typeof peak]: number };
  while (!over.aborted) {
    const now = { ...(await instance.call('size')), rss: await instance.call('rss') };
    for (const name of Object.keys(now) as (keyof typeof now)[]) most[name] = Math.max(most[name], now[name]);
    await sleep(250);
  }
}

function ratio(value: number, cap: number): number | undefined {
  return cap > 0 ? value / cap : undefined;
}

function mb(bytes: number): string {
  return `${Math.round(bytes / MB)} MB`;
}
