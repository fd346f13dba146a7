import { setTimeout as delay } from 'node:timers/promises';

import type { SessionData } from 'express-session';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { recordId } from '../../src/services/sessions/record.ts';
import { sharedDatabase } from '../support/postgres.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';
import {
  type App,
  OLD_STORES,
  SECRET,
  type OldStore,
  User,
  oldMiddleware,
  openOldStore,
  serve,
} from './old-app-rig.ts';
import { SessionsRig } from './sessions-rig.ts';

let redis: TestRedis;
let database: string;
const opened: AsyncDisposable[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
beforeEach(async () => {
  if (!redis.running) await redis.restart();
  await redis.client().flushall();
  database = await sharedDatabase();
});
afterEach(async () => {
  for (const one of opened.splice(0).toReversed()) await one[Symbol.asyncDispose]();
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

function own<T extends AsyncDisposable>(one: T): T {
  opened.push(one);
  return one;
}

async function openOld(name: (typeof OLD_STORES)[number], table?: string): Promise<OldStore> {
  return own(await openOldStore(name, { redis, database, ...(table === undefined ? {} : { table }) }));
}

/** Redoubt on the same Redis and database, with a window; instances of one test are one fleet. */
async function startNew(adopt: object, sessions: object = {}): Promise<{ rig: SessionsRig; app: App }> {
  const options = { redis, database, keyPrefix: 'new:', sessions: { secret: SECRET, ...sessions, adopt } };
  const rig = own(await SessionsRig.start(options));
  await rig.postgresBack();
  await rig.redisBack();
  return { rig, app: own(await serve(rig.sessions.middleware())) };
}

const set = (old: OldStore, sid: string, data: object): Promise<void> =>
  new Promise((resolve, reject) => {
    old.store.set(sid, data as SessionData, (error: unknown) => (error ? reject(error as Error) : resolve()));
  });

const get = (old: OldStore, sid: string): Promise<SessionData | null | undefined> =>
  new Promise((resolve, reject) => {
    old.store.get(sid, (error: unknown, data) => (error ? reject(error as Error) : resolve(data)));
  });

const cookie = { originalMaxAge: 60_000, expires: new Date(Date.now() + 60_000).toISOString() };

describe.each(OLD_STORES)('sessions of %s', (name) => {
  it('are served on the same cookie, sealed, and lie in the clear no longer', async () => {
    const old = await openOld(name);
    const oldApp = own(await serve(oldMiddleware(old.store)));
    const users = await Promise.all(['ann', 'bob', 'cid'].map((user) => User.signIn(oldApp, user)));
    await users[0]?.visit(oldApp);
    const { rig, app } = await startNew(old.window);

    const answers = await Promise.all(users.map((user) => user.me(app)));

    expect(answers).toEqual([
      { status: 200, user: 'ann', visits: 1 },
      { status: 200, user: 'bob', visits: 0 },
      { status: 200, user: 'cid', visits: 0 },
    ]);
    expect(await old.lying()).toEqual([]);
    expect(rig.counters['adopted']).toBe(3);
    const rows = await rig.rows();
    expect(rows.map(({ sid }) => sid).toSorted()).toEqual(users.map(({ sid }) => recordId(sid)).toSorted());
    expect(rows.every(({ box }) => box !== null)).toBe(true);
    expect(await users[0]?.visit(app)).toEqual({ status: 200, user: 'ann', visits: 2 });
  });

  it('are never read, nor removed, while no window is open', async () => {
    const old = await openOld(name);
    const oldApp = own(await serve(oldMiddleware(old.store)));
    const user = await User.signIn(oldApp);
    const { app } = await startNew({});
    const { app: late } = await startNew({ ...old.window, until: '2020-01-01T00:00:00Z' });
    expect(await user.me(app)).toEqual({ status: 401 });
    expect(await user.me(late)).toEqual({ status: 401 });
    expect(await user.me(oldApp)).toEqual({ status: 200, user: 'ann', visits: 0 });
  });

  it('become one record when many requests on two instances adopt one at once', async () => {
    const old = await openOld(name);
    const { rig: a, app: first } = await startNew(old.window);
    const { rig: b, app: second } = await startNew(old.window);
    for (let round = 0; round < 20; round += 1) {
      const sid = `session-${round}`;
      await set(old, sid, { user: 'ann', visits: round, cookie });
      const loads = Array.from({ length: 8 }, (_, i) => (i % 2 === 0 ? a : b).load(sid));
      const seen = await Promise.all(loads);
      expect(seen.map((data) => data?.visits)).toEqual(Array.from({ length: 8 }, () => round));
      // Each request has an object of its own.
      expect(new Set(seen).size).toBe(8);
    }
    const { rows } = await a.sql.query<{ version: string }>('select version from session where box is not null');
    expect(rows.map(({ version }) => Number(version))).toEqual(Array.from({ length: 20 }, () => 1));
    expect((a.counters['adopted'] ?? 0) + (b.counters['adopted'] ?? 0)).toBe(20);
    expect(await old.lying()).toEqual([]);
    expect([first.url, second.url]).toHaveLength(2);
  });

  it('stay ended when an old server writes one again after its logout', async () => {
    const old = await openOld(name);
    const oldApp = own(await serve(oldMiddleware(old.store)));
    const user = await User.signIn(oldApp);
    const { rig, app } = await startNew(old.window);
    const { app: other } = await startNew(old.window);
    await user.me(app);
    await user.signOut(app);
    await set(old, user.sid, { user: 'ann', visits: 9, cookie });
    expect(await user.me(app)).toEqual({ status: 401 });
    await set(old, user.sid, { user: 'ann', visits: 9, cookie });
    expect(await user.me(other)).toEqual({ status: 401 });
    expect(await rig.load(user.sid)).toBeUndefined();
    expect(await old.lying()).toEqual([]);
  });

  it('stay ended when the logout comes before any of it was adopted', async () => {
    const old = await openOld(name);
    const { rig } = await startNew(old.window);
    await set(old, 'sid', { user: 'ann', cookie });
    await rig.destroy('sid');
    expect(await old.lying()).toEqual([]);
    await set(old, 'sid', { user: 'ann', cookie });
    expect(await rig.load('sid')).toBeUndefined();
  });

  it('are not looked at once sealed, whatever an old server writes', async () => {
    const old = await openOld(name);
    const { rig } = await startNew(old.window);
    await set(old, 'sid', { user: 'ann', cookie });
    await rig.load('sid');
    await set(old, 'sid', { user: 'mallory', cookie });
    expect((await rig.load('sid'))?.user).toBe('ann');
    const { rig: fresh } = await startNew(old.window);
    expect((await fresh.load('sid'))?.user).toBe('ann');
  });

  it('never stand in for a record that does not open', async () => {
    const old = await openOld(name);
    const { rig } = await startNew(old.window, { secret: 'another secret of more than thirty-two characters' });
    await rig.save('sid', { user: 'ann' });
    await set(old, 'sid', { user: 'mallory', cookie });
    const { rig: other } = await startNew(old.window);
    expect(await other.load('sid')).toBeUndefined();
    expect(other.counters['openFailures']).toBe(1);
    expect(await old.lying()).toHaveLength(1);
  });

  it('are no reason to fail where what lies there is no session', async () => {
    const old = await openOld(name);
    const { rig } = await startNew(old.window);
    await set(old, 'sid', { user: 'ann' });
    await rig.inspect.set('sess:text', 'O:8:"stdClass":0:{}');
    expect(await rig.load('sid')).toBeUndefined();
    expect(await rig.load('text')).toBeUndefined();
  });

  it('keep how long they live', async () => {
    const old = await openOld(name);
    const { rig } = await startNew(old.window);
    const expires = new Date(Date.now() + 7_200_000).toISOString();
    await set(old, 'sid', { user: 'ann', cookie: { originalMaxAge: 7_200_000, expires } });
    await rig.load('sid');
    const [row] = await rig.rows();
    expect(row?.life).toBeGreaterThan(7_100);
    expect(row?.life).toBeLessThan(7_210);
  });
});

describe('a session that may be somewhere which does not answer', () => {
  it('under connect-redis keys is neither taken for missing nor replaced while Redis is gone', async () => {
    const old = await openOld('connect-redis');
    const oldApp = own(await serve(oldMiddleware(old.store)));
    const user = await User.signIn(oldApp);
    const { cookie: before } = user;
    const { rig, app } = await startNew(old.window);
    rig.redisLost();
    expect(await user.post(app, '/login?user=mallory')).toMatchObject({ status: 503 });
    expect(user.cookie).toBe(before);
    await rig.redisBack();
    expect(await user.me(app)).toEqual({ status: 200, user: 'ann', visits: 0 });
  });

  it('is left in the clear while PostgreSQL is gone: a logout may lie there', async () => {
    const old = await openOld('connect-redis');
    const oldApp = own(await serve(oldMiddleware(old.store)));
    const [user, gone] = [await User.signIn(oldApp), await User.signIn(oldApp, 'bob')];
    const { rig, app } = await startNew(old.window);
    await gone.signOut(app);
    await set(old, gone.sid, { user: 'bob', cookie });
    // Another epoch, which has no copy of the tombstone.
    await rig.inspect.flushall();
    await set(old, gone.sid, { user: 'bob', cookie });
    await set(old, user.sid, { user: 'ann', visits: 0, cookie });
    const { rig: fresh, app: second } = await startNew(old.window);
    fresh.postgresLost();
    expect((await gone.me(second)).status).toBe(503);
    expect((await user.me(second)).status).toBe(503);
    expect(await old.lying()).toHaveLength(2);
    await fresh.postgresBack();
    expect((await gone.me(second)).status).toBe(401);
    expect(await user.me(app)).toMatchObject({ status: 200, user: 'ann' });
  });
});

describe('a session that both old stores hold', () => {
  it.each([
    { later: 'connect-redis', laterMs: 120_000, earlier: 'connect-pg-simple' },
    { later: 'connect-pg-simple', laterMs: 120_000, earlier: 'connect-redis' },
    // As old as the other: Redis may have come back with an old snapshot.
    { later: 'connect-pg-simple', laterMs: 60_000, earlier: 'connect-redis' },
  ] as const)('is taken from $later, where it was saved last ($laterMs)', async ({ later, laterMs, earlier }) => {
    const now = Date.now();
    const stores = { [later]: await openOld(later), [earlier]: await openOld(earlier) };
    const save = (name: typeof later | typeof earlier, ms: number): Promise<void> =>
      set(stores[name]!, 'sid', { user: name, cookie: { originalMaxAge: 60_000, expires: new Date(now + ms) } });
    await save(earlier, 60_000);
    await save(later, laterMs);
    const { rig } = await startNew({ postgres: true, redisPrefix: 'sess:' });
    expect((await rig.load('sid'))?.user).toBe(later);
    for (const old of Object.values(stores)) expect(await old.lying()).toEqual([]);
  });
});

describe('plaintext that changes between the look and the sealing', () => {
  it('is not removed with what was sealed, and not looked at either', async () => {
    const old = await openOld('connect-pg-simple');
    const { rig } = await startNew(old.window);
    await set(old, 'sid', { user: 'ann', visits: 1, cookie });
    // Between the read and the removal: as the sealed row arrives, an old server's write does too.
    await rig.sql.query(
      `create function late() returns trigger language plpgsql as $$ begin
         update session set sess = jsonb_set(sess::jsonb, '{visits}', '2')::json where sid = 'sid'; return new;
       end $$`,
    );
    await rig.sql.query(
      'create trigger late after insert on session for each row when (new.box is not null) execute function late()',
    );
    expect((await rig.load('sid'))?.visits).toBe(1);
    expect(await old.lying()).toHaveLength(1);
    expect((await rig.load('sid'))?.visits).toBe(1);
    await rig.destroy('sid');
    expect(await old.lying()).toEqual([]);
  });
});

describe('a table in a schema of its own', () => {
  it('is adopted as it stands', async () => {
    const old = await openOld('connect-pg-simple', 'app.user_sessions');
    const oldApp = own(await serve(oldMiddleware(old.store)));
    const user = await User.signIn(oldApp);
    const { app } = await startNew(old.window, { table: 'app.user_sessions' });
    expect(await user.me(app)).toEqual({ status: 200, user: 'ann', visits: 0 });
    expect(await old.lying()).toEqual([]);
  });
});

describe.each(OLD_STORES)('old servers on %s and new ones side by side', (name) => {
  const side = async (): Promise<{ old: OldStore; oldApp: App; rig: SessionsRig; app: App }> => {
    const old = await openOld(name);
    const oldApp = own(await serve(oldMiddleware(old.store)));
    return { old, oldApp, ...(await startNew({ ...old.window, share: old.share })) };
  };

  it('serve each other’s sessions without stickiness, and nobody is logged out', async () => {
    const { old, oldApp, app } = await side();
    const { app: third } = await startNew({ ...old.window, share: old.share });
    const users = await Promise.all(
      Array.from({ length: 12 }, (_, i) => User.signIn([oldApp, app, third][i % 3]!, `user-${i}`)),
    );
    for (let round = 1; round <= 6; round += 1) {
      const answers = await Promise.all(users.map((user, i) => user.visit([oldApp, app, third][(i + round) % 3]!)));
      expect(answers).toEqual(users.map((_, i) => ({ status: 200, user: `user-${i}`, visits: round })));
    }
  });

  it('end each other’s sessions', async () => {
    const { old, oldApp, app } = await side();
    const here = await User.signIn(oldApp);
    await here.visit(app);
    await here.signOut(oldApp);
    expect((await here.me(app)).status).toBe(401);

    const there = await User.signIn(app);
    await there.visit(oldApp);
    await there.signOut(app);
    expect((await there.me(oldApp)).status).toBe(401);
    expect(await old.lying()).toEqual([]);
  });

  it('keep a logout when an old server writes the session again, and take it away there too', async () => {
    const { old, oldApp, app } = await side();
    const user = await User.signIn(oldApp);
    await user.me(app);
    await user.signOut(app);
    await set(old, user.sid, { user: 'ann', visits: 9, cookie });
    expect((await user.me(app)).status).toBe(401);
    expect((await user.me(oldApp)).status).toBe(401);
  });

  it('drop the change of a slow request on a new server whose session was ended on another', async () => {
    const { old, rig } = await side();
    const { rig: other } = await startNew({ ...old.window, share: old.share });
    await rig.save('sid', { user: 'ann', visits: 0 });
    const slow = (await rig.load('sid'))!;
    await other.destroy('sid');
    slow.visits = 1;
    await rig.save('sid', slow);
    expect(await old.lying()).toEqual([]);
    expect(await rig.load('sid')).toBeUndefined();
  });

  it('prolong a session that is only read, for both', async () => {
    const { old, rig } = await side();
    const expires = new Date(Date.now() + 1_500).toISOString();
    await set(old, 'sid', { user: 'ann', cookie: { originalMaxAge: 1_500, expires } });
    const data = (await rig.load('sid'))!;
    await delay(900);
    data.cookie.expires = new Date(Date.now() + 60_000);
    data.cookie.originalMaxAge = 60_000;
    await rig.touch('sid', data);
    await delay(1_700);
    expect(await get(old, 'sid')).toMatchObject({ user: 'ann' });
  });

  it('are followed by new ones alone: what was shared is adopted', async () => {
    const { old, oldApp, app } = await side();
    const users = [await User.signIn(oldApp), await User.signIn(app)];
    for (const user of users) await user.visit(app);
    const { rig, app: alone } = await startNew(old.window);
    for (const user of users) expect(await user.me(alone)).toEqual({ status: 200, user: 'ann', visits: 1 });
    expect(rig.counters['adopted']).toBe(2);
    expect(await old.lying()).toEqual([]);
  });
});

describe.each(OLD_STORES)('the way back to %s', (name) => {
  it('is open to every session that is used while it is shared', async () => {
    const old = await openOld(name);
    const { app } = await startNew({});
    const user = await User.signIn(app);
    await user.visit(app);
    const { rig, app: sharing } = await startNew({ ...old.window, share: old.share });
    const oldApp = own(await serve(oldMiddleware(old.store)));
    expect((await user.me(oldApp)).status).toBe(401);
    expect(await user.me(sharing)).toEqual({ status: 200, user: 'ann', visits: 1 });
    expect(await user.visit(oldApp)).toEqual({ status: 200, user: 'ann', visits: 2 });
    expect(rig.counters['givenBack']).toBe(1);
    // A new server that still runs sees the old ones' change, not the record from before.
    expect(await user.me(sharing)).toEqual({ status: 200, user: 'ann', visits: 2 });
    await user.signOut(oldApp);
    expect((await user.me(sharing)).status).toBe(401);
  });

  it('and forth again keeps the content', async () => {
    const old = await openOld(name);
    const { rig: sealing } = await startNew(old.window);
    const { rig: sharing } = await startNew({ ...old.window, share: old.share });
    await sealing.save('sid', { visits: 0 });
    for (let visits = 1; visits <= 6; visits += 1) {
      const rig = visits % 2 === 0 ? sealing : sharing;
      const data = (await rig.load('sid'))!;
      expect(data.visits).toBe(visits - 1);
      data.visits = visits;
      await rig.save('sid', data);
    }
  });

  it('loses no session that new servers of both kinds read at once, as in a rolling restart with another setting', async () => {
    const old = await openOld(name);
    const shares = ['no', old.share, 'no', old.share];
    const started = await Promise.all(shares.map((share) => startNew({ ...old.window, share })));
    const rigs = started.map(({ rig }) => rig);
    const sids = ['a', 'b', 'c'];
    for (const sid of sids) await rigs[0]!.save(sid, { user: 'ann' });
    const seen = new Set<string | undefined>();
    const worker = async (nth: number): Promise<void> => {
      for (let step = 0; step < 150; step += 1) {
        const rig = rigs[(nth * 7 + step * 3 + Math.floor(step / 5)) % rigs.length]!;
        seen.add((await rig.load(sids[(nth + step) % sids.length]!))?.user);
      }
    };
    await Promise.all(Array.from({ length: 12 }, (_, nth) => worker(nth)));
    expect([...seen]).toEqual(['ann']);
    const moves = rigs.map(({ counters }) => (counters['adopted'] ?? 0) + (counters['givenBack'] ?? 0));
    expect(Math.min(...moves)).toBeGreaterThan(5);
  });

  it('stays sealed and served where the old store does not answer', async () => {
    const old = await openOld(name);
    const { rig, app } = await startNew({ ...old.window, share: old.share });
    const { app: sealing } = await startNew({});
    const user = await User.signIn(sealing);
    if (name === 'connect-redis') rig.redisLost();
    else await rig.sql.query('alter table session add constraint refused check (box is not null or dead) not valid');
    expect(await user.visit(app)).toEqual({ status: 200, user: 'ann', visits: 1 });
    expect(rig.counters['givenBack']).toBe(0);
    if (name === 'connect-redis') await rig.redisBack();
    else await rig.sql.query('alter table session drop constraint refused');
    expect(await user.visit(app)).toEqual({ status: 200, user: 'ann', visits: 2 });
    expect(rig.counters['givenBack']).toBe(1);
  });

  it('gives nothing back that was ended', async () => {
    const old = await openOld(name);
    const { app } = await startNew({});
    const user = await User.signIn(app);
    await user.signOut(app);
    const { app: sharing } = await startNew({ ...old.window, share: old.share });
    expect((await user.me(sharing)).status).toBe(401);
    expect(await old.lying()).toEqual([]);
  });

  it('never says moved to a server whose window is closed, but that there is no session', async () => {
    const old = await openOld(name);
    const { rig } = await startNew({});
    await rig.save('sid', { user: 'ann' });
    const { rig: sharing } = await startNew({ ...old.window, share: old.share });
    const stale = (await rig.load('sid'))!;
    await sharing.load('sid');
    expect(await rig.load('sid')).toBeUndefined();
    stale.user = 'bob';
    await expect(rig.save('sid', stale)).rejects.toMatchObject({ code: 'ERR_SESSION_CONFLICT' });
  });
});
