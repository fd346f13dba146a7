import { type Bar, printBars } from './bars.ts';
import type { LoadersSeen } from './commands.ts';
import { type Rig, type RigStart, startRig } from './rig.ts';

const CALLERS = 100;
const COLD_KEYS = 1000;
const LOADER_MS = 50;

/**
 * getOrSet on cold keys, with Redis and without: how many loaders run for 100 callers of one key on one instance and
 * on two, and how many at once for 1,000 keys.
 *
 * @returns how many bars are missed
 */
export async function runLoaders(start: RigStart): Promise<number> {
  await using rig = await startRig(start);
  let missed = await measure(rig, 'available', start.store);
  await rig.redis.kill();
  for (const instance of [rig.a, rig.b]) await instance.reaches('degraded', 10_000);
  missed += await measure(rig, 'degraded', start.store);
  return missed;
}

async function measure({ a, b }: Rig, state: string, store: string): Promise<number> {
  const one = await a.call('getOrSet', [`one:${state}`], CALLERS, LOADER_MS);
  const both = await Promise.all([a, b].map((each) => each.call('getOrSet', [`both:${state}`], CALLERS, LOADER_MS)));
  const keys = Array.from({ length: COLD_KEYS }, (_, i) => `many:${state}:${i}`);
  const many = await a.call('getOrSet', keys, 1, LOADER_MS);
  const cap = await a.call('loadersMax');
  const refused = Object.entries(many.rejected).map(([code, n]) => `${n} × ${code}`);
  console.log(
    `\n${state}: ${COLD_KEYS} cold keys at once: ${many.loads} loads, at most ${many.concurrent} at once (cap ${cap ?? 'none'}), slowest ${Math.round(many.maxMs)} ms, refused: ${refused.join(', ') || 0}`,
  );
  const bars: Bar[] = [
    { what: `bar 4: loads for ${CALLERS} callers of one key on one instance`, figure: one.loads, atMost: 1 },
    { what: 'bar 4: loads for the same on two instances', figure: sum(both), atMost: state === 'available' ? 1 : 2 },
    { what: 'bar 4: concurrent loaders, within the cap', figure: cap && many.concurrent, atMost: cap ?? 0 },
  ];
  return printBars(`loaders, ${state}, ${store}`, bars);
}

function sum(seen: readonly LoadersSeen[]): number {
  return seen.reduce((total, { loads }) => total + loads, 0);
}
