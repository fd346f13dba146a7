import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.ts';
import { sharedDatabase } from '../support/postgres.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';
import { type RigOptions, SessionsRig } from './sessions-rig.ts';

let redis: TestRedis;
const rigs: SessionsRig[] = [];
const folders: string[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig[Symbol.asyncDispose]();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

async function startRig(options: Partial<RigOptions> & { readonly withRedis: boolean }): Promise<SessionsRig> {
  const rig = await SessionsRig.start({ redis, ...options });
  rigs.push(rig);
  if (options.database !== 'none') await rig.postgresBack();
  if (options.withRedis) await rig.redisBack();
  return rig;
}

/** Two instances of one fleet. */
async function startTwo(
  withRedis: boolean,
  sessions: object = { conflict: 'merge' },
): Promise<[SessionsRig, SessionsRig]> {
  const database = await sharedDatabase();
  const a = await startRig({ database, withRedis, sessions });
  const b = await startRig({ database, withRedis, sessions, keyPrefix: a.keyPrefix });
  return [a, b];
}

/** What ten parallel requests of one session make of it: 409 or an acknowledged change. */
async function tenIncrements(rigsInTurn: readonly SessionsRig[]): Promise<{ acknowledged: number; refused: number }> {
  const loaded = await Promise.all(
    Array.from({ length: 10 }, async (_, i) => {
      const rig = rigsInTurn[i % rigsInTurn.length]!;
      return { rig, data: (await rig.load('sid'))! };
    }),
  );
  const results = await Promise.allSettled(
    loaded.map(({ rig, data }) => {
      data.visits = (data.visits ?? 0) + 1;
      return rig.save('sid', data);
    }),
  );
  const refusals = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
  for (const refusal of refusals) expect(refusal).toMatchObject({ code: 'ERR_SESSION_CONFLICT', status: 409 });
  const acknowledged = results.filter(({ status }) => status === 'fulfilled').length;
  return { acknowledged, refused: results.length - acknowledged };
}

const TIERS = { 'Redis and PostgreSQL': true, 'PostgreSQL alone': false };

describe.each(Object.entries(TIERS))('concurrent requests of one session on %s', (_, withRedis) => {
  it('ten parallel increments are acknowledged once and answered 409 nine times: none is lost in silence', async () => {
    const [a, b] = await startTwo(withRedis);
    await a.save('sid', { visits: 1 });
    const { acknowledged, refused } = await tenIncrements([a, b]);
    const { visits } = (await b.load('sid'))!;
    expect(visits).toBe(1 + acknowledged);
    expect(acknowledged + refused).toBe(10);
    expect(acknowledged).toBeGreaterThan(0);
  });

  it('by default none of ten requests is refused: keys that one changed are all kept, of one key the last is', async () => {
    const [a, b] = await startTwo(withRedis, {});
    await a.save('sid', { visits: 1 });
    const loaded = await Promise.all(Array.from({ length: 10 }, (__, i) => (i % 2 === 0 ? a : b).load('sid')));
    await Promise.all(
      loaded.map((data, i) => {
        Object.assign(data!, { [`only${i}`]: i, visits: 2 + i });
        return (i % 2 === 0 ? a : b).save('sid', data!);
      }),
    );
    const seen = (await b.load('sid'))! as unknown as Record<string, number>;
    for (let i = 0; i < 10; i += 1) expect(seen[`only${i}`]).toBe(i);
    expect(seen['visits']).toBeGreaterThan(1);
    expect((a.counters['overwritten'] ?? 0) + (b.counters['overwritten'] ?? 0)).toBe(9);
    expect((a.counters['rejected'] ?? 0) + (b.counters['rejected'] ?? 0)).toBe(0);
  });

  it('by default a change that comes after the logout is dropped without an error, even after another one', async () => {
    const [a, b] = await startTwo(withRedis, {});
    await a.save('sid', { visits: 1 });
    const slow = (await b.load('sid'))!;
    const quick = (await a.load('sid'))!;
    quick.visits = 2;
    await a.save('sid', quick);
    await a.destroy('sid');
    slow.visits = 3;
    await b.save('sid', slow);
    expect(await a.load('sid')).toBeUndefined();
    expect(await b.load('sid')).toBeUndefined();
  });

  it('answers 409 for a key of sessions.conflictKeys, and for no other', async () => {
    const [a, b] = await startTwo(withRedis, { conflictKeys: ['user'] });
    await a.save('sid', { user: 'ann', visits: 1 });
    const [mine, theirs, third] = [(await a.load('sid'))!, (await b.load('sid'))!, (await b.load('sid'))!];
    mine.user = 'bea';
    mine.visits = 2;
    await a.save('sid', mine);
    theirs.user = 'cid';
    await expect(b.save('sid', theirs)).rejects.toMatchObject({
      code: 'ERR_SESSION_CONFLICT',
      details: { key: 'user' },
    });
    third.visits = 3;
    await b.save('sid', third);
    expect(await a.load('sid')).toMatchObject({ user: 'bea', visits: 3 });
  });

  it('changes of different keys are joined, from what each request had read', async () => {
    const [a, b] = await startTwo(withRedis);
    await a.save('sid', { user: 'ann', visits: 1 });
    const [mine, theirs] = [(await a.load('sid'))!, (await b.load('sid'))!];
    mine.visits = 2;
    delete theirs.user;
    await Promise.all([a.save('sid', mine), b.save('sid', theirs)]);
    const seen = (await a.load('sid'))!;
    expect([seen.user, seen.visits]).toEqual([undefined, 2]);
    expect((a.counters['merged'] ?? 0) + (b.counters['merged'] ?? 0)).toBe(1);
  });

  it('a joined session is shown to the request that saved it, and its next save loses nothing', async () => {
    const [a, b] = await startTwo(withRedis);
    await a.save('sid', { visits: 1 });
    const [mine, theirs] = [(await a.load('sid'))!, (await b.load('sid'))!];
    theirs.user = 'bea';
    await b.save('sid', theirs);
    mine.visits = 2;
    await a.save('sid', mine);
    expect(mine.user).toBe('bea');
    mine.visits = 3;
    await a.save('sid', mine);
    expect(await b.load('sid')).toMatchObject({ user: 'bea', visits: 3 });
  });

  it('a save that waits for the one before it keeps what that one was joined with, and the changes since', async () => {
    const [a, b] = await startTwo(withRedis, {});
    await a.save('sid', { visits: 1 });
    const [mine, theirs] = [(await a.load('sid'))!, (await b.load('sid'))!];
    Object.assign(theirs, { theirs: 1, visits: 7 });
    await b.save('sid', theirs);
    Object.assign(mine, { first: 1 });
    const first = a.save('sid', mine);
    // While the first is on its way and finds what the other one has changed.
    Object.assign(mine, { second: 2, visits: 9 });
    await Promise.all([first, a.save('sid', mine)]);
    expect(await b.load('sid')).toMatchObject({ theirs: 1, first: 1, second: 2, visits: 9 });
    expect(mine).toMatchObject({ theirs: 1, visits: 9 });
  });

  it('every conflict is answered 409 where the configuration says reject', async () => {
    const [a, b] = await startTwo(withRedis, { conflict: 'reject' });
    await a.save('sid', { user: 'ann', visits: 1 });
    const [mine, theirs] = [(await a.load('sid'))!, (await b.load('sid'))!];
    mine.visits = 2;
    theirs.user = 'bea';
    await a.save('sid', mine);
    await expect(b.save('sid', theirs)).rejects.toMatchObject({ code: 'ERR_SESSION_CONFLICT' });
    expect(await b.load('sid')).toMatchObject({ user: 'ann', visits: 2 });
  });

  it('a slow request that was overtaken before the logout is answered 409, and one that was not as if it came first', async () => {
    const [a, b] = await startTwo(withRedis);
    await a.save('sid', { visits: 1 });
    await a.save('other', { visits: 1 });
    const [slow, untouched] = [(await b.load('sid'))!, (await b.load('other'))!];
    const quick = (await a.load('sid'))!;
    quick.visits = 2;
    await a.save('sid', quick);
    await Promise.all([a.destroy('sid'), a.destroy('other')]);
    slow.visits = 2;
    untouched.visits = 2;
    // Two visits of the same number: the other one's user has seen it already.
    await expect(b.save('sid', slow)).rejects.toMatchObject({ code: 'ERR_SESSION_CONFLICT' });
    await b.save('other', untouched);
    expect(await Promise.all(['sid', 'other'].map((sid) => a.load(sid)))).toEqual([undefined, undefined]);
  });

  it('a logout beats a slow request of the same session, 1,000 times out of 1,000', async () => {
    const [a, b] = await startTwo(withRedis);
    const race = async (i: number): Promise<boolean> => {
      const sid = `race${i}`;
      await a.save(sid, { visits: 1 });
      const slow = (await b.load(sid))!;
      slow.visits = 2;
      // Both orders of arrival, and both instances as the one that ends it.
      const writes = [() => (i % 4 < 2 ? a : b).destroy(sid), () => b.save(sid, slow)];
      await Promise.all((i % 2 === 0 ? writes : writes.toReversed()).map((write) => write()));
      return (await Promise.all([a.load(sid), b.load(sid)])).some((found) => found !== undefined);
    };
    let undone = 0;
    for (let from = 0; from < 1000; from += 50) {
      const results = await Promise.all(Array.from({ length: 50 }, (__, i) => race(from + i)));
      undone += results.filter(Boolean).length;
    }
    expect(undone).toBe(0);
  });
});

/** Whether the instance answers a read of this session out of Redis. */
async function believesRedis(rig: SessionsRig, id: string): Promise<boolean> {
  const before = rig.counters['readsRedis'] ?? 0;
  await rig.load(id);
  return rig.counters['readsRedis'] === before + 1;
}

describe('what one instance has shown', () => {
  it('no other shows less of, although its writer has not brought it to Redis yet', async () => {
    const database = await sharedDatabase();
    const a = await startRig({ database, withRedis: true });
    const shared = { database, withRedis: true, keyPrefix: a.keyPrefix };
    const [b, c] = [await startRig(shared), await startRig(shared)];
    await a.save('sid', { visits: 1 });
    await eventually(async () => (await believesRedis(a, 'sid')) && (await believesRedis(b, 'sid')), {
      what: 'Redis believed by both',
    });
    const data = (await a.load('sid'))!;
    data.visits = 2;
    // PostgreSQL takes it, Redis does not, and its writer has to wait until nobody believes Redis any more.
    a.backend.disengage();
    const saving = a.save('sid', data);
    await eventually(async () => (await a.sql.query('select from session where version = 2')).rowCount === 1);
    c.redisLost();
    expect((await c.load('sid'))?.visits).toBe(2);
    expect((await b.load('sid'))?.visits).toBe(2);
    await saving;
  });
});

describe('sessions on the embedded PostgreSQL', () => {
  it('compare and set as on a server: conflicts are found, joined or answered 409, and a logout wins', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'redoubt-sessions-'));
    folders.push(folder);
    const rig = await SessionsRig.start({ redis, database: `pglite:${folder}`, sessions: { conflict: 'merge' } });
    rigs.push(rig);
    // Its first start takes some seconds.
    await eventually(() => rig.sql.probe(AbortSignal.timeout(1_000)), { withinMs: 40_000 });
    await rig.postgresBack();
    await rig.save('sid', { visits: 1 });
    const { acknowledged } = await tenIncrements([rig]);
    expect(acknowledged).toBe(1);
    const slow = (await rig.load('sid'))!;
    slow.visits = 9;
    await rig.destroy('sid');
    await rig.save('sid', slow);
    expect(await rig.load('sid')).toBeUndefined();
    expect((await rig.rows()).map(({ dead }) => dead)).toEqual([true]);
  });
});
