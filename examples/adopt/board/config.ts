const { env } = process;

/** What both servers are told from outside. */
export const config = {
  host: env.HOST ?? '127.0.0.1',
  port: Number(env.PORT ?? 3000),
  databaseUrl: env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres',
  redisUrl: env.REDIS_URL ?? 'redis://127.0.0.1:6379',
  sessionSecret: env.SESSION_SECRET ?? 'a secret for a board on one desk alone',
};
