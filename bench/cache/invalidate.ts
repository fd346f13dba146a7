import { setTimeout as sleep } from 'node:timers/promises';

import { printBars } from './bars.ts';
import { type RigStart, startRig } from './rig.ts';

const KEYS = 30;
const BURST_KEYS = 1000;
const WITHIN_MS = 1000;
/** Enough to know that nothing is told. */
const MAX_NEVER = 5;
const INVALIDATED_MS = 250;

/**
 * Redis is down; instance a sets and deletes keys that b has in its memory: milliseconds from a's
 * acknowledgement until b no longer shows the old value, one key at a time and in a burst.
 *
 * @returns how many bars are missed
 */
export async function runInvalidation(start: RigStart): Promise<number> {
  await using rig = await startRig(start);
  const { a, b, redis } = rig;
  const single = Array.from({ length: KEYS }, (_, i) => `invalidate:a:${i}`);
  const burst = Array.from({ length: BURST_KEYS }, (_, i) => `burst:a:${i}`);
  // In small numbers, so that b's memory surely has what it must forget.
  await a.call('set', single);
  await a.call('set', burst.slice(0, BURST_KEYS / 2));
  await sleep(300);
  await b.call('read', [...single, ...burst.slice(0, BURST_KEYS / 2)]);
  await redis.kill();
  for (const instance of [a, b]) await instance.reaches('degraded', 10_000);
  await sleep(1000);

  const tookMs: (number | undefined)[] = [];
  let warm = 0;
  for (const [i, key] of single.entries()) {
    const [before] = await b.call('read', [key]);
    if (before?.n === 1) warm += 1;
    const seen = b.call('awaitChange', key, 1, WITHIN_MS);
    const ackedAt = await a.call(i % 2 === 0 ? 'set' : 'delete', [key]);
    const change = await seen;
    tookMs.push(change && Math.max(0, change.at - ackedAt));
    if (tookMs.filter((ms) => ms === undefined).length >= MAX_NEVER) break;
  }
  const half = burst.slice(0, BURST_KEYS / 2);
  await a.call('delete', half);
  await sleep(INVALIDATED_MS);
  const late = (await b.call('read', half)).filter(({ n }) => n === 1);

  const reached = tookMs.filter((ms) => ms !== undefined).toSorted((x, y) => x - y);
  const never = tookMs.length - reached.length;
  console.log(
    `\n${warm} of ${tookMs.length} keys were in b's memory; ${reached.length} changed there: median ${Math.round(reached[reached.length >> 1] ?? 0)} ms, greatest ${Math.round(reached.at(-1) ?? 0)} ms; ${never} not within ${WITHIN_MS} ms`,
  );
  return printBars(`invalidation while Redis is down, ${start.store}`, [
    { what: 'keys that b had forgotten before (nothing measured)', figure: tookMs.length - warm, atMost: KEYS / 10 },
    {
      what: 'bar 6: greatest time until b shows it, ms',
      figure: never > 0 ? undefined : reached.at(-1),
      atMost: INVALIDATED_MS,
    },
    {
      what: `bar 6: of a burst of ${half.length}, old on b ${INVALIDATED_MS} ms later`,
      figure: late.filter(({ declared }) => !declared).length,
      atMost: 0,
    },
    {
      what: 'bar 6: the same, shown as declared stale',
      figure: late.filter(({ declared }) => declared).length,
      atMost: 0,
    },
  ]);
}
