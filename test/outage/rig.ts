import { expect } from 'vitest';

import type { HealthReport } from '../../src/services/health/types.ts';
import { eventually } from '../support/eventually.ts';
import { type Hop, startHop } from '../support/hop.ts';
import { sharedDatabase } from '../support/postgres.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';
import { type ServerStart, type TestServer, startServer } from '../support/server.ts';

export const SECRET = 'a-planted-session-secret-of-40-characters';

/** What a rig consists of; anything not named is the usual. */
export interface RigStart {
  /** `none` or a database URL in place of a fresh database on the shared PostgreSQL. */
  readonly databaseUrl?: string;
  readonly redisUrl?: (hop: Hop) => string;
  /** More arguments for redis-server. */
  readonly redisArgs?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: ServerStart['args'];
  readonly hopMode?: Hop['mode'];
}

/** A server from the sources, in its own process, with a real Redis behind a breakable hop and a real PostgreSQL. */
export interface Rig extends AsyncDisposable {
  readonly redis: TestRedis;
  readonly hop: Hop;
  readonly server: TestServer;
  health(): Promise<HealthReport>;
  /** Waits until the Redis machine is in `state` or below it, and gives the report. */
  becomes(state: string, withinMs?: number): Promise<HealthReport>;
  user(): User;
  /** Sends an operator's event to a machine. */
  operator(type: string, machine?: string): Promise<Response>;
  /** What must hold after every fault: nothing crashed, one log line for each entry of the history. */
  expectSound(): Promise<void>;
}

export async function startRig(start: RigStart = {}): Promise<Rig> {
  const stack = new AsyncDisposableStack();
  try {
    const redis = stack.use(await startRedis(start.redisArgs ? { args: start.redisArgs } : {}));
    const hop = stack.use(await startHop({ to: redis.port, mode: start.hopMode ?? 'pass' }));
    const env = {
      REDIS_URL: (start.redisUrl ?? ((through: Hop) => through.url()))(hop),
      DATABASE_URL: start.databaseUrl ?? (await sharedDatabase()),
      SESSION_SECRET: SECRET,
      ...start.env,
    };
    const server = stack.use(await startServer({ env, ...(start.args ? { args: start.args } : {}) }));
    const health = async (): Promise<HealthReport> => {
      const { status, body } = await server.health();
      // Whatever happens to Redis, /health stays 200.
      expect(status).toBe(200);
      return body as unknown as HealthReport;
    };
    const owned = stack.move();
    return {
      redis,
      hop,
      server,
      health,
      becomes: (state, withinMs = 10_000) =>
        eventually(
          async () => {
            const report = await health();
            const now = report.machines['redis']?.state ?? '';
            expect(now === state || now.startsWith(`${state}.`), `${now} is not ${state}`).toBe(true);
            return report;
          },
          { withinMs, everyMs: 25, what: `Redis ${state}` },
        ),
      user: () => new User(server),
      operator: (type, machine = 'redis') =>
        server.fetch(`/v1/machines/${machine}/events`, {
          method: 'POST',
          body: JSON.stringify({ type }),
          headers: { 'content-type': 'application/json' },
        }),
      expectSound: async () => {
        expect(server.running).toBe(true);
        expect(server.stderr).not.toMatch(/Unhandled|Uncaught|Warning/);
        await eventually(async () => {
          const { machines } = await health();
          for (const [id, { transitions }] of Object.entries(machines)) {
            const lines = logLines(server).filter((line) => line['machine'] === id && 'to' in line);
            // Health shows the last 20.
            expect(lines.slice(-20).map(({ to }) => to)).toEqual(transitions.map(({ to }) => to));
          }
        });
      },
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** The server's log, parsed. */
export function logLines(server: TestServer): Record<string, unknown>[] {
  return server.stdout
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Somebody with a cookie jar of one cookie, at the demo application. */
export class User {
  readonly #server: TestServer;
  cookie = '';

  constructor(server: TestServer) {
    this.#server = server;
  }

  async send(method: string, path: string, body?: object): Promise<Response> {
    const answer = await this.#server.fetch(path, {
      method,
      headers: { cookie: this.cookie, ...(body ? { 'content-type': 'application/json' } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const [set] = answer.headers.getSetCookie();
    if (set) this.cookie = set.split(';')[0] ?? '';
    return answer;
  }

  async login(user: string): Promise<void> {
    expect((await this.send('POST', '/demo/session/login', { user })).status).toBe(200);
  }

  async visit(): Promise<number> {
    const answer = await this.send('POST', '/demo/session/visit');
    expect(answer.status).toBe(200);
    return ((await answer.json()) as { visits: number }).visits;
  }

  /** `{ user, visits }`, or `null` for somebody who is not logged in. */
  async whoAmI(): Promise<{ user: string; visits: number } | null> {
    const answer = await this.send('GET', '/demo/session');
    if (answer.status === 401) return null;
    expect(answer.status).toBe(200);
    return (await answer.json()) as { user: string; visits: number };
  }
}
