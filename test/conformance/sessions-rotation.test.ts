import { setTimeout as delay } from 'node:timers/promises';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.ts';
import { sharedDatabase } from '../support/postgres.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';
import { User, serve } from './old-app-rig.ts';
import { SessionsRig } from './sessions-rig.ts';

const OLD = 'the old secret which will soon be taken away';
const NEW = 'the new secret that signs and seals from now on';
const BOTH = [NEW, OLD];
/** More than the time after which a session is sealed anew. */
const LATER_MS = 1_300;

let redis: TestRedis;
let database: string;
let prefixes = 0;
const rigs: AsyncDisposable[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
beforeEach(async () => {
  database = await sharedDatabase();
  prefixes += 1;
});
afterEach(async () => {
  for (const rig of rigs.splice(0).toReversed()) await rig[Symbol.asyncDispose]();
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

async function start(secret: string | string[], sessions: object = {}): Promise<SessionsRig> {
  const keyPrefix = `rotation${prefixes}:`;
  const rig = await SessionsRig.start({ redis, database, keyPrefix, sessions: { secret, ...sessions } });
  rigs.push(rig);
  await rig.postgresBack();
  await rig.redisBack();
  return rig;
}

/** The keys that live records are sealed under, as docs/sessions.md asks for them. */
async function keysInUse(rig: SessionsRig): Promise<string[]> {
  const { rows } = await rig.sql.query<{ key: string }>(
    `select split_part(box, '.', 1) as key, count(*) from session
     where box is not null and expire > now() group by 1 order by 1`,
  );
  return rows.map(({ key }) => key);
}

const version = async (rig: SessionsRig): Promise<number[]> => {
  const { rows } = await rig.sql.query<{ version: string }>('select version from session');
  return rows.map((row) => Number(row.version));
};

describe('a rotated secret', () => {
  it('seals a session anew after it was read, so that the old one can go', async () => {
    const before = await start(OLD);
    await before.save('read', { user: 'ann', visits: 3 });
    await before.save('unread', { user: 'bob' });
    const rig = await start(BOTH);
    expect((await rig.load('read'))?.visits).toBe(3);
    await eventually(() => expect(rig.counters['resealed']).toBe(1));
    expect(await keysInUse(rig)).toHaveLength(2);
    await rig.load('unread');
    await eventually(() => expect(rig.counters['resealed']).toBe(2));
    expect(await keysInUse(rig)).toHaveLength(1);

    const after = await start(NEW);
    expect(JSON.parse(JSON.stringify(await after.load('read')))).toMatchObject({ user: 'ann', visits: 3 });
    expect((await after.load('unread'))?.user).toBe('bob');
    expect(after.counters['openFailures']).toBe(0);
  });

  it('seals each session anew once, however many requests and instances read it', async () => {
    const before = await start(OLD);
    await before.save('sid', { user: 'ann' });
    const [a, b] = [await start(BOTH), await start(BOTH)];
    for (let round = 0; round < 10; round += 1) await Promise.all([a.load('sid'), a.load('sid'), b.load('sid')]);
    await delay(LATER_MS);
    for (let round = 0; round < 10; round += 1) await Promise.all([a.load('sid'), b.load('sid')]);
    await delay(LATER_MS);
    expect((a.counters['resealed'] ?? 0) + (b.counters['resealed'] ?? 0)).toBe(1);
    expect(await version(a)).toEqual([2]);
  });

  it.each(['merge', 'reject'])('fails no request that read the session before (%s)', async (conflict) => {
    const before = await start(OLD);
    await before.save('sid', { user: 'ann', visits: 1 });
    const rig = await start(BOTH, { conflict });
    const slow = (await rig.load('sid'))!;
    await eventually(() => expect(rig.counters['resealed']).toBe(1));
    slow.visits = 2;
    await rig.save('sid', slow);
    expect((await rig.load('sid'))?.visits).toBe(2);
    expect(rig.counters['rejected']).toBe(0);
  });

  it('leaves to a request that writes the session what it does anyway', async () => {
    const before = await start(OLD);
    await before.save('sid', { visits: 1 });
    const rig = await start(BOTH);
    const data = (await rig.load('sid'))!;
    data.visits = 2;
    await rig.save('sid', data);
    await delay(LATER_MS);
    expect(rig.counters['resealed']).toBe(0);
    expect(await version(rig)).toEqual([2]);
    expect(await keysInUse(rig)).toHaveLength(1);
  });

  it('does not bring back a session that was ended meanwhile', async () => {
    const before = await start(OLD);
    await before.save('sid', { user: 'ann' });
    const [rig, other] = [await start(BOTH), await start(BOTH)];
    await rig.load('sid');
    await other.destroy('sid');
    await delay(LATER_MS);
    expect(await rig.load('sid')).toBeUndefined();
    expect(rig.counters['resealed']).toBe(0);
  });

  it('waits while PostgreSQL is gone, and changes nothing then', async () => {
    const before = await start(OLD);
    await before.save('sid', { user: 'ann' });
    const rig = await start(BOTH);
    await rig.load('sid');
    rig.postgresLost();
    await delay(LATER_MS);
    expect((await rig.load('sid'))?.user).toBe('ann');
    expect(rig.counters).toMatchObject({ resealed: 0, journal: 0 });
    await rig.postgresBack();
    await rig.load('sid');
    await eventually(() => expect(rig.counters['resealed']).toBe(1));
  });

  it('accepts cookies of the old one, and signs them anew when the session changes or always where rolling', async () => {
    const before = await start(OLD);
    // express-session sends a cookie anew with a change only where it has an end.
    const cookie = { maxAge: 60_000 };
    const oldApp = await serve(before.sessions.middleware({ cookie }));
    const rotated = await start(BOTH);
    const app = await serve(rotated.sessions.middleware({ cookie }));
    const rolling = await serve(rotated.sessions.middleware({ rolling: true }));
    const after = await start(NEW);
    const last = await serve(after.sessions.middleware());
    rigs.push(oldApp, app, rolling, last);
    const [ann, bob] = [await User.signIn(oldApp, 'ann'), await User.signIn(oldApp, 'bob')];
    const { cookie: signedBefore } = ann;

    expect((await ann.me(app)).user).toBe('ann');
    expect(ann.cookie).toBe(signedBefore);
    expect((await ann.me(last)).status).toBe(401);
    await ann.visit(app);
    expect(ann.cookie).not.toBe(signedBefore);
    expect(await ann.me(last)).toEqual({ status: 200, user: 'ann', visits: 1 });

    await bob.me(rolling);
    await eventually(() => expect(rotated.counters['resealed']).toBeGreaterThan(0));
    expect((await bob.me(last)).user).toBe('bob');
  });
});
