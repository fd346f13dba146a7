import { setTimeout as sleep } from 'node:timers/promises';

import { FAULTS } from './faults.ts';
import { sharedMs } from './records.ts';
import { type Rig, type RigStart, startRig } from './rig.ts';
import { type FaultRun, type Sentinels, judgeRun, type Verdict } from './verdict.ts';
import { Workload } from './workload.ts';

/** Until the code is compiled, and two seconds of a healthy run. */
const WARM_MS = 4000;
/** Of the fault's length: by then every instance has noticed, and the writes have time to be wrong. */
const WRITE_AT = 0.4;
const AFTER_MS = 3000;
const RETURN_WITHIN_MS = 20_000;
/** The watch is load too: sparse in the fault, dense at the return, where milliseconds are asked for. */
const WATCH_EVERY_MS = 200;
const WATCH_RETURN_EVERY_MS = 20;
const SENTINELS_OF_A_KIND = 10;

export interface FaultStart extends RigStart {
  readonly fault: string;
  readonly faultMs: number;
  /** Over both instances. */
  readonly ratePerSecond: number;
  readonly seed: number;
}

/** One fault under load, from a healthy start to three seconds after the return. */
export async function runFault(start: FaultStart): Promise<{ readonly verdict: Verdict; readonly run: FaultRun }> {
  await using rig = await startRig(start);
  const { a, b } = rig;
  const fault = FAULTS[start.fault]!;
  const sentinels: Sentinels = { set: kind('set'), deleted: kind('deleted'), untouched: kind('untouched') };
  const all = Object.values(sentinels).flat();
  // v1 goes into the snapshot, v2 does not: a Redis that comes back with v1 lies.
  await a.call('set', all);
  await rig.redis.client().save();
  await a.call('set', all);
  await sleep(300);
  await b.call('read', all);
  await startLoads(rig, start);
  await sleep(WARM_MS);
  for (const instance of [a, b]) {
    await instance.call('watch', all, WATCH_EVERY_MS);
    await instance.call('resetLag');
  }

  const faultAt = sharedMs();
  await fault.begin(rig);
  await sleep(start.faultMs * WRITE_AT);
  await Promise.all([a.call('set', sentinels.set), a.call('delete', sentinels.deleted)]);
  await sleep(Math.max(0, start.faultMs - (sharedMs() - faultAt)));
  await fault.end(rig);
  const healedAt = sharedMs();
  // At once: it must not learn from Redis what the writer has not yet taken back.
  const opened = watchFresh(rig, all);
  for (const instance of [a, b]) await instance.call('watch', all, WATCH_RETURN_EVERY_MS);
  for (const instance of fault.oneSided ? [a] : [a, b]) {
    // An instance that does not come back is a figure of the verdict, not the end of the run.
    await instance.reaches('available', RETURN_WITHIN_MS).catch(() => undefined);
  }
  await opened;
  await sleep(AFTER_MS);
  const hot = [...Workload.hotKeys('a'), ...Workload.hotKeys('b')];
  for (const instance of [a, b, rig.fresh]) await instance.call('read', hot);
  const marks = { faultAt, healedAt, endAt: sharedMs() };
  const [ofA, ofB, fresh] = await Promise.all([a, b, rig.fresh].map((instance) => instance.call('harvest', marks)));
  const run: FaultRun = {
    fault: start.fault,
    oneSided: fault.oneSided ?? false,
    marks,
    sentinels,
    version: 3,
    a: ofA!,
    b: ofB!,
    fresh: fresh!,
  };
  return { verdict: judgeRun(run), run };
}

function kind(name: string): string[] {
  return Array.from({ length: SENTINELS_OF_A_KIND }, (_, i) => `sentinel:a:${name}:${i}`);
}

async function startLoads({ a, b }: Rig, { ratePerSecond, seed }: FaultStart): Promise<void> {
  const share = ratePerSecond / 2;
  await a.call('startLoad', { me: 'a', other: 'b', ratePerSecond: share, seed });
  await b.call('startLoad', { me: 'b', other: 'a', ratePerSecond: share, seed: seed + 1 });
}

async function watchFresh(rig: Rig, keys: readonly string[]): Promise<void> {
  await rig.open(rig.fresh);
  await rig.fresh.call('watch', keys, WATCH_RETURN_EVERY_MS);
}
