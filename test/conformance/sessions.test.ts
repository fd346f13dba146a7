import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.ts';
import { sharedDatabase } from '../support/postgres.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';
import { type RigOptions, SessionsRig } from './sessions-rig.ts';

let redis: TestRedis;
const rigs: SessionsRig[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterEach(async () => {
  redis.thaw();
  if (!redis.running) await redis.restart();
  for (const rig of rigs.splice(0)) await rig[Symbol.asyncDispose]();
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

async function startRig(options: Partial<RigOptions> = {}): Promise<SessionsRig> {
  const rig = await SessionsRig.start({ redis, ...options });
  rigs.push(rig);
  return rig;
}

/** Redis and PostgreSQL in use, as when everything is well. */
async function startFull(options: Partial<RigOptions> = {}): Promise<SessionsRig> {
  const rig = await startRig(options);
  await rig.postgresBack();
  await rig.redisBack();
  return rig;
}

const MODES: Record<string, (options?: Partial<RigOptions>) => Promise<SessionsRig>> = {
  'Redis and PostgreSQL': startFull,
  'PostgreSQL alone': async (options) => {
    const rig = await startRig(options);
    await rig.postgresBack();
    return rig;
  },
  'Redis alone': async (options) => {
    const rig = await startRig({ ...options, database: 'none' });
    await rig.redisBack();
    return rig;
  },
  'Redis while PostgreSQL is lost': async (options) => {
    const rig = await startFull(options);
    rig.postgresLost();
    return rig;
  },
  'memory alone': (options) => startRig({ ...options, database: 'none' }),
};

describe.each(Object.entries(MODES))('session tiers: sessions on %s', (name, start) => {
  it('give back what was saved, and nothing but that', async () => {
    const rig = await start();
    await rig.save('sid', { user: 'ann', visits: 1 });
    const data = await rig.load('sid');
    expect(JSON.parse(JSON.stringify(data))).toMatchObject({ user: 'ann', visits: 1 });
    expect(Object.keys(data ?? {}).toSorted()).toEqual(['cookie', 'user', 'visits']);
  });

  it('keep the last of many changes', async () => {
    const rig = await start();
    await rig.save('sid', { visits: 0 });
    for (let visits = 1; visits <= 5; visits += 1) {
      const data = (await rig.load('sid'))!;
      data.visits = visits;
      await rig.save('sid', data);
    }
    expect((await rig.load('sid'))?.visits).toBe(5);
  });

  it('answer every one of many concurrent writes, and end with one of them', async () => {
    const rig = await start();
    await Promise.all(Array.from({ length: 20 }, (_, visits) => rig.save('sid', { visits: visits + 1 })));
    expect((await rig.load('sid'))?.visits).toBe(20);
  });

  it('are gone after they are destroyed, and a slow request does not bring them back', async () => {
    const rig = await start();
    await rig.save('sid', { user: 'ann' });
    const slow = (await rig.load('sid'))!;
    await rig.destroy('sid');
    expect(await rig.load('sid')).toBeUndefined();
    slow.visits = 1;
    await rig.save('sid', slow);
    expect(await rig.load('sid')).toBeUndefined();
  });

  it('end by themselves when their life is over', async () => {
    const rig = await start();
    await rig.save('sid', { user: 'ann', cookie: { originalMaxAge: 1_000 } } as never);
    expect(await rig.load('sid')).toBeDefined();
    await delay(2_100);
    await expect(rig.load('sid').catch((error: unknown) => error)).resolves.toSatisfy(
      (seen) => seen === undefined || (seen as { code?: string }).code === 'ERR_SESSION_UNKNOWN',
    );
  });

  it('are prolonged by a touch, at most once in its time', async () => {
    const rig = await start({ sessions: { touchEvery: '200ms' } });
    await rig.save('sid', { user: 'ann' });
    const data = (await rig.load('sid'))!;
    for (let times = 0; times < 3; times += 1) await rig.touch('sid', data);
    expect(rig.counters['touches']).toBe(0);
    await delay(220);
    for (let times = 0; times < 3; times += 1) await rig.touch('sid', data);
    expect(rig.counters['touches']).toBe(1);
    expect(await rig.load('sid')).toBeDefined();
  });

  it('lie there sealed and under a hash: neither content nor session id can be read', async () => {
    const rig = await start();
    await rig.save('the-session-id', { user: 'a-planted-secret' });
    const lying = [...(await rig.records()), ...(await rig.inspect.keys(`${rig.keyPrefix}*`))];
    if (name.startsWith('PostgreSQL') || name.includes(' and ')) lying.push(JSON.stringify(await rig.rows()));
    expect(lying.length > 0).toBe(name !== 'memory alone');
    expect(lying.join('\n')).not.toMatch(/planted|the-session-id/);
  });
});

describe('sessions through an outage', () => {
  it('survive the loss of Redis, and changes made meanwhile are there when it is back', async () => {
    const rig = await startFull();
    await rig.save('sid', { visits: 1 });
    rig.redisLost();
    const data = (await rig.load('sid'))!;
    data.visits = 2;
    await rig.save('sid', data);
    await rig.redisBack();
    expect((await rig.load('sid'))?.visits).toBe(2);
    expect(rig.counters['epoch']).toBe(2);
  });

  it('fault 34: nothing that Redis kept from before is read: no logout undone, no change lost', async () => {
    const database = await sharedDatabase();
    const rig = await startFull({ database });
    await rig.save('ended', { user: 'ann' });
    await rig.save('changed', { visits: 1 });
    rig.redisLost();
    await rig.destroy('ended');
    await rig.save('changed', { visits: 2 });
    // Another process takes over, with nothing in its memory; Redis still holds all of its old records.
    const next = await startFull({ database, keyPrefix: rig.keyPrefix });
    expect(await next.load('ended')).toBeUndefined();
    expect((await next.load('changed'))?.visits).toBe(2);
  });

  it('fault 34: nobody is logged out by an empty Redis', async () => {
    const rig = await startFull();
    await rig.save('sid', { user: 'ann' });
    await rig.inspect.flushall();
    expect((await rig.load('sid'))?.user).toBe('ann');
    const refilled = async (): Promise<boolean> => {
      expect((await rig.load('sid'))?.user).toBe('ann');
      return (await rig.records()).length === 1;
    };
    await eventually(refilled, { what: 'Redis filled again, under a new epoch' });
    expect(rig.counters['epoch']).toBe(2);
  });

  it('fault 11: a write that Redis executes late, after a freeze, never wins', async () => {
    const rig = await startFull();
    await rig.save('sid', { visits: 1 });
    redis.freeze();
    const data = (await rig.load('sid'))!;
    data.visits = 2;
    await rig.save('sid', data);
    expect((await rig.load('sid'))?.visits).toBe(2);
    await rig.destroy('sid');
    redis.thaw();
    await delay(50);
    expect(await rig.load('sid')).toBeUndefined();
    rig.redisLost();
    await rig.redisBack();
    expect(await rig.load('sid')).toBeUndefined();
  });

  it('read nothing from a Redis that did not take a write, until a new epoch fences off what it has', async () => {
    const rig = await startFull();
    await rig.save('sid', { visits: 1 });
    rig.backend.disengage();
    await rig.save('sid', { visits: 2 });
    await rig.backend.engage(AbortSignal.timeout(5_000));
    expect((await rig.load('sid'))?.visits).toBe(2);
    await eventually(() => rig.counters['epoch'] === 2 && rig.counters['blind'] === 0);
    expect((await rig.load('sid'))?.visits).toBe(2);
    const readsRedis = rig.counters['readsRedis'];
    expect((await rig.load('sid'))?.visits).toBe(2);
    expect(rig.counters['readsRedis']).toBe(readsRedis! + 1);
  });

  it('live on in Redis while PostgreSQL is lost, and every change is replayed', async () => {
    const rig = await startFull();
    await rig.save('kept', { visits: 1 });
    await rig.save('ended', { user: 'ann' });
    rig.postgresLost();
    await rig.save('kept', { visits: 2 });
    await rig.save('new', { visits: 1 });
    await rig.destroy('ended');
    expect(rig.counters['journal']).toBe(3);
    expect(rig.sessions.report().notice).toMatch(/PostgreSQL is out of use.*3/);
    await rig.postgresBack();
    expect(rig.counters['journal']).toBe(0);
    rig.redisLost();
    expect((await rig.load('kept'))?.visits).toBe(2);
    expect((await rig.load('new'))?.visits).toBe(1);
    expect(await rig.load('ended')).toBeUndefined();
    expect(rig.sessions.report().notice).toBeUndefined();
  });

  it('replay by themselves what PostgreSQL missed without going out of use', async () => {
    const rig = await startFull();
    rig.sql.disengage();
    await rig.save('sid', { visits: 1 });
    expect(rig.counters['journal']).toBe(1);
    await rig.sql.engage(AbortSignal.timeout(5_000));
    await eventually(() => rig.counters['journal'] === 0);
    expect(await rig.rows()).toHaveLength(1);
  });

  it('fault 35: with both gone, known sessions live on sealed, unknown cookies get a code, and nothing is lost', async () => {
    const rig = await startFull();
    await rig.save('known', { visits: 1 });
    await rig.save('ended', { user: 'ann' });
    rig.redisLost();
    rig.postgresLost();
    const data = (await rig.load('known'))!;
    data.visits = 2;
    await rig.save('known', data);
    await rig.destroy('ended');
    await rig.save('new', { visits: 7 });
    expect((await rig.load('known'))?.visits).toBe(2);
    expect(await rig.load('ended')).toBeUndefined();
    await expect(rig.load('stranger')).rejects.toMatchObject({
      code: 'ERR_SESSION_UNKNOWN',
      status: 503,
      headers: { 'Retry-After': '2' },
    });
    expect(rig.sessions.report()).toMatchObject({ backend: 'memory', scope: 'instance' });
    expect(rig.sessions.report().notice).toMatch(/3 changed ones are lost/);

    await rig.redisBack();
    await rig.postgresBack();
    rig.redisLost();
    expect((await rig.load('known'))?.visits).toBe(2);
    expect((await rig.load('new'))?.visits).toBe(7);
    expect(await rig.load('ended')).toBeUndefined();
    expect(await rig.load('stranger')).toBeUndefined();
  });

  it('are refused without PostgreSQL where the configuration is strict, as soon as the lease is over', async () => {
    const rig = await startFull({ sessions: { disjoint: 'strict' } });
    await rig.save('sid', { visits: 1 });
    rig.postgresLost();
    await expect(rig.save('sid', { visits: 2 })).rejects.toMatchObject({ code: 'ERR_SESSION_NOT_SAVED', status: 503 });
    const refused = async (): Promise<void> => {
      await expect(rig.load('sid')).rejects.toMatchObject({ code: 'ERR_SESSION_UNKNOWN', status: 503 });
    };
    await eventually(refused);
    await rig.postgresBack();
    expect((await rig.load('sid'))?.visits).toBe(1);
  });

  it('bring to PostgreSQL what an instance without it wrote to Redis, although that instance is gone', async () => {
    const database = await sharedDatabase();
    const a = await startFull({ database });
    await a.save('kept', { visits: 1 });
    await a.save('ended', { user: 'ann' });
    a.postgresLost();
    await a.save('kept', { visits: 2 });
    await a.destroy('ended');
    // Only what lies in Redis is left of it: nothing of its journal is replayed.
    a.redisLost();
    const b = await startFull({ database, keyPrefix: a.keyPrefix });
    expect((await b.load('kept'))?.visits).toBe(2);
    expect(await b.load('ended')).toBeUndefined();
    await b.inspect.flushall();
    expect((await b.load('kept'))?.visits).toBe(2);
    expect(await b.load('ended')).toBeUndefined();
    expect((await b.rows()).filter(({ dead }) => dead)).toHaveLength(1);
  });

  it('leave PostgreSQL when they have expired, and tombstones with them', async () => {
    const rig = await startFull({ sessions: { pruneEvery: '100ms', ttl: '1s' } });
    await rig.save('short', { user: 'ann', cookie: { originalMaxAge: 1_000 } } as never);
    await rig.save('ended', { user: 'ann', cookie: { originalMaxAge: 1_000 } } as never);
    await rig.destroy('ended');
    await rig.save('long', { user: 'ann' });
    expect(await rig.rows()).toHaveLength(3);
    await eventually(async () => (await rig.rows()).length === 1);
    expect(await rig.load('long')).toBeDefined();
  });

  it('are read together: many requests of one session share a row, and of many sessions a statement', async () => {
    const rig = await startRig();
    await rig.postgresBack();
    const sids = Array.from({ length: 50 }, (_, i) => `sid${i}`);
    await Promise.all(sids.map((sid) => rig.save(sid, { user: sid })));
    const before = await transactions(rig);
    const found = await Promise.all([...sids, ...sids, ...sids].map((sid) => rig.load(sid)));
    expect(found.map((data) => data?.user)).toEqual([...sids, ...sids, ...sids]);
    // Two leave at once, the others share the next; heartbeats and this question take some too.
    expect((await transactions(rig)) - before).toBeLessThan(30);
  });

  it('are replayed to Redis by comparing versions where no PostgreSQL is configured', async () => {
    const rig = await startRig({ database: 'none' });
    await rig.redisBack();
    await rig.save('kept', { visits: 1 });
    await rig.save('ended', { user: 'ann' });
    rig.redisLost();
    await rig.save('kept', { visits: 2 });
    await rig.destroy('ended');
    await rig.redisBack();
    expect(rig.counters['journal']).toBe(0);
    const other = await startRig({ database: 'none', keyPrefix: rig.keyPrefix });
    await other.redisBack();
    expect((await other.load('kept'))?.visits).toBe(2);
    expect(await other.load('ended')).toBeUndefined();
  });

  it('refuse what they could only promise: a full journal answers 503, and what it holds stays', async () => {
    const rig = await startRig({ database: 'none', sessions: { memoryMax: 2 } });
    await rig.save('a', { user: 'a' });
    await rig.save('b', { user: 'b' });
    await expect(rig.save('c', { user: 'c' })).rejects.toMatchObject({ code: 'ERR_SESSION_NOT_SAVED', status: 503 });
    expect((await rig.load('a'))?.user).toBe('a');
  });

  it('reach PostgreSQL at the end although only the journal held them', async () => {
    const rig = await startRig();
    await rig.save('sid', { user: 'ann' });
    await rig.postgresBack();
    await rig.sessions.close(AbortSignal.timeout(2_000));
    expect(await rig.rows()).toHaveLength(1);
  });

  it('count a record that does not open as no session', async () => {
    const rig = await startFull();
    await rig.save('sid', { user: 'ann' });
    await rig.save('other', { user: 'bea' });
    const [[, mine = ''] = [], [theirs = ''] = []] = await readPairs(rig);
    await rig.inspect.set(theirs, mine, 'PX', 60_000);
    const found = [await rig.load('sid'), await rig.load('other')];
    expect(found.filter(Boolean)).toHaveLength(1);
    expect(rig.counters['openFailures']).toBe(1);
  });
});

describe('sessions of two instances', () => {
  it('see each other’s changes and logouts at once while everything is well', async () => {
    const database = await sharedDatabase();
    const a = await startFull({ database });
    const b = await startFull({ database, keyPrefix: a.keyPrefix });
    await a.save('sid', { visits: 1 });
    const seen = (await b.load('sid'))!;
    seen.visits = 2;
    await b.save('sid', seen);
    expect((await a.load('sid'))?.visits).toBe(2);
    await a.destroy('sid');
    expect(await b.load('sid')).toBeUndefined();
    // A slow request of the other instance must not bring it back, in Redis or in PostgreSQL.
    seen.visits = 3;
    await b.save('sid', seen);
    expect(await a.load('sid')).toBeUndefined();
    expect((await b.rows()).map(({ box, dead }) => [box, dead])).toEqual([[null, true]]);
  });

  it('move to the new epoch together when one of them comes back', async () => {
    const database = await sharedDatabase();
    const a = await startFull({ database });
    const b = await startFull({ database, keyPrefix: a.keyPrefix });
    await a.save('sid', { visits: 1 });
    await b.load('sid');
    a.redisLost();
    await a.save('sid', { visits: 2 });
    await a.redisBack();
    expect((await b.load('sid'))?.visits).toBe(2);
    expect(a.counters['epoch']).toBe(2);
    await eventually(() => b.counters['epoch'] === 2);
  });

  it('ask a Redis that left one call without an answer all the same where PostgreSQL is lost', async () => {
    const database = await sharedDatabase();
    const a = await startFull({ database });
    const b = await startFull({ database, keyPrefix: a.keyPrefix });
    await a.save('first', { visits: 1 });
    await a.save('second', { visits: 1 });
    b.postgresLost();
    redis.freeze();
    await expect(b.load('first')).rejects.toMatchObject({ code: 'ERR_SESSION_UNKNOWN' });
    redis.thaw();
    // In the second after that: nobody else knows the one, and nobody else could tell of the other's end.
    expect(await b.load('first')).toMatchObject({ visits: 1 });
    await b.destroy('second');
    expect(await a.load('second')).toBeUndefined();
  });

  it('a logout that was cut off on its way to Redis is finished by the next one', async () => {
    const database = await sharedDatabase();
    const a = await startFull({ database });
    const b = await startFull({ database, keyPrefix: a.keyPrefix });
    await a.save('sid', { visits: 1 });
    expect(await b.load('sid')).toBeDefined();
    // As if the first instance had died between PostgreSQL and Redis.
    await a.sql.query('update session set dead = true, box = null');
    await b.destroy('sid');
    expect(await a.load('sid')).toBeUndefined();
    expect((await a.records()).filter((text) => !text.endsWith('|'))).toEqual([]);
  });

  it('a change that was cut off on its way to Redis is in nobody’s way for longer than one answer', async () => {
    const database = await sharedDatabase();
    const a = await startFull({ database });
    const b = await startFull({ database, keyPrefix: a.keyPrefix });
    await a.save('sid', { visits: 1 });
    const [[key = '', old = ''] = []] = await readPairs(a);
    expect(await b.load('sid')).toBeDefined();
    await a.save('sid', { visits: 2 });
    await a.inspect.set(key, old, 'PX', 60_000);
    await eventually(async () => {
      const data = (await b.load('sid'))!;
      data.visits = 3;
      await b.save('sid', data);
    });
    expect((await a.load('sid'))?.visits).toBe(3);
  });

  it('create the table together where there is none, with an expiry that connect-pg-simple understands', async () => {
    const database = await sharedDatabase();
    const [a, b] = [await startRig({ database }), await startRig({ database })];
    await Promise.all([a.postgresBack(), b.postgresBack()]);
    await a.save('sid', { user: 'ann' });
    expect(await b.load('sid')).toBeDefined();
    const [row] = await a.rows();
    expect(row?.life).toBeGreaterThan(50);
    expect(row?.life).toBeLessThan(70);
  });

  it('adopt a table that connect-pg-simple made, and leave its rows as they are', async () => {
    const rig = await startRig();
    await rig.sql.engage(AbortSignal.timeout(5_000));
    const own = await readFile(new URL('table.sql', import.meta.resolve('connect-pg-simple')), 'utf8');
    for (const statement of own.split(';').filter((text) => text.trim())) await rig.sql.query(statement);
    await rig.sql.query(`insert into session values ('old', '{"cookie":{}}', now() + interval '1 hour')`);
    await rig.postgresBack();
    await rig.save('sid', { user: 'ann' });
    expect((await rig.load('sid'))?.user).toBe('ann');
    expect((await rig.rows()).map(({ sid }) => sid)).toContain('old');
  });
});

/** Statements that PostgreSQL has run in this database. */
async function transactions(rig: SessionsRig): Promise<number> {
  await rig.sql.query('select pg_stat_force_next_flush()');
  await rig.sql.query('select pg_stat_clear_snapshot()');
  const { rows } = await rig.sql.query<{ n: number }>(
    'select xact_commit::int as n from pg_stat_database where datname = current_database()',
  );
  return rows[0]?.n ?? 0;
}

async function readPairs(rig: SessionsRig): Promise<[key: string, value: string][]> {
  const keys = (await rig.inspect.keys(`${rig.keyPrefix}s:*`)).filter((key) => !key.endsWith('s:epoch'));
  return Promise.all(keys.map(async (key): Promise<[string, string]> => [key, String(await rig.inspect.get(key))]));
}
