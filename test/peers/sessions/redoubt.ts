import type { RequestHandler } from 'express';
import type { SessionData, SessionOptions, Store } from 'express-session';

import { silentLogger } from '../../../src/observe/log.ts';
import { composeRedoubt } from '../../../src/redoubt.ts';
import { createMiddleware } from '../../../src/services/sessions/middleware.ts';
import { readOptions } from '../../../src/services/sessions/options.ts';
import { printOf } from '../../../src/services/sessions/print.ts';
import type { SealedStore } from '../../../src/services/sessions/store.ts';
import { eventually } from '../../support/eventually.ts';

const SECRET = 'a secret of the peers, long enough to be one';

const redoubt = await composeRedoubt({
  config: {
    redis: { url: process.env['REDIS_URL'] },
    postgres: { url: process.env['DATABASE_URL'] },
    sessions: { secret: [SECRET] },
  },
  logger: silentLogger,
});
await redoubt.settled;
await isOn('redis');
const fault = process.env['PEER_REDIS'];
if (fault !== 'up') {
  process.kill(Number(process.env['PEER_REDIS_PID']), fault === 'killed' ? 'SIGKILL' : 'SIGSTOP');
  await isOn('postgres');
}

function isOn(backend: string): Promise<boolean> {
  return eventually(() => redoubt.health.report().services.sessions.backend === backend, { withinMs: 15_000 });
}

const ours = new WeakSet<object>();

/**
 * A store as an application holds it. It counts the sessions that it was given itself, where Redoubt counts all: a peer's
 * tests expect a store that begins empty. With `--methods made` it has `all` and `clear` of them too.
 */
export function newStore(): Store {
  const store = redoubt.sessions.store() as SealedStore;
  showCalls(store);
  const ids = new Set<string>();
  const [set, length] = [store.set.bind(store), store.length.bind(store)];
  store.set = (sid, data, callback) => {
    ids.add(sid);
    set(sid, data, callback);
  };
  const found = async (): Promise<[string, SessionData][]> => {
    const read = await Promise.all([...ids].map(async (sid) => [sid, await get(store, sid)] as const));
    return read.filter((each): each is [string, SessionData] => Boolean(each[1]));
  };
  store.length = (callback) =>
    length((error) => (error ? callback(error) : tell(found(), callback, (sessions) => sessions.length)));
  if (process.env['PEER_METHODS'] === 'made') {
    store.all = (callback) => tell(found(), callback, (sessions) => Object.fromEntries(sessions) as never);
    store.clear = (callback) => {
      const ends = [...ids].map((sid) => new Promise<void>((resolve) => store.destroy(sid, () => resolve())));
      tell(Promise.all(ends), callback ?? (() => undefined), () => undefined);
    };
  }
  ours.add(store);
  return store;
}

function get(store: Store, sid: string): Promise<SessionData | null | undefined> {
  return new Promise((resolve, reject) => {
    store.get(sid, (error: unknown, data) => (error ? reject(error as Error) : resolve(data)));
  });
}

/** Calls back out of the promise, where what a test throws would be lost. */
function tell<T, R>(work: Promise<T>, callback: (error: unknown, value?: R) => void, take: (value: T) => R): void {
  work.then(
    (value) => setImmediate(callback, null, take(value)),
    (error: unknown) => setImmediate(callback, error),
  );
}

/** Has our middleware call `set` and `touch` where a test has replaced them, in the place of what it calls itself. */
function showCalls(store: SealedStore): void {
  for (const [outer, inner] of [
    ['set', 'save'],
    ['touch', 'prolong'],
  ] as const) {
    const [call, work] = [store[outer].bind(store), store[inner].bind(store)];
    // What a test has been shown, of which session: the replaced method comes back here, and some of them later.
    const shown = new WeakMap<object, string>();
    const own = (sid: string, data: SessionData, callback?: (error?: unknown) => void): void => {
      shown.set(data, printOf(data).content);
      call(sid, data, callback);
    };
    store[outer] = own;
    store[inner] = (sid, data, print) => {
      if (store[outer] === own || shown.get(data) === print.content) return work(sid, data, print);
      shown.set(data, print.content);
      return new Promise((resolve, reject) => {
        store[outer](sid, data, (error?: unknown) => (error ? reject(error as Error) : resolve()));
      });
    };
  }
}

/**
 * `redoubt.sessions.middleware()`, on a store of `newStore()` where one is given: the tests replace methods of it.
 * What express-session takes for granted and calls deprecated is said, since our defaults are others.
 */
export function newMiddleware(asked: Partial<SessionOptions> = {}): RequestHandler {
  const { store, ...given } = asked;
  const options = { resave: true, saveUninitialized: true, ...given };
  if (!store) return redoubt.sessions.middleware(options) as RequestHandler;
  // A foreign store: refused by name.
  if (!ours.has(store)) return redoubt.sessions.middleware(asked as object) as RequestHandler;
  const read = readOptions(options, { config: redoubt.config, log: silentLogger });
  return createMiddleware(store as SealedStore, { ...read, secret: given.secret ?? SECRET });
}
