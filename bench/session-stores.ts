import connectPgSimple from 'connect-pg-simple';
import session, { type Store } from 'express-session';
import { Pool } from 'pg';

import { createRedoubt } from '../src/index.ts';
import { eventually } from '../test/support/eventually.ts';
import { preparePostgres } from '../test/support/postgres-binaries.ts';
import { type TestPostgres, createDatabase, launchPostgres } from '../test/support/postgres-server.ts';
import { type TestRedis, startRedis } from '../test/support/redis.ts';

/** A Redis, and a PostgreSQL that syncs each commit to the disk. */
export interface SessionServers extends AsyncDisposable {
  readonly redis: TestRedis;
  readonly postgres: TestPostgres;
  /** A fresh database. */
  readonly databaseUrl: string;
}

/** @param redisArgs - more arguments for redis-server */
export async function startSessionServers(redisArgs: readonly string[] = []): Promise<SessionServers> {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis({ args: redisArgs }));
  // The test kit turns these off; here they are what is measured.
  const settings = { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on', shared_buffers: '128MB' };
  const postgres = stack.use(await launchPostgres(await preparePostgres(), { settings }));
  const databaseUrl = await createDatabase(postgres.url);
  const owned = stack.move();
  return { redis, postgres, databaseUrl, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** A store under test. */
export interface OpenStore extends AsyncDisposable {
  readonly store: Store;
}

/**
 * Redoubt's store, sealed.
 *
 * @param machines - those that must be `available` before it is handed out; default both
 */
export async function openRedoubt(
  redisUrl: string,
  databaseUrl: string,
  machines: readonly string[] = ['redis', 'postgres'],
): Promise<OpenStore> {
  const redoubt = await createRedoubt({
    config: {
      log: { level: 'silent' },
      redis: { url: redisUrl },
      postgres: { url: databaseUrl },
      sessions: { secret: ['a-secret-for-the-bench-of-40-characters!'] },
    },
  });
  const isThere = (): boolean => machines.every((id) => redoubt.machines.get(id)?.state === 'available');
  await eventually(isThere, { withinMs: 20_000, what: `${machines.join(' and ')} available` });
  return { store: redoubt.sessions.store(), [Symbol.asyncDispose]: () => redoubt.close() };
}

interface NodeRedisClient {
  on(event: 'error', listener: () => void): unknown;
  connect(): Promise<unknown>;
  destroy(): void;
}

/** connect-redis on node-redis, plain JSON, with its defaults. */
export async function openConnectRedis(url: string): Promise<OpenStore> {
  const { createClient } = await peer<{ createClient(options: object): NodeRedisClient }>('redis');
  const { RedisStore } = await peer<{ RedisStore: new (options: object) => Store }>('connect-redis');
  const client = createClient({ url });
  client.on('error', () => undefined);
  await client.connect();
  return { store: new RedisStore({ client }), [Symbol.asyncDispose]: async () => client.destroy() };
}

/** connect-pg-simple, plain JSON, in a database of its own, on as many connections as Redoubt may use. */
export async function openConnectPgSimple(serverUrl: string): Promise<OpenStore> {
  const pool = new Pool({ connectionString: await createDatabase(serverUrl), max: 10 });
  // The server may go first at the end.
  pool.on('error', () => undefined);
  const PGStore = connectPgSimple(session);
  const store = new PGStore({ pool, createTableIfMissing: true, pruneSessionInterval: false });
  return { store, [Symbol.asyncDispose]: () => pool.end() };
}

/** By a name that the compiler does not follow: peers are there for the bench only. */
async function peer<T>(name: string): Promise<T> {
  try {
    return (await import(name)) as T;
  } catch (cause) {
    throw new Error(`${name} is missing: run npm ci in bench/ first`, { cause });
  }
}
