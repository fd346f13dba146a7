/**
 * What users feel while Redis fails: 300 requests/s over cache and sessions and 50 sockets against
 * one server, an 8 s fault of each kind. `node outage.ts [seconds] [rounds]`; prints a table.
 */
import { startTraffic } from '../test/support/traffic.ts';
import { type Bench, startBench } from './servers.ts';

const faultMs = Number(process.argv[2] ?? 8) * 1000;
const rounds = Number(process.argv[3] ?? 1);
const tenth = (value: number): number => Math.round(value * 10) / 10;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const FAULTS: Readonly<Record<string, readonly [(bench: Bench) => unknown, (bench: Bench) => unknown]>> = {
  killed: [({ redis }) => redis.kill(), ({ redis }) => redis.restart({ empty: true })],
  frozen: [({ redis }) => redis.freeze(), ({ redis }) => redis.thaw()],
  cut: [({ hop }) => (hop.mode = 'refuse'), ({ hop }) => (hop.mode = 'pass')],
  silent: [({ hop }) => (hop.mode = 'blackhole'), ({ hop }) => (hop.mode = 'pass')],
};

const rows: Record<string, string | number>[] = [];
for (let round = 0; round < rounds; round += 1) {
  for (const [fault, [begin, end]] of Object.entries(FAULTS)) rows.push(await measure(fault, begin, end));
}
console.table(rows);
// Everything has been disposed; Node 24.21 sometimes spins for ever in its own teardown (CleanupHandles).
process.exit(0);

async function measure(
  fault: string,
  begin: (bench: Bench) => unknown,
  end: (bench: Bench) => unknown,
): Promise<Record<string, string | number>> {
  await using bench = await startBench();
  await bench.timeTo('available', 10_000);
  const traffic = await startTraffic({ url: bench.server.url });
  await sleep(3000);
  const faultAt = performance.now();
  void begin(bench);
  const degradedMs = await bench.timeTo('degraded', 10_000);
  await sleep(faultMs - degradedMs);
  const endedAt = performance.now();
  await end(bench);
  const returnedAt = performance.now();
  await bench.timeTo('available', 20_000);
  const availableAt = performance.now();
  await sleep(2000);
  const { load, failed, disconnects, loggedOut, lostUpdates, unheard, doubled } = await traffic.stop();
  const during = load.between(faultAt, endedAt);
  const before = load.between(faultAt - 2000, faultAt);
  const after = load.between(endedAt, availableAt + 2000);
  return {
    fault,
    requests: load.count,
    'failed/≥500': failed,
    'over 1 s': load.over(1000),
    disconnects,
    'logged out': loggedOut,
    'lost updates': lostUpdates,
    'unheard+doubled': unheard + doubled,
    'degraded ms': Math.round(degradedMs),
    'available ms': Math.round(availableAt - returnedAt),
    'p99 before': tenth(before.p99),
    'p99 during': tenth(during.p99),
    'max during': tenth(during.maxMs),
    'p99 after': tenth(after.p99),
    'max after': tenth(after.maxMs),
  };
}
