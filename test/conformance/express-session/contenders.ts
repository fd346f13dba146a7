import connectPgSimple from 'connect-pg-simple';
import { RedisStore } from 'connect-redis';
import type { RequestHandler } from 'express';
import session, { type SessionOptions, type Store } from 'express-session';
import { Pool } from 'pg';
import { createClient } from 'redis';

import { silentLogger } from '../../../src/observe/log.ts';
import { composeRedoubt } from '../../../src/redoubt.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedDatabase, startPostgres } from '../../support/postgres.ts';
import { type TestRedis, startRedis } from '../../support/redis.ts';
import { SECRET } from './behaviour.ts';

/** Somebody's sessions, ready for use. */
export interface Contender extends AsyncDisposable {
  /** For one behaviour: behaviours never share sessions, at most a place where they lie. */
  store(): Store;
  session(options: Partial<SessionOptions>, store: Store): RequestHandler;
  /** Waits for what express-session still saves behind a complete answer; with Redoubt there is nothing of that kind. */
  settled(): Promise<unknown>;
}

/** How to start each contender; the first is what all others are compared with. */
export const CONTENDERS = {
  MemoryStore: () => Promise.resolve(stock(() => new session.MemoryStore())),
  'connect-redis': startConnectRedis,
  'connect-pg-simple': startConnectPgSimple,
  'Redoubt: Redis and PostgreSQL': () => startRedoubt({ backend: 'redis' }),
  'Redoubt: Redis killed': () => startRedoubt({ backend: 'postgres', fault: (redis) => redis.kill() }),
  'Redoubt: Redis frozen': () => startRedoubt({ backend: 'postgres', fault: (redis) => redis.freeze() }),
  'Redoubt: PostgreSQL alone': () => startRedoubt({ backend: 'postgres', without: 'redis' }),
  'Redoubt: Redis alone': () => startRedoubt({ backend: 'redis', without: 'postgres' }),
  'Redoubt: PostgreSQL stopped': () => startRedoubt({ backend: 'redis', stopPostgres: true }),
  'Redoubt: memory, as the last resort': () =>
    startRedoubt({ backend: 'memory', fault: (redis) => redis.kill(), stopPostgres: true }),
} as const satisfies Record<string, () => Promise<Contender>>;

export type ContenderName = keyof typeof CONTENDERS;

/** express-session as it comes. */
function stock(make: () => Store, end: () => Promise<void> = () => Promise.resolve()): Contender {
  const underWay = new Set<object>();
  return {
    store: () => {
      const store = make();
      for (const name of ['set', 'touch', 'destroy'] as const) {
        const work = store[name]?.bind(store) as (...args: unknown[]) => unknown;
        store[name] = (...args: unknown[]) => {
          const call = {};
          underWay.add(call);
          const callback = args.find((arg) => typeof arg === 'function') as ((error?: unknown) => void) | undefined;
          work(...args.filter((arg) => arg !== callback), (error?: unknown) => {
            underWay.delete(call);
            callback?.(error);
          });
        };
      }
      return store;
    },
    settled: () => eventually(() => underWay.size === 0, { everyMs: 2 }),
    session: (options, used) => session({ store: used, ...options } as SessionOptions),
    [Symbol.asyncDispose]: end,
  };
}

async function startConnectRedis(): Promise<Contender> {
  const redis = await startRedis();
  const client = createClient({ url: redis.url });
  client.on('error', () => undefined);
  await client.connect();
  let made = 0;
  return stock(
    () => new RedisStore({ client, prefix: `matrix${(made += 1)}:` }),
    async () => {
      client.destroy();
      await redis[Symbol.asyncDispose]();
    },
  );
}

async function startConnectPgSimple(): Promise<Contender> {
  const pool = new Pool({ connectionString: await sharedDatabase() });
  const PgStore = connectPgSimple(session);
  const store = new PgStore({ pool, createTableIfMissing: true, pruneSessionInterval: false });
  await new Promise((resolve) => store.get('nobody', resolve));
  return stock(
    () => new PgStore({ pool, pruneSessionInterval: false }),
    () => pool.end(),
  );
}

interface RedoubtStart {
  /** What sessions must be on before the behaviours run. */
  readonly backend: 'redis' | 'postgres' | 'memory';
  readonly without?: 'redis' | 'postgres';
  readonly fault?: (redis: TestRedis) => void | Promise<void>;
  readonly stopPostgres?: boolean;
}

async function startRedoubt({ backend, without, fault, stopPostgres = false }: RedoubtStart): Promise<Contender> {
  const stack = new AsyncDisposableStack();
  const redis = without === 'redis' ? undefined : stack.use(await startRedis());
  const postgres = stopPostgres ? stack.use(await startPostgres()) : undefined;
  const database = without === 'postgres' ? 'none' : (postgres?.database() ?? sharedDatabase());
  const config = {
    redis: { url: redis?.url ?? 'none' },
    postgres: { url: await database },
    sessions: { secret: [SECRET] },
  };
  const redoubt = await composeRedoubt({ config, logger: silentLogger });
  stack.defer(() => redoubt.close());
  const isOn = (wanted: string): Promise<unknown> =>
    eventually(() => redoubt.health.report().services.sessions.backend === wanted, {
      withinMs: 15_000,
      what: `sessions on ${wanted}`,
    });
  await redoubt.settled;
  // Up before it is down: an outage finds an application that has been running.
  await isOn(redis ? 'redis' : 'postgres');
  await postgres?.stop();
  if (redis) await fault?.(redis);
  await isOn(backend);
  if (stopPostgres) await eventually(() => redoubt.health.report().machines['postgres']?.status !== 'up');
  return {
    store: () => redoubt.sessions.store(),
    settled: () => Promise.resolve(),
    session: (options) => redoubt.sessions.middleware(options),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
