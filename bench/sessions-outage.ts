/**
 * What becomes of sessions while Redis or PostgreSQL fails: the ready-made server in its own process, 200 users who
 * are logged in, 300 requests/s, one fault at a time. `node sessions-outage.ts [--seconds 8] [--fault NAME,…]
 * [--instances 1|2] [--seed N] [--main FILE]`. Prints a table and, below it, what was not as it must be; exit code 1 for that,
 * 2 for wrong usage.
 *
 * The servers run with the shipped defaults and PostgreSQL with fsync on: unlike the history test nothing is sped up
 * and `sessions.disjoint` stays `available`, since `strict` answers 503 without PostgreSQL by design.
 *
 * `--main` takes another program in place of the sources' `main.ts`: the stores in test/consistency/controls must fail.
 *
 * One instance: the zeros, greatest latency, p99 (without the 700 ms after the fault began, which may hold one lease
 * wait) and the way back are bars. Two: each fault cuts one instance off while both get requests; the zeros are bars.
 */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { ping } from '../test/support/redis.ts';
import { type Fault, INSTANCE_FAULTS, SERVER_FAULTS } from './session-faults.ts';
import { type BenchFleet, type BenchInstance, startBenchFleet } from './session-servers.ts';
import { type SessionSample, SessionTraffic } from './session-traffic.ts';
import type { Tally } from './session-visitor.ts';

const WARM_MS = 4000;
const SNAPSHOT_AGE_MS = 1500;
const LEAVERS = 20;
/** Logouts begin so long before the fault, and end so long after it. */
const LEAVING_AROUND_MS = 1000;
const LEASE_WAIT_MS = 700;
const AFTERWARDS_MS = 3000;
const HUNG_MS = 2000;
const BARS = { 'greatest ms': 500, 'p99 past lease': 50, 'back ms': 2000 } as const;
const ZEROS = [
  '≥500',
  'no answer',
  'hung',
  'logged out',
  'lost',
  'invented',
  '409',
  'undone',
  'shed',
  'crashed',
] as const;

type Row = Record<string, string | number>;

interface Run {
  readonly durationMs: number;
  readonly instances: number;
  /** Each with its name, in this order; one may come again. */
  readonly faults: readonly (readonly [string, Fault])[];
  readonly seed: number;
  readonly main: string | undefined;
}

const run = readArguments();
process.exitCode = run === undefined ? 2 : await report(run);
// Everything has been disposed; Node 24.21 sometimes spins for ever in its own teardown (CleanupHandles).
process.exit();

function readArguments(): Run | undefined {
  try {
    const text = { type: 'string' } as const;
    const { values } = parseArgs({
      options: {
        seconds: { ...text, default: '8' },
        instances: { ...text, default: '1' },
        seed: { ...text, default: '1' },
        fault: text,
        main: text,
      },
    });
    const instances = numberIn('instances', values.instances, 1, 2);
    const known = instances === 1 ? SERVER_FAULTS : INSTANCE_FAULTS;
    const names = values.fault?.split(',') ?? Object.keys(known);
    if (!names.every((name) => name in known)) throw new Error(`--fault takes ${Object.keys(known).join(', ')}`);
    return {
      durationMs: numberIn('seconds', values.seconds, 1, 60) * 1000,
      instances,
      faults: names.map((name) => [name, known[name]!]),
      seed: numberIn('seed', values.seed, 0, 2 ** 32),
      main: values.main === undefined ? undefined : resolve(values.main),
    };
  } catch (error) {
    console.error((error as Error).message);
    console.error(
      'usage: node sessions-outage.ts [--seconds 8] [--fault NAME,…] [--instances 1|2] [--seed N] [--main FILE]',
    );
    return undefined;
  }
}

function numberIn(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!(value >= least && value <= most)) throw new Error(`--${name} lies between ${least} and ${most}`);
  return value;
}

async function report({ faults, instances, durationMs, seed, main }: Run): Promise<number> {
  const rows: Row[] = [];
  const notes: string[] = [];
  // One instance gets fresh servers for each fault; two live through all of them in turn.
  const groups = instances === 1 ? faults.map((fault) => [fault]) : [faults];
  for (const group of groups) {
    await using fleet = await startBenchFleet(instances, main);
    const urls = fleet.instances.map(({ server }) => server.url);
    await using traffic = new SessionTraffic(urls, LEAVERS * group.length, seed);
    await traffic.start();
    await sleep(WARM_MS);
    for (const [i, [name, fault]] of group.entries()) {
      const seen = await measure(fleet, traffic, fault, durationMs, i === group.length - 1);
      rows.push({ fault: name, ...seen.row });
      notes.push(...seen.notes.map((note) => `${name}: ${note}`));
    }
  }
  console.table(rows);
  const missed = rows.flatMap((row) => missesOf(row, instances === 1).map((miss) => `${row['fault']}: ${miss}`));
  for (const line of notes) console.log(line);
  for (const line of missed) console.log(`MISSED ${line}`);
  console.log(`${durationMs / 1000} s faults, seed ${seed}; ${missed.length === 0 ? 'every bar is met' : 'not met'}`);
  return missed.length === 0 ? 0 : 1;
}

/** One fault under the traffic that is running; `isLast` ends the traffic and looks at every session once more. */
async function measure(
  { servers, instances }: BenchFleet,
  traffic: SessionTraffic,
  fault: Fault,
  durationMs: number,
  isLast: boolean,
): Promise<{ readonly row: Row; readonly notes: string[] }> {
  const instance = instances[0]!;
  const { health } = instance;
  const target = { ...servers, instance };
  const before = traffic.tally;
  const shedBefore = traffic.shed;
  const from = traffic.samples.length;
  await fault.prepare?.(target);
  const leaving = leave(traffic, SNAPSHOT_AGE_MS - LEAVING_AROUND_MS, durationMs + 2 * LEAVING_AROUND_MS);
  await sleep(SNAPSHOT_AGE_MS);
  const faultAt = performance.now();
  const begun = Promise.resolve(fault.begin(target));
  let returnedAt = fault.isInstant ? await begun.then(() => answersAgain(instance, fault)) : 0;
  await sleep(durationMs - (performance.now() - faultAt));
  await begun;
  const endedAt = performance.now();
  health.often(true);
  if (!fault.isInstant) {
    await fault.end(target);
    returnedAt = await answersAgain(instance, fault);
  }
  await leaving;
  await health.allAvailable(30_000);
  await sleep(AFTERWARDS_MS);
  health.often(false);
  const overAt = performance.now();
  await traffic.lookBack();
  if (isLast) await traffic.stop();
  const samples = traffic.samples.slice(from).filter((one) => one.startedMs + one.latencyMs >= faultAt);
  const { tally } = traffic;
  const counted = (key: keyof Tally): number => tally[key] - before[key];
  const during = (fromMs: number, toMs: number): number =>
    p99(samples.filter(({ startedMs }) => startedMs >= fromMs && startedMs < toMs));
  const [machine = 'redis'] = fault.hits;
  const row = {
    requests: samples.length,
    '≥500': counted('failed'),
    'no answer': counted('unanswered'),
    hung: samples.filter(({ latencyMs }) => latencyMs > HUNG_MS).length,
    'logged out': counted('loggedOut'),
    lost: counted('lost'),
    invented: counted('invented'),
    '409': counted('conflicts'),
    logouts: counted('logouts'),
    undone: counted('undone'),
    'greatest ms': tenth(greatest(samples)?.latencyMs ?? 0),
    'p99 before': tenth(
      p99(traffic.samples.filter((one) => one.startedMs >= faultAt - 2000 && one.startedMs + one.latencyMs < faultAt)),
    ),
    'p99 during': tenth(during(0, endedAt)),
    'p99 past lease': tenth(during(faultAt + LEASE_WAIT_MS, endedAt)),
    'p99 after': tenth(during(endedAt, overAt)),
    'back ms': fault.hits.includes('redis') ? Math.round(health.backAfter('redis', returnedAt)) : '-',
    'PostgreSQL back ms': fault.hits.includes('postgres') ? Math.round(health.backAfter('postgres', returnedAt)) : '-',
    'reads Redis ms': fault.hits.includes('redis') ? Math.round(health.readsRedisAfter(returnedAt)) : '-',
    shed: traffic.shed - shedBefore,
    crashed: instances.filter(({ server }) => !server.running || /Unhandled|Uncaught/.test(server.stderr)).length,
  };
  const slowest = greatest(samples);
  const notes = [
    ...describeFailures(samples, faultAt),
    ...(slowest ? [`slowest ${describeSample(slowest, faultAt)}`] : []),
    `${machine}: ${health.path(machine, faultAt, overAt).join(' → ')}`,
  ];
  return { row, notes };
}

/** Spreads the logouts over `forMs`; each is answered, and asked about, before this resolves. */
async function leave(traffic: SessionTraffic, afterMs: number, forMs: number): Promise<void> {
  await sleep(afterMs);
  const leaving: Promise<void>[] = [];
  for (let i = 0; i < LEAVERS; i += 1) {
    leaving.push(traffic.leave());
    await sleep(forMs / LEAVERS);
  }
  await Promise.all(leaving);
}

/** When Redis answered a PING on the instance's way to it; PostgreSQL has answered when its fault has ended. */
async function answersAgain({ links }: BenchInstance, { hits }: Fault): Promise<number> {
  for (let tries = 0; hits.includes('redis') && tries < 1000; tries += 1) {
    if (await ping(links.redis.port).catch(() => undefined)) break;
    await sleep(5);
  }
  return performance.now();
}

function missesOf(row: Row, withTimes: boolean): string[] {
  const zeros = ZEROS.filter((name) => row[name] !== 0).map((name) => `${name} ${row[name]}, must be 0`);
  const times = Object.entries(BARS)
    .filter(([name, most]) => withTimes && Number(row[name]) > most)
    .map(([name, most]) => `${name} ${row[name]}, bar ${most}`);
  return [...zeros, ...times];
}

function describeFailures(samples: readonly SessionSample[], faultAt: number): string[] {
  const wrong = samples.filter(isWrong);
  const kinds = Object.groupBy(wrong, ({ act, status, code }) => `${act} ${status} ${code}`);
  return Object.entries(kinds).map(([kind, of = []]) => {
    const at = of.map(({ startedMs }) => Math.round(startedMs - faultAt));
    return `${of.length} × ${kind}, sent ${Math.min(...at)} … ${Math.max(...at)} ms after the fault began`;
  });
}

/** A cookie of a session that was ended must be refused, anything else must not. */
function isWrong({ act, status }: SessionSample): boolean {
  return act === 'ghost' ? status !== 401 : status === 0 || status >= 400;
}

function describeSample({ act, status, code, startedMs, latencyMs }: SessionSample, faultAt: number): string {
  const at = Math.round(startedMs - faultAt);
  return `${act} ${status} ${code}: ${tenth(latencyMs)} ms, sent ${at} ms after the fault began`;
}

function greatest(samples: readonly SessionSample[]): SessionSample | undefined {
  return samples.reduce<SessionSample | undefined>(
    (most, one) => (most && most.latencyMs >= one.latencyMs ? most : one),
    undefined,
  );
}

function p99(samples: readonly SessionSample[]): number {
  const sorted = samples.map(({ latencyMs }) => latencyMs).toSorted((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * 0.99) - 1] ?? 0;
}

function tenth(value: number): number {
  return Math.round(value * 10) / 10;
}

function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
