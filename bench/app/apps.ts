import express, { type Express } from 'express';
import session from 'express-session';
import { Redis } from 'ioredis';

import { createRedoubt } from '../../src/index.ts';
import { eventually } from '../../test/support/eventually.ts';
import { openConnectPgSimple, openConnectRedis } from '../session-stores.ts';

/** What an application is built of: its sessions, and where its items come from. */
interface Parts {
  readonly sessions: express.RequestHandler;
  readonly item: (id: string) => Promise<Item>;
}

interface Item {
  readonly id: string;
  readonly text: string;
}

/** Whole applications: alike but for where sessions lie and, for Redoubt, where items are cached. */
export const APPS = {
  stock: async (redisUrl) => {
    const { store } = await openConnectRedis(redisUrl);
    return { sessions: stockSessions(store), item: cacheAside(redisUrl) };
  },
  'pg-simple': async (redisUrl, databaseUrl) => {
    const { store } = await openConnectPgSimple(databaseUrl);
    return { sessions: stockSessions(store), item: cacheAside(redisUrl) };
  },
  // What no shared store can beat: nothing leaves the process.
  memory: () => {
    const items = new Map<string, Item>();
    const item = async (id: string): Promise<Item> => {
      const found = items.get(id) ?? (await loadItem(id));
      items.set(id, found);
      return found;
    };
    return Promise.resolve({ sessions: stockSessions(new session.MemoryStore()), item });
  },
  redoubt: (redisUrl, databaseUrl) => openRedoubt(createRedoubt, redisUrl, databaseUrl),
  library: async (redisUrl, databaseUrl, library) => {
    const other = (await import(library)) as { createRedoubt: typeof createRedoubt };
    return openRedoubt(other.createRedoubt, redisUrl, databaseUrl);
  },
} as const satisfies Record<string, (redisUrl: string, databaseUrl: string, library: string) => Promise<Parts>>;

/** An application, by what its sessions lie on. */
export type AppName = keyof typeof APPS;

const SECRET = 'a-secret-for-the-bench-of-40-characters!';
const TTL_S = 600;
/** With a maxAge: each save and touch has an end to tell. */
const COOKIE = { maxAge: 86_400_000, sameSite: 'lax' } as const;
/** About what a login, a CSRF token and a basket take. */
const TOKEN = 'x'.repeat(400);
const ITEM_TEXT = 'x'.repeat(1000);

/** What the application keeps in a session. */
interface Content {
  user: string;
  visits: number;
  token: string;
}

/** The application: `POST /login`, `GET /session`, `POST /visit`, `GET /item/:id`, `GET /page/:id`. */
export function createApp({ sessions, item }: Parts): Express {
  const app = express();
  app.get('/item/:id', async (req, res) => void res.json(await item(req.params.id)));
  app.use(sessions);
  app.post('/login', (req, res) => {
    Object.assign(req.session, { user: 'somebody', visits: 0, token: TOKEN } satisfies Content);
    res.json({ user: 'somebody' });
  });
  app.get('/session', (req, res) => {
    const { user, visits } = contentOf(req);
    res.json({ user, visits });
  });
  app.get('/page/:id', async (req, res) => {
    const found = await item(req.params.id);
    const { user, visits } = contentOf(req);
    res.json({ user, visits, item: found });
  });
  app.post('/visit', (req, res) => {
    const content = contentOf(req);
    content.visits += 1;
    res.json({ visits: content.visits });
  });
  return app;
}

async function openRedoubt(create: typeof createRedoubt, redisUrl: string, databaseUrl: string): Promise<Parts> {
  const redoubt = await create({
    config: {
      log: { level: 'silent' },
      redis: { url: redisUrl },
      postgres: { url: databaseUrl },
      sessions: { secret: [SECRET] },
    },
  });
  const isThere = (): boolean => ['redis', 'postgres'].every((id) => redoubt.machines.get(id)?.state === 'available');
  await eventually(isThere, { withinMs: 20_000, what: 'redis and postgres available' });
  const item = (id: string): Promise<Item> =>
    redoubt.cache.getOrSet(`item:${id}`, () => loadItem(id), { ttlMs: TTL_S * 1000 });
  return { sessions: redoubt.sessions.middleware({ cookie: COOKIE }), item };
}

function contentOf(req: express.Request): Content {
  return req.session as unknown as Content;
}

function stockSessions(store: session.Store): express.RequestHandler {
  return session({ store, secret: SECRET, resave: false, saveUninitialized: false, cookie: COOKIE });
}

/** As the guides have it: look in Redis, else load and put it there. */
function cacheAside(url: string): (id: string) => Promise<Item> {
  const redis = new Redis(url);
  return async (id) => {
    const found = await redis.get(`item:${id}`);
    if (found !== null) return JSON.parse(found) as Item;
    const loaded = await loadItem(id);
    await redis.set(`item:${id}`, JSON.stringify(loaded), 'EX', TTL_S);
    return loaded;
  };
}

function loadItem(id: string): Promise<Item> {
  return Promise.resolve({ id, text: ITEM_TEXT });
}
