import { type Server, createServer } from 'node:http';

import connectPgSimple from 'connect-pg-simple';
import { RedisStore } from 'connect-redis';
import express, { type RequestHandler } from 'express';
import session, { type Store } from 'express-session';
import { Pool } from 'pg';
import { createClient } from 'redis';

import { listen } from '../../src/server/listen.ts';
import type { TestRedis } from '../support/redis.ts';
import type { Data } from './sessions-rig.ts';

export const SECRET = 'the secret of the old and of the new servers';

/** The stores that applications use before they move to Redoubt. */
export const OLD_STORES = ['connect-pg-simple', 'connect-redis'] as const;
export type OldStoreName = (typeof OLD_STORES)[number];

/** An old store on a database and a Redis of one test. */
export interface OldStore extends AsyncDisposable {
  readonly store: Store;
  /** What `sessions.adopt` must say for Redoubt to find its sessions. */
  readonly window: { readonly postgres?: boolean; readonly redisPrefix?: string };
  readonly share: 'postgres' | 'redis';
  /** Sessions that lie there in the clear, as text. */
  lying(): Promise<string[]>;
}

/** One application on one session middleware, over HTTP. */
export interface App extends AsyncDisposable {
  readonly url: string;
}

/** @param table - `schema.table` or a table, in connect-pg-simple's default database layout */
export async function openOldStore(
  name: OldStoreName,
  { redis, database, table = 'session' }: { redis: TestRedis; database: string; table?: string },
): Promise<OldStore> {
  if (name === 'connect-redis') {
    const client = createClient({ url: redis.url });
    client.on('error', () => undefined);
    await client.connect();
    return {
      store: new RedisStore({ client, prefix: 'sess:' }),
      window: { redisPrefix: 'sess:' },
      share: 'redis',
      lying: async () => {
        const keys = await client.keys('sess:*');
        return keys.length === 0 ? [] : (await client.mGet(keys)).map(String);
      },
      [Symbol.asyncDispose]: async () => client.destroy(),
    };
  }
  const pool = new Pool({ connectionString: database });
  const [tableName = table, schemaName] = table.split('.', 2).toReversed();
  if (schemaName) await pool.query(`create schema if not exists ${schemaName}`);
  const PgStore = connectPgSimple(session);
  const where = schemaName ? { tableName, schemaName } : { tableName };
  const store = new PgStore({ pool, ...where, createTableIfMissing: true, pruneSessionInterval: false });
  await new Promise((resolve) => store.get('nobody', resolve));
  return {
    store,
    window: { postgres: true },
    share: 'postgres',
    lying: async () => {
      const { rows } = await pool.query<{ sess: object }>(`select sess from ${table} where sess::text <> '{}'`);
      return rows.map(({ sess }) => JSON.stringify(sess));
    },
    [Symbol.asyncDispose]: () => pool.end(),
  };
}

/** express-session as an old server has it. */
export function oldMiddleware(store: Store, secret: string | string[] = SECRET): RequestHandler {
  return session({ secret, store, resave: false, saveUninitialized: false, cookie: { maxAge: 60_000 } });
}

/** The same application, whoever keeps its sessions. */
export async function serve(middleware: RequestHandler): Promise<App> {
  const app = express();
  app.use(middleware);
  app.post('/login', (req, res) => {
    Object.assign(dataOf(req), { user: req.query['user'], visits: 0 });
    res.sendStatus(204);
  });
  app.post('/visit', (req, res) => {
    const data = dataOf(req);
    if (data.user === undefined) return void res.sendStatus(401);
    data.visits = (data.visits ?? 0) + 1;
    return void res.json({ user: data.user, visits: data.visits });
  });
  app.get('/me', (req, res) => {
    const { user, visits } = dataOf(req);
    return user === undefined ? void res.sendStatus(401) : void res.json({ user, visits });
  });
  app.post('/logout', (req, res) => {
    req.session.destroy((error: unknown) => void res.sendStatus(error ? 503 : 204));
  });
  app.use(((error: { status?: number }, _req, res, _next) => {
    res.sendStatus(error.status ?? 500);
  }) satisfies express.ErrorRequestHandler);
  const server: Server = createServer(app);
  const url = await listen(server, '127.0.0.1', 0);
  return {
    url,
    [Symbol.asyncDispose]: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function dataOf(req: express.Request): Data {
  return req.session as unknown as Data;
}

/** What an application answered. */
export interface Answer {
  readonly status: number;
  readonly user?: string;
  readonly visits?: number;
}

/** A user with a browser that keeps the cookie. */
export class User {
  cookie = '';

  static async signIn(app: App, name = 'ann'): Promise<User> {
    const user = new User();
    const { status } = await user.post(app, `/login?user=${name}`);
    if (status !== 204) throw new Error(`The login was answered ${status}`);
    return user;
  }

  /** The session id in the cookie. */
  get sid(): string {
    return /=s%3A([^.]+)\./.exec(this.cookie)?.[1] ?? '';
  }

  me(app: App): Promise<Answer> {
    return this.#send(app, 'GET', '/me');
  }

  visit(app: App): Promise<Answer> {
    return this.post(app, '/visit');
  }

  signOut(app: App): Promise<Answer> {
    return this.post(app, '/logout');
  }

  post(app: App, path: string): Promise<Answer> {
    return this.#send(app, 'POST', path);
  }

  async #send(app: App, method: string, path: string): Promise<Answer> {
    const headers = this.cookie === '' ? {} : { Cookie: this.cookie };
    const answer = await fetch(app.url + path, { method, headers, signal: AbortSignal.timeout(10_000) });
    const [set] = answer.headers.getSetCookie();
    if (set) this.cookie = set.split(';', 1)[0] ?? '';
    const isJson = answer.headers.get('Content-Type')?.includes('application/json');
    return { status: answer.status, ...(isJson ? ((await answer.json()) as Omit<Answer, 'status'>) : {}) };
  }
}
