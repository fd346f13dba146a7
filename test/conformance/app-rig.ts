import { composeRedoubt, type ComposedRedoubt } from '../../src/redoubt.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Logger } from '../../src/observe/log.ts';
import { createServerApp } from '../../src/server/app.ts';
import { listen } from '../../src/server/listen.ts';
import { shutDown } from '../../src/shutdown.ts';
import { startRedis } from '../support/redis.ts';
import { sharedDatabase } from '../support/postgres.ts';

const REQUEST_DEADLINE_MS = 5000;
/** Where nothing listens. */
const NO_REDIS = 'redis://127.0.0.1:1';

/** A Redoubt server in this process, on a free port. */
export interface AppRig extends AsyncDisposable {
  readonly redoubt: ComposedRedoubt;
  readonly url: string;
  /** Everything that was logged, as JSON. */
  readonly logged: readonly string[];
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** The same, with a JSON body. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  shutDown(): Promise<boolean>;
}

/** What stands behind a server: Redis and PostgreSQL, or neither. */
export const BACKINGS = ['Redis and PostgreSQL', 'neither Redis nor PostgreSQL'] as const;

export interface Backing extends AsyncDisposable {
  readonly config: Readonly<Record<string, object>>;
  readonly redis: Awaited<ReturnType<typeof startRedis>> | undefined;
}

export async function startBacking(backing: (typeof BACKINGS)[number]): Promise<Backing> {
  if (backing !== 'Redis and PostgreSQL') {
    const config = { redis: { url: NO_REDIS }, postgres: { url: 'none' } };
    return { config, redis: undefined, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const redis = await startRedis();
  const config = { redis: { url: redis.url }, postgres: { url: await sharedDatabase() } };
  return { config, redis, [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose]() };
}

/** Starts a server; it does not wait for what stands behind it. */
export async function startApp(config: object): Promise<AppRig> {
  const logged: string[] = [];
  const logger = keepLog(logged);
  const redoubt = await composeRedoubt({ config, logger });
  const server = await createServerApp({ redoubt, log: logger, cwd: process.cwd() }).catch(async (error: unknown) => {
    await redoubt.close();
    throw error;
  });
  const url = await listen(server.http, '127.0.0.1', 0);
  const parts = {
    ...server,
    servers: [server.http, server.io],
    redoubt,
    config: redoubt.config,
    log: logger,
    clock: systemClock,
    random: Math.random,
  };
  let stopped: Promise<boolean> | undefined;
  const stop = (): Promise<boolean> => (stopped ??= shutDown(parts));
  const request = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(url + path, { signal: AbortSignal.timeout(REQUEST_DEADLINE_MS), ...init });
  return {
    redoubt,
    url,
    logged,
    fetch: request,
    post: (path, body, headers = {}) =>
      request(path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...headers },
        body: JSON.stringify(body),
      }),
    shutDown: stop,
    [Symbol.asyncDispose]: async () => void (await stop()),
  };
}

/** Body of a JSON answer. */
export async function jsonOf(answer: Response): Promise<Record<string, unknown>> {
  return (await answer.json()) as Record<string, unknown>;
}

function keepLog(lines: string[]): Logger {
  const keep = (facts: object, text: string): void => void lines.push(JSON.stringify([facts, text]));
  const logger: Logger = { debug: keep, info: keep, warn: keep, error: keep, child: () => logger };
  return logger;
}
