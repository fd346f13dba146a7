/**
 * Whole applications beside each other: Express 5 with express-session and cached items, on connect-redis and ioredis
 * (stock), on connect-pg-simple, in the process' own memory, and on Redoubt. Each is a process of its own, and so is the load:
 * keep-alive clients with a session each. They take turns in short rounds, so that what the machine does meanwhile
 * hits all alike; a ratio is made within its round, and the median of them counts. PostgreSQL syncs each commit. Where
 * others keep the machine busy, up to three times as many rounds are run and the quietest count.
 *
 * `node app.ts [--rounds 7] [--seconds 1] [--only "session write,cached item"] [--json]`; npm ci in bench/ first.
 * Exit code 0: every bar met, 1: some missed, 2: wrong usage.
 */
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import type { AppName } from './app/apps.ts';
import { type Measured, type Part, type Row, compare, mapParts } from './app/compare.ts';
import { Child, cpuMicros, startMachineWatch } from './app/processes.ts';
import type { Act, Round } from './app/visitors.ts';
import { createDatabase } from '../test/support/postgres-server.ts';
import { startSessionServers } from './session-stores.ts';

const CLIENTS = 32;
const APPS: readonly AppName[] = ['stock', 'redoubt', 'pg-simple', 'memory'];
/** Least ratio of answers to the stock application's. */
const BARS: Readonly<Record<Act, number>> = {
  'session read': 1.1,
  'cached item': 1.4,
  'page with both': 1.4,
  'session write': 0.6,
};
const P99_BAR = 1.2;
/** Most CPU of one session write, in microseconds. */
const CPU_BARS: Readonly<Record<Part, number>> = { application: 70, postgres: 32, redis: 7 };

const USAGE = `usage: node app.ts [--rounds 7] [--seconds 1] [--only "ACT,…"] [--apps "NAME,…"] [--library FILE] [--json]
  ACT   ${Object.keys(BARS).join(' | ')}
  NAME  ${APPS.join(' | ')}; stock is always there
  --library FILE   another build beside them: a module with createRedoubt, such as ../dist/index.js
`;

const given = readArguments();
if (!given) {
  process.stderr.write(USAGE);
  process.exit(2);
}
const { rounds, roundMs, acts, apps, library, json } = given;
const rows: Row[] = [];
{
  await using servers = await startSessionServers();
  const { redis, postgres } = servers;
  await using stack = new AsyncDisposableStack();
  const instances = new Map<AppName, Child>();
  for (const app of apps) {
    // A database for each, and another Redis for another build: two instances on one would be a fleet.
    const args = [app, `${redis.url}/${app === 'library' ? 1 : 0}`, await createDatabase(postgres.url), library];
    instances.set(app, stack.use(new Child('instance.ts', args)));
  }
  // Behind them, so that it is the first to end.
  const visitors = stack.use(new Child('visitors.ts', []));
  await visitors.ready;
  for (const [app, { ready }] of instances) {
    await visitors.ask({ kind: 'login', app, port: await ready, clients: CLIENTS });
  }
  const measure = async (app: AppName, act: Act, ms: number): Promise<Measured> => {
    const sides = { application: instances.get(app)!.pid, postgres: postgres.pid, redis: redis.pid };
    const ours = [...[...instances.values()].map(({ pid }) => pid), visitors.pid, postgres.pid, redis.pid];
    const before = mapParts((part) => cpuMicros(sides[part]));
    const machine = startMachineWatch(ours);
    const round = await visitors.ask<Round>({ kind: 'round', app, act, ms }, ms);
    const othersShare = machine.othersShare();
    return { ...round, othersShare, cpu: mapParts((part) => (cpuMicros(sides[part]) - before[part]) / round.done) };
  };
  for (const act of acts) rows.push(...(await compare({ act, apps, rounds, roundMs, measure })));
}
const missed = judge(rows);
if (json) console.log(JSON.stringify({ clients: CLIENTS, rounds, roundMs, rows, missed }));
else print(rows, missed);
process.exit(missed.length === 0 ? 0 : 1);

function judge(all: readonly Row[]): string[] {
  const wrong: string[] = [];
  for (const { act, app, ratio, p99Ratio, cpu } of all) {
    if (app !== 'redoubt') continue;
    if (ratio < BARS[act]) wrong.push(`${act}: ${ratio} of stock, not ${BARS[act]}`);
    if (p99Ratio > P99_BAR) wrong.push(`${act}: p99 is ${p99Ratio} of stock's, not ${P99_BAR}`);
    if (act !== 'session write') continue;
    for (const [part, most] of Object.entries(CPU_BARS)) {
      const micros = cpu[part as Part];
      if (micros > most) wrong.push(`${act}: ${micros} µs of CPU in ${part}, not ${most}`);
    }
  }
  return wrong;
}

function print(all: readonly Row[], wrong: readonly string[]): void {
  console.table(
    all.map(({ act, app, perSecond, ratio, from, to, p50, p99, p99Ratio, cpu, othersShare }) => ({
      act,
      app,
      '/s': perSecond,
      'to stock': ratio,
      'from … to': `${from} … ${to}`,
      'p50 ms': p50 / 1000,
      'p99 ms': p99 / 1000,
      'p99 to stock': p99Ratio,
      'app µs': cpu.application,
      'PostgreSQL µs': cpu.postgres,
      'Redis µs': cpu.redis,
      others: `${Math.round(othersShare * 100)} %`,
    })),
  );
  console.log(
    `${CLIENTS} clients; median of ${rounds} interleaved rounds of ${roundMs} ms; µs: CPU of one request; others: their share of the machine`,
  );
  for (const one of wrong) console.log(`missed: ${one}`);
  if (wrong.length === 0) console.log('every bar met');
}

function readArguments():
  | {
      rounds: number;
      roundMs: number;
      acts: readonly Act[];
      apps: readonly AppName[];
      library: string;
      json: boolean;
    }
  | undefined {
  try {
    const { values } = parseArgs({
      options: {
        rounds: { type: 'string', default: '7' },
        seconds: { type: 'string', default: '1' },
        only: { type: 'string' },
        apps: { type: 'string' },
        library: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    });
    const known = Object.keys(BARS) as Act[];
    const wanted = listOf(values.only) as Act[] | undefined;
    const chosen = listOf(values.apps) as AppName[] | undefined;
    const other = values.library;
    const count = Number(values.rounds);
    const seconds = Number(values.seconds);
    if (!(Number.isInteger(count) && count >= 1 && seconds > 0)) return undefined;
    if (wanted?.some((act) => !known.includes(act)) || chosen?.some((app) => !APPS.includes(app))) return undefined;
    return {
      rounds: count,
      roundMs: seconds * 1000,
      acts: wanted ?? known,
      apps: [
        ...new Set<AppName>(['stock', ...(chosen ?? APPS), ...(other === undefined ? [] : (['library'] as const))]),
      ],
      library: other === undefined ? '' : pathToFileURL(other).href,
      json: values.json,
    };
  } catch {
    return undefined;
  }
}

function listOf(text: string | undefined): string[] | undefined {
  return text?.split(',').map((one) => one.trim());
}
