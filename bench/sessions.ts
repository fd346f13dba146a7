/**
 * Redoubt's sessions against connect-redis and connect-pg-simple, through express-session's own store interface,
 * in one run: sealed, each acknowledged write in a PostgreSQL with fsync on. Rounds are interleaved, so that what
 * the machine does meanwhile hits all alike; a ratio is made within its round, and the median of them counts.
 * `node sessions.ts [rounds] [milliseconds of a round]`; npm ci in bench/ first.
 */
import type { SessionData, Store } from 'express-session';

import {
  type OpenStore,
  openConnectPgSimple,
  openConnectRedis,
  openRedoubt,
  startSessionServers,
} from './session-stores.ts';

const rounds = Number(process.argv[2] ?? 7);
const roundMs = Number(process.argv[3] ?? 400);
const CALLERS = [20, 100];
const SESSIONS_PER_CALLER = 10;
/** About what a login, a CSRF token and a basket take. */
const FILLER = 'x'.repeat(400);

type Session = SessionData & { n: number; filler: string };
type Work = (store: Store, sid: string, session: Session) => Promise<unknown>;

const WORKS: Readonly<Record<string, Work>> = {
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

await using servers = await startSessionServers();
const { redis, postgres, databaseUrl } = servers;
const sessions = new Map<string, Map<string, Session>>();
const rows: Record<string, string | number>[] = [];
{
  await using redoubt = await openRedoubt(redis.url, databaseUrl);
  await using connectRedis = await openConnectRedis(redis.url);
  await using connectPgSimple = await openConnectPgSimple(postgres.url);
  const stores = { 'connect-redis': connectRedis, redoubt, 'connect-pg-simple': connectPgSimple };
  for (const [name, open] of Object.entries(stores)) sessions.set(name, await prepare(name, open));
  for (const callers of CALLERS) {
    for (const [what, work] of Object.entries(WORKS)) rows.push(await compare(stores, callers, what, work));
  }
}
console.table(rows);
console.log(`median of ${rounds} interleaved rounds of ${roundMs} ms; ratios to connect-redis in the same round`);
console.log(await proveDurable());

async function compare(
  stores: Readonly<Record<string, OpenStore>>,
  callers: number,
  what: string,
  work: Work,
): Promise<Record<string, string | number>> {
  const rates: Record<string, number[]> = {};
  const order = Object.keys(stores);
  // The first round warms up and does not count.
  for (let round = 0; round <= rounds; round += 1) {
    for (const name of order) {
      const rate = await measure(name, stores[name]!.store, callers, work);
      if (round > 0) (rates[name] ??= []).push(rate);
    }
    order.push(order.shift()!);
  }
  const base = rates['connect-redis'] ?? [];
  const ratio = (name: string): number => hundredth(median((rates[name] ?? []).map((rate, i) => rate / base[i]!)));
  const spread = (rates['redoubt'] ?? []).map((rate, i) => hundredth(rate / base[i]!)).toSorted((a, b) => a - b);
  return {
    callers,
    what,
    'connect-redis/s': Math.round(median(base)),
    'redoubt/s': Math.round(median(rates['redoubt'] ?? [])),
    redoubt: ratio('redoubt'),
    'from … to': `${spread[0]} … ${spread.at(-1)}`,
    'connect-pg-simple': ratio('connect-pg-simple'),
  };
}

/** Calls per second of `callers` that each wait for an answer before asking again. */
async function measure(name: string, store: Store, callers: number, work: Work): Promise<number> {
  const own = [...sessions.get(name)!];
  const startedAt = performance.now();
  let done = 0;
  await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      for (let i = 0; performance.now() - startedAt < roundMs; i += 1) {
        // Each caller has sessions of its own: a conflict is another question than speed.
        const [sid, session] = own[caller * SESSIONS_PER_CALLER + (i % SESSIONS_PER_CALLER)]!;
        await work(store, sid, session);
        done += 1;
      }
    }),
  );
  return (done * 1000) / (performance.now() - startedAt);
}

/** Saves sessions and loads them again as express-session would, so that a store knows which version it gave out. */
async function prepare(name: string, { store }: OpenStore): Promise<Map<string, Session>> {
  const cookie = { originalMaxAge: 3_600_000, expires: new Date(Date.now() + 3_600_000) };
  const prepareOne = async (sid: string): Promise<readonly [string, Session]> => {
    await call((done) => store.set(sid, { cookie, n: 0, filler: FILLER } as unknown as Session, done));
    return [sid, (await call((done) => (store as unknown as Loader).load(sid, done))) as Session];
  };
  const made: (readonly [string, Session])[] = [];
  for (let i = 0; i < SESSIONS_PER_CALLER; i += 1) {
    const sids = Array.from({ length: Math.max(...CALLERS) }, (_, caller) => `${name}-${i}-${caller}-0123456789abcdef`);
    made.push(...(await Promise.all(sids.map(prepareOne))));
  }
  return new Map(made);
}

interface Loader {
  load(sid: string, done: (error: unknown, session?: unknown) => void): void;
}

/** After a crash of PostgreSQL and the loss of Redis: is each session what was last acknowledged? */
async function proveDurable(): Promise<string> {
  await redis.kill();
  await postgres.stop();
  await postgres.start();
  await using again = await openRedoubt(redis.url, databaseUrl, ['postgres']);
  let missing = 0;
  for (const [sid, { n }] of sessions.get('redoubt')!) {
    const found = (await call((done) => again.store.get(sid, done))) as Session | undefined;
    if (found?.n !== n) missing += 1;
  }
  return `acknowledged writes missing after Redis was lost and PostgreSQL crashed: ${missing}`;
}

function call(work: (done: (error?: unknown, value?: unknown) => void) => unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    work((error, value) => (error ? reject(error as Error) : resolve(value)));
  });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

function hundredth(value: number): number {
  return Math.round(value * 100) / 100;
}
