import { fileURLToPath } from 'node:url';

import { SCHEMA } from '../../src/config/schema.ts';
import { type Hop, startHop } from '../support/hop.ts';
import { preparePostgres } from '../support/postgres-binaries.ts';
import { type TestPostgres, createDatabase, launchPostgres } from '../support/postgres-server.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';
import { type TestServer, startServer } from '../support/server.ts';

const CLOCK_APP = fileURLToPath(new URL('../support/clock-app.ts', import.meta.url));

/** Redoubt, or a control: a store that people write instead, which the checker must be able to fail. */
export const STORES = ['redoubt', 'failover', 'dual-write'] as const;
export type StoreName = (typeof STORES)[number];

/** One server process with its own links to both backends. */
export interface Instance {
  readonly server: TestServer;
  readonly links: { readonly redis: Hop; readonly postgres: Hop };
}

/** Some instances on one real Redis and one real PostgreSQL. */
export interface Instances extends AsyncDisposable {
  readonly redis: TestRedis;
  readonly postgres: TestPostgres;
  readonly all: readonly Instance[];
}

export interface InstancesStart {
  readonly store: StoreName;
  readonly count: number;
  /** Program in place of the sources' `main.ts`, for a run against another version. */
  readonly main?: string;
  /** Over the usual environment of each. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts them; all listen when this resolves, and {@link settled} tells when they use their backends. */
export async function startInstances(start: InstancesStart): Promise<Instances> {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis());
  const postgres = stack.use(await launchPostgres(await preparePostgres()));
  const databaseUrl = await createDatabase(postgres.url);
  const main = start.main ?? mainOf(start.store);
  const strict: Record<string, string> =
    main === undefined && 'disjoint' in SCHEMA.sessions ? { REDOUBT_SESSIONS_DISJOINT: 'strict' } : {};
  const all: Instance[] = [];
  for (let i = 0; i < start.count; i += 1) {
    const links = {
      redis: stack.use(await startHop({ to: redis.port })),
      postgres: stack.use(await startHop({ to: postgres.port })),
    };
    const env = {
      REDIS_URL: links.redis.url(),
      DATABASE_URL: links.postgres.through(databaseUrl),
      SESSION_SECRET: 'a-secret-of-the-history-test-of-42-characters',
      LOG_LEVEL: 'warn',
      REDOUBT_SERVER_APP: CLOCK_APP,
      // A schedule is denser than life: at the shipped 60 s most of a run would be waiting.
      REDOUBT_REDIS_HOLD_DOWN_MAX: '1s',
      REDOUBT_POSTGRES_HOLD_DOWN_MAX: '1s',
      // Visits are counted, and each must count: with `latest` the later of two counts wins.
      REDOUBT_SESSIONS_CONFLICT: 'merge',
      // One instance with Redis alone and another with PostgreSQL alone: then only `strict` promises one order.
      ...strict,
      ...start.env,
    };
    all.push({ links, server: stack.use(await startServer({ env, ...(main ? { main } : {}) })) });
  }
  const owned = stack.move();
  return { redis, postgres, all, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Whether every instance uses both its backends; a control has no health report and is always settled. */
export async function settled({ all }: Instances): Promise<boolean> {
  const states = await Promise.all(
    all.map(async ({ server }) => {
      const answer = await server.fetch('/health');
      const text = await answer.text();
      return answer.status === 404 ? 'pass' : (JSON.parse(text) as { status: string }).status;
    }),
  );
  return states.every((status) => status === 'pass');
}

function mainOf(store: StoreName): string | undefined {
  return store === 'redoubt' ? undefined : fileURLToPath(new URL(`controls/${store}.ts`, import.meta.url));
}
