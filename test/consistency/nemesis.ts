import { setTimeout as delay } from 'node:timers/promises';

import type { HopMode } from '../support/hop.ts';
import { type Instances, settled } from './instances.ts';
import type { Fault } from './schedule.ts';

/** Between the snapshot and the crash: what is acknowledged in it is what an old snapshot forgets. */
const SNAPSHOT_AGE_MS = 800;
/** Past it the run goes on, and its end says that an instance did not recover. */
const HEAL_MS = 30_000;
const HOUR_MS = 3_600_000;
const LINK_MODES = { cut: 'refuse', silence: 'blackhole', 'one-way': 'mute' } as const satisfies Record<
  string,
  HopMode
>;

/**
 * Carries out a schedule: each fault at its time, each ended before the next begins. A fault of the other backend
 * waits until every instance is back on both, which shifts what follows: an instance with neither has only its own
 * memory, where nobody promises one order of things. Faults of one backend may well meet a recovery.
 *
 * @param signal - ends the fault that is under way and begins no other
 * @param announce - called as each fault begins, with its real time
 */
export async function haunt(
  target: Instances,
  schedule: readonly Fault[],
  signal: AbortSignal,
  announce: (fault: Fault) => void = () => undefined,
): Promise<void> {
  const startedAt = performance.now();
  let previous: Fault | undefined;
  for (const fault of schedule) {
    await pause(fault.atMs - (performance.now() - startedAt), signal);
    if (previous && backendOf(previous) !== backendOf(fault)) await healed(target, signal);
    if (signal.aborted) return;
    previous = fault;
    announce({ ...fault, atMs: performance.now() - startedAt });
    const end = await begin(target, fault);
    await pause(fault.forMs, signal);
    await end();
  }
}

/** Begins a fault; what it returns ends it and resolves when the servers answer again. */
async function begin(target: Instances, fault: Fault): Promise<() => Promise<void>> {
  const { redis, postgres } = target;
  switch (fault.kind) {
    case 'cut':
    case 'silence':
    case 'one-way':
      return breakLinks(target, fault, LINK_MODES[fault.kind]);
    case 'split':
      return split(target, fault);
    case 'freeze':
      redis.freeze();
      return async () => redis.thaw();
    case 'kill-empty':
      await redis.kill();
      return () => redis.restart({ empty: true });
    case 'old-snapshot':
      await redis.client({ connectTimeout: 1_000, maxRetriesPerRequest: 3 }).save();
      await delay(SNAPSHOT_AGE_MS);
      await redis.kill();
      return () => redis.restart();
    case 'stop':
      await postgres.stop();
      return () => postgres.start();
    case 'clock':
      // By turns forward and back, as the length of the fault falls out.
      await setClocks(target, fault, fault.forMs % 2 === 0 ? HOUR_MS : -HOUR_MS);
      return () => setClocks(target, fault, 0);
    case 'pause': {
      const paused = fault.instances.map((i) => target.all[i]!.server);
      for (const server of paused) server.signal('SIGSTOP');
      return async () => {
        for (const server of paused) server.signal('SIGCONT');
      };
    }
  }
}

/** A control has no such route: its clock stays as it is. */
async function setClocks({ all }: Instances, { instances }: Fault, ms: number): Promise<void> {
  await Promise.all(instances.map((i) => all[i]!.server.fetch(`/clock/${ms}`, { method: 'POST' })));
}

async function breakLinks({ all }: Instances, fault: Fault, mode: HopMode): Promise<() => Promise<void>> {
  const hops = fault.instances.map((i) => all[i]!.links[fault.link ?? 'redis']);
  for (const hop of hops) hop.mode = mode;
  return async () => {
    for (const hop of hops) hop.mode = 'pass';
    await Promise.all(hops.map((hop) => hop.settled()));
  };
}

async function split(target: Instances, fault: Fault): Promise<() => Promise<void>> {
  const [first = 0, second = 1] = fault.instances;
  const ends = [
    await breakLinks(target, { ...fault, link: 'redis', instances: [first] }, 'blackhole'),
    await breakLinks(target, { ...fault, link: 'postgres', instances: [second] }, 'blackhole'),
  ];
  return async () => {
    for (const end of ends) await end();
  };
}

/** What a fault takes away; an instance that wakes from a pause, or that lost one of two, may have lost both. */
function backendOf({ kind, link }: Fault): string {
  if (kind === 'pause' || kind === 'split' || kind === 'clock') return kind;
  return link ?? (kind === 'stop' ? 'postgres' : 'redis');
}

async function healed(target: Instances, signal: AbortSignal): Promise<void> {
  const endAt = performance.now() + HEAL_MS;
  while (!signal.aborted && performance.now() < endAt) {
    if (await settled(target).catch(() => false)) return;
    await pause(50, signal);
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  // Aborted is as good as over: whoever waits looks at the signal.
  await delay(Math.max(0, ms), undefined, { signal }).catch(() => undefined);
}
