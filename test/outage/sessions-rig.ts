import { expect } from 'vitest';

import type { HealthReport } from '../../src/services/health/types.ts';
import { eventually } from '../support/eventually.ts';
import { type Hop, startHop } from '../support/hop.ts';
import { sharedDatabase } from '../support/postgres.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';
import { type TestServer, startServer } from '../support/server.ts';
import { SECRET, User } from './rig.ts';

/** One server of several, with breakable ways of its own to the Redis and the PostgreSQL that all share. */
export interface Instance {
  readonly server: TestServer;
  readonly redisHop: Hop;
  readonly postgresHop: Hop;
  /** The same visitor, at this instance. */
  visitor(user: User): User;
  report(): Promise<HealthReport>;
}

/** What a fleet consists of; anything not named is the usual. */
export interface FleetStart {
  /** A database in place of a fresh one on the shared PostgreSQL. */
  readonly databaseUrl?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Instances without stickiness. */
export class TestFleet implements AsyncDisposable {
  readonly redis: TestRedis;
  readonly instances: Instance[] = [];
  /** The database that all share, not through anybody's hop. */
  readonly databaseUrl: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #stack: AsyncDisposableStack;

  static async start(count: number, { databaseUrl, env = {} }: FleetStart = {}): Promise<TestFleet> {
    const stack = new AsyncDisposableStack();
    try {
      const redis = stack.use(await startRedis());
      const fleet = new TestFleet(stack, redis, databaseUrl ?? (await sharedDatabase()), env);
      for (let i = 0; i < count; i += 1) await fleet.join();
      for (const { report } of fleet.instances) {
        // Everybody knows everybody, and Redis is believed: the epoch is past its hold.
        await eventually(async () => expect((await report()).fleet).toHaveLength(count - 1), { withinMs: 10_000 });
      }
      await new Promise((resolve) => setTimeout(resolve, 1700));
      return fleet;
    } catch (error) {
      await stack.disposeAsync();
      throw error;
    }
  }

  private constructor(stack: AsyncDisposableStack, redis: TestRedis, databaseUrl: string, env: FleetStart['env'] = {}) {
    this.#stack = stack;
    this.redis = redis;
    this.databaseUrl = databaseUrl;
    this.#env = env;
  }

  /** @param redisMode - how its way to Redis begins */
  async join(redisMode: Hop['mode'] = 'pass'): Promise<Instance> {
    const redisHop = this.#stack.use(await startHop({ to: this.redis.port, mode: redisMode }));
    const postgresHop = this.#stack.use(await startHop({ to: Number(new URL(this.databaseUrl).port) }));
    const env = {
      REDIS_URL: redisHop.url(),
      DATABASE_URL: postgresHop.through(this.databaseUrl),
      SESSION_SECRET: SECRET,
      ...this.#env,
    };
    const server = this.#stack.use(await startServer({ env }));
    const instance: Instance = {
      server,
      redisHop,
      postgresHop,
      visitor: (user) => Object.assign(new User(server), { cookie: user.cookie }),
      report: async () => (await server.health()).body as unknown as HealthReport,
    };
    this.instances.push(instance);
    // As a load balancer does: nobody is sent here before PostgreSQL is in use.
    await this.becomes(instance, 'postgres', 'available');
    if (redisMode === 'pass') await this.becomes(instance, 'redis', 'available');
    return instance;
  }

  async becomes(instance: Instance, machine: string, state: string): Promise<void> {
    await eventually(
      async () => expect((await instance.report()).machines[machine]?.state).toMatch(new RegExp(`^${state}`)),
      { withinMs: 15_000, what: `${machine} ${state}` },
    );
  }

  /**
   * Goes round the instances while `during` runs: each visit at one must be seen at once at the next, each logout
   * too, every answer is below 500 and in time.
   */
  async expectCoherent(during: () => Promise<void>, instances: readonly Instance[] = this.instances): Promise<void> {
    const over = new AbortController();
    const ended = new Set<string>();
    const rounds = async (name: string): Promise<void> => {
      const user = new User(instances[0]!.server);
      await user.login(name);
      let visits = 0;
      for (let i = 0; !over.signal.aborted; i += 1) {
        const [here, there] = [instances[i % instances.length]!, instances[(i + 1) % instances.length]!];
        visits += 1;
        expect(await timed(() => here.visitor(user).visit())).toBe(visits);
        expect(await timed(() => there.visitor(user).whoAmI())).toEqual({ user: name, visits });
        await expectLogout(here, there);
      }
    };
    const expectLogout = async (here: Instance, there: Instance): Promise<void> => {
      const leaving = new User(there.server);
      await timed(() => leaving.login('leaving'));
      const { cookie } = leaving;
      expect((await timed(() => here.visitor(leaving).send('POST', '/demo/session/logout'))).status).toBe(204);
      const ghost = Object.assign(new User(there.server), { cookie });
      expect(await timed(() => ghost.whoAmI())).toBeNull();
      ended.add(cookie);
    };
    const running = Promise.all(['ann', 'bea', 'cid'].map((name) => rounds(name)));
    await Promise.all([running, during().finally(() => over.abort())]);
    expect(ended.size).toBeGreaterThan(10);
    for (const cookie of ended) {
      for (const { server } of instances) {
        expect(await Object.assign(new User(server), { cookie }).whoAmI()).toBeNull();
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** The lease wait, the deadline of Redis before it, and what two cores make of three servers. */
const LONGEST_ANSWER_MS = 1500;

async function timed<T>(work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const result = await work();
  expect(performance.now() - startedAt).toBeLessThan(LONGEST_ANSWER_MS);
  return result;
}
