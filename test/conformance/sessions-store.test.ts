import type { SessionData } from 'express-session';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { type Logger, silentLogger } from '../../src/observe/log.ts';
import { eventually } from '../support/eventually.ts';
import { sharedDatabase } from '../support/postgres.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';
import { SECRET, User, oldMiddleware, openOldStore, serve } from './old-app-rig.ts';
import { type RigOptions, SessionsRig } from './sessions-rig.ts';

let redis: TestRedis;
const owned: AsyncDisposable[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterEach(async () => {
  for (const one of owned.splice(0).toReversed()) await one[Symbol.asyncDispose]();
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

async function start(options: Partial<RigOptions> & { readonly withRedis?: boolean } = {}): Promise<SessionsRig> {
  const rig = await SessionsRig.start({ redis, ...options });
  owned.push(rig);
  if (options.database !== 'none') await rig.postgresBack();
  if (options.withRedis !== false) await rig.redisBack();
  return rig;
}

/** What a method of the store calls back with. */
function told<T>(call: (done: (error?: unknown, value?: T) => void) => void): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    call((error, value) => (error ? reject(error as Error) : resolve(value)));
  });
}

const TIERS = { 'Redis and PostgreSQL': true, 'PostgreSQL alone': false };

describe.each(Object.entries(TIERS))('a change of the cookie alone, on %s,', (_, withRedis) => {
  it('takes effect at once, longer or shorter, and is there at the next read', async () => {
    const rig = await start({ withRedis });
    await rig.save('sid', { visits: 1 });
    for (const lifeS of [5, 3600, 600]) {
      const data = (await rig.load('sid'))!;
      data.cookie.maxAge = lifeS * 1000;
      await rig.touch('sid', data);
      const [row] = await rig.rows();
      expect(row?.life).toBeGreaterThan(lifeS - 2);
      expect(row?.life).toBeLessThan(lifeS + 2);
      expect(Math.round((await rig.load('sid'))!.cookie.originalMaxAge! / 1000)).toBe(lifeS);
    }
  });

  it('costs a write only where it says something else', async () => {
    const rig = await start({ withRedis });
    const cookie = { originalMaxAge: 60_000, path: '/', httpOnly: true };
    await rig.save('sid', { cookie, visits: 1 } as unknown as SessionData);
    const { writes } = rig.counters;
    for (let i = 0; i < 3; i += 1) {
      const data = (await rig.load('sid'))!;
      data.touch();
      await rig.touch('sid', data);
    }
    expect(rig.counters['writes']).toBe(writes);
  });
});

describe('a session whose cookie has no life left', () => {
  it('is none from then on', async () => {
    const rig = await start();
    await rig.save('sid', { visits: 1 });
    const data = (await rig.load('sid'))!;
    data.cookie.maxAge = 0;
    await rig.save('sid', data);
    expect(await rig.load('sid')).toBeUndefined();
  });

  it('lives on where the cookie only has no end', async () => {
    const rig = await start();
    await rig.save('sid', { visits: 1 });
    const data = (await rig.load('sid'))!;
    Object.assign(data.cookie, { expires: false });
    await rig.save('sid', data);
    expect((await rig.load('sid'))?.visits).toBe(1);
  });
});

describe('the store', () => {
  it('counts the sessions that live', async () => {
    const rig = await start();
    await Promise.all(['a', 'b', 'c'].map((sid) => rig.save(sid, { visits: 1 })));
    await rig.destroy('b');
    expect(await told((done) => rig.store.length?.(done))).toBe(2);
    rig.postgresLost();
    await expect(told((done) => rig.store.length?.(done))).rejects.toMatchObject({ code: 'ERR_SESSION_UNKNOWN' });
  });

  it('cannot count them without PostgreSQL, and says so', async () => {
    const rig = await start({ database: 'none' });
    await expect(told((done) => rig.store.length?.(done))).rejects.toMatchObject({ code: 'ERR_SESSION_METHOD' });
  });

  it('rejects all() and clear() with a code: neither ids nor contents lie there in the clear', async () => {
    const rig = await start();
    await expect(told((done) => rig.store.all?.(done))).rejects.toMatchObject({ code: 'ERR_SESSION_METHOD' });
    await expect(told((done) => rig.store.clear?.(done))).rejects.toMatchObject({ code: 'ERR_SESSION_METHOD' });
  });

  it('keeps a session without a cookie, as other stores do', async () => {
    const rig = await start();
    await told((done) => rig.store.set('sid', { user: 'ann' } as unknown as SessionData, done));
    expect(await told((done) => rig.store.get('sid', done))).toEqual({ user: 'ann' });
  });

  it('tells the callback of a session that cannot be stored', async () => {
    const rig = await start();
    const data = { cookie: { originalMaxAge: 60_000 }, big: 1n } as unknown as SessionData;
    await expect(told((done) => rig.store.set('sid', data, done))).rejects.toMatchObject({ code: 'ERR_SESSION_VALUE' });
  });

  it('saves one object twice without a conflict with itself, waited for or not', async () => {
    const rig = await start({ sessions: { conflict: 'merge' } });
    await rig.save('sid', { visits: 1 });
    const data = (await rig.load('sid'))!;
    data.visits = 2;
    const first = rig.save('sid', data);
    data.visits = 3;
    await Promise.all([first, rig.save('sid', data)]);
    expect((await rig.load('sid'))?.visits).toBe(3);
  });

  it('does not take a session for stored under an id that was ended', async () => {
    const rig = await start();
    await rig.save('sid', { visits: 1 });
    await rig.destroy('sid');
    await expect(rig.save('sid', { visits: 2 })).rejects.toMatchObject({ code: 'ERR_SESSION_CONFLICT' });
  });

  it('saves the content of one session as another one', async () => {
    const rig = await start();
    await rig.save('sid', { visits: 1 });
    const data = (await told<SessionData>((done) => rig.store.get('sid', done as never)))!;
    const made = rig.store.createSession({ sessionID: 'other', sessionStore: rig.store } as never, data);
    await rig.save('other', made);
    expect((await rig.load('other'))?.visits).toBe(1);
  });

  it('rejects every call with ERR_CLOSED after close()', async () => {
    const rig = await start();
    await rig.save('sid', { visits: 1 });
    const data = (await rig.load('sid'))!;
    await rig.sessions.close(AbortSignal.timeout(2_000));
    data.visits = 2;
    const closed = { code: 'ERR_CLOSED' };
    await expect(rig.save('sid', data)).rejects.toMatchObject(closed);
    await expect(rig.load('sid')).rejects.toMatchObject(closed);
    await expect(rig.destroy('sid')).rejects.toMatchObject(closed);
    await expect(told((done) => rig.store.length?.(done))).rejects.toMatchObject(closed);
    expect((await rig.rows()).map(({ dead }) => dead)).toEqual([false]);
  });

  it('answers a request that changes its session after close() with an error, never with 200', async () => {
    const rig = await start();
    const app = await serve(rig.sessions.middleware());
    owned.push(app);
    const ann = await User.signIn(app);
    await rig.sessions.close(AbortSignal.timeout(2_000));
    expect((await ann.visit(app)).status).toBe(503);
    expect((await new User().post(app, '/login?user=bob')).status).toBe(503);
  });
});

describe.each(['connect-pg-simple', 'connect-redis'] as const)('a session that %s stored in the clear', (name) => {
  it('is said once where its visitor comes and nobody may read it', async () => {
    const warnings: string[] = [];
    const log: Logger = { ...silentLogger, warn: (_facts, text) => void warnings.push(text) };
    const database = await sharedDatabase();
    const old = await openOldStore(name, { redis, database });
    const oldApp = await serve(oldMiddleware(old.store));
    owned.push(old, oldApp);
    const visitors = [await User.signIn(oldApp), await User.signIn(oldApp, 'bob')];
    const rig = await start({ database, sessions: { secret: SECRET }, log });
    const app = await serve(rig.sessions.middleware());
    owned.push(app);
    for (const visitor of visitors) expect((await visitor.me(app)).status).toBe(401);
    await eventually(() => expect(warnings.filter((text) => text.includes(name))).toHaveLength(1));
    for (const visitor of visitors) expect((await visitor.me(app)).status).toBe(401);
    expect(warnings.filter((text) => text.includes('sessions.adopt'))).toHaveLength(1);
  });
});
