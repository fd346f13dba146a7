import { createDatabase, launchPostgres } from '../test/support/postgres-server.ts';
import { preparePostgres } from '../test/support/postgres-binaries.ts';
import { type Hop, startHop } from '../test/support/hop.ts';
import { type TestRedis, startRedis } from '../test/support/redis.ts';
import { type TestServer, startServer } from '../test/support/server.ts';

/** A server from the sources with a real Redis behind a hop and a real PostgreSQL, all owned by the caller. */
export interface Bench extends AsyncDisposable {
  readonly redis: TestRedis;
  readonly hop: Hop;
  readonly server: TestServer;
  readonly postgres: Awaited<ReturnType<typeof launchPostgres>>;
  /** State of the Redis machine, as /health tells it. */
  state(): Promise<string>;
  /** Milliseconds until the state is `state` or below it. */
  timeTo(state: string, withinMs: number): Promise<number>;
}

export async function startBench(): Promise<Bench> {
  const stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis());
  const hop = stack.use(await startHop({ to: redis.port }));
  const postgres = stack.use(await launchPostgres(await preparePostgres(), {}));
  const server = stack.use(
    await startServer({
      env: {
        REDIS_URL: hop.url(),
        DATABASE_URL: await createDatabase(postgres.url),
        SESSION_SECRET: 'a-secret-for-the-bench-of-40-characters!',
        LOG_LEVEL: 'warn',
      },
    }),
  );
  const state = async (): Promise<string> => {
    const { body } = await server.health();
    return (body['machines'] as Record<string, { state: string }>)['redis']?.state ?? '';
  };
  return {
    redis,
    hop,
    server,
    postgres,
    state,
    timeTo: async (wanted, withinMs) => {
      const startedAt = performance.now();
      for (;;) {
        const now = await state();
        if (now === wanted || now.startsWith(`${wanted}.`)) return performance.now() - startedAt;
        if (performance.now() - startedAt > withinMs)
          throw new Error(`still ${now}, not ${wanted}, after ${withinMs} ms`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
