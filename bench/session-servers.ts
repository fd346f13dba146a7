import { Agent, get } from 'node:http';

import type { HealthReport } from '../src/services/health/types.ts';
import { type Hop, startHop } from '../test/support/hop.ts';
import { type TestServer, startServer } from '../test/support/server.ts';
import { type SessionServers, startSessionServers } from './session-stores.ts';

/** A ready-made server in its own process, behind breakable ways of its own to the servers that all share. */
export interface BenchInstance {
  readonly server: TestServer;
  readonly links: { readonly redis: Hop; readonly postgres: Hop };
  readonly health: HealthWatch;
}

/** Instances of one fleet, as they ship: every threshold is its default. */
export interface BenchFleet extends AsyncDisposable {
  readonly servers: SessionServers;
  readonly instances: readonly BenchInstance[];
}

/**
 * PostgreSQL syncs each commit to the disk; the servers are up and in use when this resolves.
 *
 * @param main - program in place of the sources' `main.ts`
 */
export async function startBenchFleet(count: number, main?: string): Promise<BenchFleet> {
  await using stack = new AsyncDisposableStack();
  const servers = stack.use(await startSessionServers());
  const instances: BenchInstance[] = [];
  for (let i = 0; i < count; i += 1) {
    const links = {
      redis: stack.use(await startHop({ to: servers.redis.port })),
      postgres: stack.use(await startHop({ to: servers.postgres.port })),
    };
    const env = {
      REDIS_URL: links.redis.url(),
      DATABASE_URL: links.postgres.through(servers.databaseUrl),
      SESSION_SECRET: 'a-secret-for-the-bench-of-40-characters!',
      LOG_LEVEL: 'warn',
    };
    const server = stack.use(await startServer({ env, ...(main === undefined ? {} : { main }) }));
    const health = stack.use(new HealthWatch(server.url));
    instances.push({ server, links, health });
  }
  for (const { health } of instances) await health.allAvailable(20_000);
  const owned = stack.move();
  return { servers, instances, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

interface Look {
  readonly atMs: number;
  readonly states: Readonly<Record<string, string>>;
  readonly readsRedis: number;
}

const SELDOM_MS = 50;
const OFTEN_MS = 10;

/** What a program without a health report is taken for: always well. */
const WELL: Look['states'] = { redis: 'available', postgres: 'available' };

/** Asks one instance for its health all the time, seldom while nothing is measured by it. */
export class HealthWatch implements Disposable {
  readonly #url: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #looks: Look[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #everyMs = SELDOM_MS;

  constructor(url: string) {
    this.#url = `${url}/health`;
    void this.#watch();
  }

  often(isOften: boolean): void {
    this.#everyMs = isOften ? OFTEN_MS : SELDOM_MS;
  }

  /** Waits until every machine is available. */
  async allAvailable(withinMs: number): Promise<void> {
    const until = performance.now() + withinMs;
    while (!Object.values(this.#looks.at(-1)?.states ?? { none: '' }).every(isAvailable)) {
      if (performance.now() > until) throw new Error(`not all available: ${JSON.stringify(this.#looks.at(-1))}`);
      await new Promise((resolve) => setTimeout(resolve, OFTEN_MS));
    }
  }

  /** Milliseconds from `sinceMs` until `machine` was available and stayed so; 0 where it was all the time. */
  backAfter(machine: string, sinceMs: number): number {
    const looks = this.#looks.filter(({ atMs }) => atMs >= sinceMs);
    const last = looks.findLastIndex(({ states }) => !isAvailable(states[machine] ?? ''));
    if (last === -1) return 0;
    return (looks[last + 1]?.atMs ?? Infinity) - sinceMs;
  }

  /** Milliseconds from `sinceMs` until a session was read from Redis again. */
  readsRedisAfter(sinceMs: number): number {
    const before = this.#looks.findLast(({ atMs }) => atMs < sinceMs)?.readsRedis ?? 0;
    const first = this.#looks.find(({ atMs, readsRedis }) => atMs >= sinceMs && readsRedis > before);
    return (first?.atMs ?? Infinity) - sinceMs;
  }

  /** Every state of a machine between two instants, in order and without repetitions. */
  path(machine: string, fromMs: number, toMs: number): string[] {
    const looks = this.#looks.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
    const states = looks.map((look) => look.states[machine] ?? '');
    return states.filter((state, i) => state !== states[i - 1]);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#agent.destroy();
  }

  async #watch(): Promise<void> {
    const look = await this.#ask();
    if (this.#closed) return;
    if (look) this.#looks.push(look);
    this.#timer = setTimeout(() => void this.#watch(), this.#everyMs);
  }

  /** What it says now, or nothing where no answer came. */
  #ask(): Promise<Look | undefined> {
    return new Promise((resolve) => {
      const sent = get(this.#url, { agent: this.#agent, timeout: 2_000 }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        answer.once('end', () => resolve(lookOf(answer.statusCode, text)));
        answer.once('error', () => resolve(undefined));
      });
      sent.once('timeout', () => sent.destroy());
      sent.once('error', () => resolve(undefined));
    });
  }
}

function lookOf(status: number | undefined, text: string): Look {
  const atMs = performance.now();
  if (status === 404) return { atMs, states: WELL, readsRedis: 0 };
  const { machines, services } = JSON.parse(text) as HealthReport;
  const states = Object.fromEntries(Object.entries(machines).map(([id, { state }]) => [id, state]));
  return { atMs, states, readsRedis: services.sessions.counters['readsRedis'] ?? 0 };
}

function isAvailable(state: string): boolean {
  return state === 'available';
}
