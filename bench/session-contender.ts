/**
 * One store under test in a process of its own, started by sessions.ts: what it leaves to the collector, and the timers
 * that it sets, are its own cost and nobody else's. Answers each request of its parent with one message, and ends with it.
 */
import type { SessionData, Store } from 'express-session';

import { type OpenStore, openConnectPgSimple, openConnectRedis, openRedoubt } from './session-stores.ts';

export type Work = 'read' | 'read + touch' | 'write';

/** What the parent asks for. */
export type Request =
  | { readonly kind: 'round'; readonly work: Work; readonly callers: number; readonly ms: number }
  /** The last number that was acknowledged for each session. */
  | { readonly kind: 'written' };

/** The contenders, by what their users call them. */
const OPEN: Readonly<Record<string, (redisUrl: string, databaseUrl: string) => Promise<OpenStore>>> = {
  redoubt: (redisUrl, databaseUrl) => openRedoubt(redisUrl, databaseUrl),
  'connect-redis': (redisUrl) => openConnectRedis(redisUrl),
  'connect-pg-simple': (_, databaseUrl) => openConnectPgSimple(databaseUrl),
};
const SESSIONS_PER_CALLER = 10;
/** About what a login, a CSRF token and a basket take. */
const FILLER = 'x'.repeat(400);

type Session = SessionData & { n: number; filler: string };

const WORKS: Readonly<Record<Work, (store: Store, sid: string, session: Session) => Promise<unknown>>> = {
  read: async (store, sid) => {
    const found = await call((done) => store.get(sid, done));
    if (!found) throw new Error(`${sid} is gone, so that nothing would be measured`);
  },
  // What express-session asks for a request that changes nothing.
  'read + touch': async (store, sid, session) => {
    await call((done) => store.get(sid, done));
    await call((done) => store.touch?.(sid, session, done as () => void));
  },
  write: (store, sid, session) => {
    session.n += 1;
    return call((done) => store.set(sid, session, done));
  },
};

const [name = '', redisUrl = '', databaseUrl = '', mostCallers = ''] = process.argv.slice(2);
const open = OPEN[name];
if (!open || !process.send) throw new Error('session-contender.ts is started by sessions.ts');
const { store } = await open(redisUrl, databaseUrl);
const sessions = await prepare(Number(mostCallers));
process.on('message', (request: Request) => {
  if (request.kind === 'written') process.send?.(sessions.map(([sid, { n }]) => [sid, n]));
  else void measure(request.callers, request.ms, WORKS[request.work]).then((rate) => process.send?.(rate));
});
process.on('disconnect', () => process.exit());
process.send('ready');

/** Calls per second of `callers` that each wait for an answer before asking again. */
async function measure(callers: number, ms: number, work: (typeof WORKS)[Work]): Promise<number> {
  const startedAt = performance.now();
  let done = 0;
  await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      for (let i = 0; performance.now() - startedAt < ms; i += 1) {
        // Each caller has sessions of its own: a conflict is another question than speed.
        const [sid, session] = sessions[caller * SESSIONS_PER_CALLER + (i % SESSIONS_PER_CALLER)]!;
        await work(store, sid, session);
        done += 1;
      }
    }),
  );
  return (done * 1000) / (performance.now() - startedAt);
}

/** Saves sessions and loads them again as express-session would, so that a store knows which version it gave out. */
async function prepare(callers: number): Promise<readonly (readonly [string, Session])[]> {
  const cookie = { originalMaxAge: 3_600_000, expires: new Date(Date.now() + 3_600_000) };
  const prepareOne = async (sid: string): Promise<readonly [string, Session]> => {
    await call((done) => store.set(sid, { cookie, n: 0, filler: FILLER } as unknown as Session, done));
    return [sid, (await call((done) => (store as unknown as Loader).load(sid, done))) as Session];
  };
  const made: (readonly [string, Session])[] = [];
  for (let i = 0; i < SESSIONS_PER_CALLER; i += 1) {
    const sids = Array.from({ length: callers }, (_, caller) => `${name}-${i}-${caller}-0123456789abcdef`);
    made.push(...(await Promise.all(sids.map(prepareOne))));
  }
  return made;
}

interface Loader {
  load(sid: string, done: (error: unknown, session?: unknown) => void): void;
}

function call(work: (done: (error?: unknown, value?: unknown) => void) => unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    work((error, value) => (error ? reject(error as Error) : resolve(value)));
  });
}
