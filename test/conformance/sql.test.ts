import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { DatabaseError } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type PostgresControl, createPostgresBackend } from '../../src/backends/postgres.ts';
import { loadConfig } from '../../src/config/load.ts';
import { systemClock } from '../../src/core/clock.ts';
import { isRedoubtError } from '../../src/core/errors.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { silentLogger } from '../../src/observe/log.ts';
import { eventually } from '../support/eventually.ts';
import { startHop } from '../support/hop.ts';
import { sharedDatabase, startPostgres } from '../support/postgres.ts';

const run = promisify(execFile);
const source = (path: string): string => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);
const never = new AbortController().signal;

interface Rig extends AsyncDisposable {
  readonly sql: PostgresControl;
  readonly outcomes: Outcome[];
}

function createRig(url: string, settings: object = {}): Rig {
  const { config } = loadConfig({ overrides: { postgres: { url, ...settings } }, env: {} });
  const outcomes: Outcome[] = [];
  const observe = (outcome: Outcome): void => void outcomes.push(outcome);
  const sql = createPostgresBackend({ config, log: silentLogger, clock: systemClock, observe });
  return { sql, outcomes, [Symbol.asyncDispose]: () => sql.close(AbortSignal.timeout(5_000)) };
}

/** As the machine does it: probe until it passes, then engage. */
async function use(sql: PostgresControl): Promise<void> {
  await eventually(() => sql.probe(never), { withinMs: 45_000, what: 'a passed probe' });
  await sql.engage(never);
}

async function failureOf(
  call: Promise<unknown>,
): Promise<{ code: string; details: object; ms: number; cause: unknown }> {
  const startedAt = performance.now();
  try {
    await call;
  } catch (error) {
    if (!isRedoubtError(error)) throw error;
    return { code: error.code, details: error.details, ms: performance.now() - startedAt, cause: error.cause };
  }
  throw new Error('the call resolved');
}

const folders: string[] = [];
function embeddedUrl(): string {
  const dir = mkdtempSync(join(tmpdir(), 'redoubt-pglite-'));
  folders.push(dir);
  return `pglite:${dir}`;
}
afterAll(() => {
  for (const dir of folders) rmSync(dir, { recursive: true, force: true });
});

describe.each([
  ['a server', () => sharedDatabase()],
  ['the embedded database', async () => embeddedUrl()],
] as const)('sql on %s', (_name, findUrl) => {
  let rig: Rig;
  let sql: PostgresControl;

  beforeAll(async () => {
    rig = createRig(await findUrl(), { deadline: '2s' });
    sql = rig.sql;
    await use(sql);
    await sql.query('create table item (id int primary key, body jsonb, bytes bytea, at timestamptz, big bigint)');
  });
  afterAll(() => rig[Symbol.asyncDispose]());

  it('gives rows as node-postgres does: jsonb parsed, bigint as text, timestamps as Date, bytea as Buffer', async () => {
    const { rows, rowCount } = await sql.query(
      `select 9007199254740993::bigint as big, '{"a": [1, null]}'::jsonb as body, '\\x00ff'::bytea as bytes,
        timestamptz '2026-01-02T03:04:05Z' as at, true as flag, 1.5::float8 as real, 2.50::numeric as exact,
        array[1, 2] as list, null as nothing, 'ü'::text as text`,
    );
    expect(rowCount).toBe(1);
    expect(rows).toEqual([
      {
        big: '9007199254740993',
        body: { a: [1, null] },
        bytes: Buffer.from([0, 255]),
        at: new Date('2026-01-02T03:04:05Z'),
        flag: true,
        real: 1.5,
        exact: '2.50',
        list: [1, 2],
        nothing: null,
        text: 'ü',
      },
    ]);
    expect(Buffer.isBuffer(rows[0]?.['bytes'])).toBe(true);
  });

  it('takes objects, Buffers, Dates, bigints, arrays and null as parameters and gives them back', async () => {
    const at = new Date('2026-03-04T05:06:07.089Z');
    const body = { name: "O'Brien", deep: { list: [1, 2, 3] } };
    await sql.query('insert into item values ($1, $2, $3, $4, $5)', [1, body, Buffer.from('ab\0c'), at, 2n ** 60n]);
    const { rows } = await sql.query('select body, bytes, at, big from item where id = any($1)', [[1]]);
    expect(rows).toEqual([{ body, bytes: Buffer.from('ab\0c'), at, big: String(2n ** 60n) }]);
    const { rows: nulls } = await sql.query('select $1::text as a, $2::jsonb as b', [null, undefined]);
    expect(nulls).toEqual([{ a: null, b: null }]);
  });

  it('counts the rows that insert, update and delete changed', async () => {
    const inserted = await sql.query('insert into item (id) select generate_series(100, 104)');
    expect(inserted).toEqual({ rows: [], rowCount: 5 });
    expect((await sql.query('update item set big = 7 where id > $1', [101])).rowCount).toBe(3);
    const deleted = await sql.query<{ id: number }>('delete from item where id >= 100 returning id');
    expect(deleted.rowCount).toBe(5);
    expect(deleted.rows.map(({ id }) => id).toSorted()).toEqual([100, 101, 102, 103, 104]);
    expect((await sql.query('delete from item where id = -1')).rowCount).toBe(0);
  });

  it('answers several statements in one text with the result of the last', async () => {
    const { rows } = await sql.query('create table if not exists other (n int); select 5 as n');
    expect(rows).toEqual([{ n: 5 }]);
  });

  it('fault 27: holds a unique violation, a syntax error and an unprintable value against nobody but the caller', async () => {
    await sql.query('insert into item (id) values (200)');
    rig.outcomes.length = 0;
    const violation = await failureOf(sql.query('insert into item (id) values ($1)', [200]));
    expect(violation).toMatchObject({ code: 'ERR_POSTGRES_REPLY', details: { reply: '23505' } });
    expect(violation.cause).toBeInstanceOf(DatabaseError);
    expect(violation.cause).toMatchObject({ code: '23505', constraint: 'item_pkey', table: 'item' });
    expect((await failureOf(sql.query('selekt 1'))).code).toBe('ERR_POSTGRES_REPLY');
    const circular: { self?: unknown } = {};
    circular.self = circular;
    expect((await failureOf(sql.query('select $1::jsonb', [circular]))).code).toBe('ERR_POSTGRES_REPLY');
    expect(rig.outcomes.map(({ kind }) => kind)).toEqual(['application', 'application', 'application']);
    expect((await sql.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  });

  it('answers many concurrent calls, each with its own result', async () => {
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) => sql.query<{ n: number }>('select $1::int as n', [n])),
    );
    expect(answers.map(({ rows }) => rows[0]?.n)).toEqual(Array.from({ length: 200 }, (_, n) => n));
  });

  it('fault 43: ends a call at its deadline, and later answers still belong to their questions', async () => {
    rig.outcomes.length = 0;
    const failure = await failureOf(sql.query("select pg_sleep(1.5), 'late' as answer", [], { deadlineMs: 100 }));
    expect(failure.code).toBe('ERR_DEADLINE');
    expect(failure.ms).toBeLessThan(1_200);
    expect(rig.outcomes).toMatchObject([{ kind: 'timeout' }]);
    const answers = await Promise.all(
      [1, 2, 3].map((n) => sql.query('select $1::int as n', [n]).then(({ rows }) => rows)),
    );
    expect(answers).toEqual([[{ n: 1 }], [{ n: 2 }], [{ n: 3 }]]);
  });

  it('rejects a call under way and every later one at once when it goes out of use, and works again afterwards', async () => {
    const sleeping = failureOf(sql.query('select pg_sleep(1.5)'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    sql.disengage();
    const failure = await sleeping;
    expect(failure).toMatchObject({ code: 'ERR_POSTGRES_UNAVAILABLE', details: { executed: 'unknown' } });
    expect(failure.ms).toBeLessThan(1_200);
    const later = await failureOf(sql.query('select 1'));
    expect(later).toMatchObject({ code: 'ERR_POSTGRES_UNAVAILABLE', details: { executed: 'no' } });
    await use(sql);
    expect((await sql.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  });

  it('measures a probe by the statement alone', async () => {
    const { latencyMs } = await sql.probe(never);
    expect(latencyMs).toBeGreaterThan(0);
    expect(latencyMs).toBeLessThan(1_000);
  });
});

describe.each([
  ['a server', () => sharedDatabase()],
  ['the embedded database', async () => embeddedUrl()],
] as const)('the bounds of sql on %s', (_name, findUrl) => {
  it('refuses with ERR_BACKPRESSURE what its line cannot hold, and keeps what it took', async () => {
    await using rig = createRig(await findUrl(), { poolMax: 1, queueMax: 2, deadline: '5s' });
    await use(rig.sql);
    const taken = [1, 2, 3].map((n) => rig.sql.query('select pg_sleep(0.1), $1::int as n', [n]));
    const refused = await failureOf(rig.sql.query('select 1'));
    expect(refused).toMatchObject({
      code: 'ERR_BACKPRESSURE',
      details: { bound: 'postgres.queueMax', limit: 2 },
    });
    expect((await Promise.all(taken)).map(({ rows }) => rows[0]?.['n'])).toEqual([1, 2, 3]);
  });

  it('lets a call under way finish at close and takes no other', async () => {
    await using rig = createRig(await findUrl());
    await use(rig.sql);
    const last = rig.sql.query("select pg_sleep(0.2), 'done' as answer");
    const closing = rig.sql.close(AbortSignal.timeout(5_000));
    expect((await failureOf(rig.sql.query('select 1'))).code).toBe('ERR_CLOSED');
    expect((await last).rows[0]?.['answer']).toBe('done');
    await closing;
  });
});

const ADD = 'insert into counted (n) values ($1) returning n';
const NAMES = "select name from pg_prepared_statements where name like 'redoubt%'";
/** One connection, so that what a statement left there is met by the next one. */
const openCounted = async (): Promise<Rig> => {
  const rig = createRig(await sharedDatabase(), { poolMax: 1 });
  await use(rig.sql);
  await rig.sql.query('create table counted (n int)');
  return rig;
};
const add = async ({ sql }: Rig, n: number): Promise<unknown> => (await sql.query(ADD, [n], { prepared: true })).rows;
const counted = async ({ sql }: Rig): Promise<unknown> => (await sql.query('select n from counted order by n')).rows;

describe('a statement that is prepared', () => {
  it('is parsed once for a connection', async () => {
    await using rig = await openCounted();
    expect([await add(rig, 1), await add(rig, 2)]).toEqual([[{ n: 1 }], [{ n: 2 }]]);
    expect((await rig.sql.query(NAMES)).rowCount).toBe(1);
  });

  it('is executed once where a pooler gives it a connection that does not know it', async () => {
    await using rig = await openCounted();
    await add(rig, 1);
    await rig.sql.query('deallocate all');
    expect([await add(rig, 2), await add(rig, 3)]).toEqual([[{ n: 2 }], [{ n: 3 }]]);
    expect(await counted(rig)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    expect(rig.outcomes.every(({ kind }) => kind === 'ok')).toBe(true);
  });

  it('is executed once where another client of a pooler has prepared it there', async () => {
    await using first = await openCounted();
    await add(first, 1);
    const { rows } = await first.sql.query<{ name: string }>(NAMES);
    await using rig = await openCounted();
    await rig.sql.query(`prepare ${rows[0]?.name} (int) as ${ADD}`);
    expect([await add(rig, 2), await add(rig, 3)]).toEqual([[{ n: 2 }], [{ n: 3 }]]);
    expect(await counted(rig)).toEqual([{ n: 2 }, { n: 3 }]);
  });

  it('goes on where its table has got other types', async () => {
    await using rig = await openCounted();
    await add(rig, 1);
    await rig.sql.query('alter table counted alter column n type text using n::text');
    expect(await add(rig, 2)).toEqual([{ n: '2' }]);
    expect(await counted(rig)).toEqual([{ n: '1' }, { n: '2' }]);
  });
});

describe('sql on a server that fails', () => {
  it('fault 36: a frozen server ends each call by its deadline, with bounded connections and line', async () => {
    await using server = await startPostgres();
    await using rig = createRig(server.url, {
      deadline: '300ms',
      poolMax: 4,
      queueMax: 10,
      probe: { deadline: '300ms' },
    });
    await use(rig.sql);
    server.freeze();
    const failures = await Promise.all(Array.from({ length: 20 }, () => failureOf(rig.sql.query('select 1 as one'))));
    const codes = failures.map(({ code }) => code);
    expect(codes.filter((code) => code === 'ERR_BACKPRESSURE')).toHaveLength(6);
    expect(codes.filter((code) => code === 'ERR_DEADLINE')).toHaveLength(14);
    expect(Math.max(...failures.map(({ ms }) => ms))).toBeLessThan(1_500);
    const probe = await failureOf(rig.sql.probe(never));
    expect(probe.code).toBe('ERR_DEADLINE');
    rig.sql.disengage();
    server.thaw();
    await use(rig.sql);
    expect((await rig.sql.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  });

  it('disengages from a frozen server without waiting for it', async () => {
    await using server = await startPostgres();
    await using rig = createRig(server.url, { deadline: '10s' });
    await use(rig.sql);
    const calls = Array.from({ length: 5 }, () => failureOf(rig.sql.query('select pg_sleep(0.2)')));
    server.freeze();
    await new Promise((resolve) => setTimeout(resolve, 50));
    rig.sql.disengage();
    const failures = await Promise.all(calls);
    expect(failures.map(({ code }) => code)).toEqual(Array.from({ length: 5 }, () => 'ERR_POSTGRES_UNAVAILABLE'));
    expect(Math.max(...failures.map(({ ms }) => ms))).toBeLessThan(1_000);
  });

  it('hears of a killed server by its idle connections, and uses it again after its restart', async () => {
    await using server = await startPostgres();
    await using rig = createRig(server.url);
    await use(rig.sql);
    let lost = 0;
    rig.sql.onBroken(() => (lost += 1));
    await server.stop();
    await eventually(() => lost > 0);
    const call = await failureOf(rig.sql.query('select 1'));
    expect(call.code).toBe('ERR_POSTGRES_UNAVAILABLE');
    const fault = rig.sql.classify(await rig.sql.probe(never).catch((error: unknown) => error));
    expect(fault).toEqual({ kind: 'lost', code: 'ECONNREFUSED' });
    rig.sql.disengage();
    await server.start();
    await use(rig.sql);
    expect((await rig.sql.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  });

  it.each(['blackhole', 'trickle'] as const)(
    'a hop in mode %s cannot hold a call, a probe or engage past the deadline',
    async (mode) => {
      await using hop = await startHop({ to: Number(new URL(await sharedDatabase()).port) });
      const url = new URL(await sharedDatabase());
      url.port = String(hop.port);
      await using rig = createRig(url.href, {
        deadline: '300ms',
        connectTimeout: '300ms',
        probe: { deadline: '300ms' },
      });
      await use(rig.sql);
      hop.trickleMs = 100;
      hop.mode = mode;
      const call = await failureOf(rig.sql.query('select repeat($1, 100) as long', ['x']));
      expect(call.code).toBe('ERR_DEADLINE');
      const probe = await failureOf(rig.sql.probe(never));
      expect(probe.code).toBe('ERR_DEADLINE');
      rig.sql.disengage();
      const startedAt = performance.now();
      await expect(rig.sql.engage(never)).rejects.toThrow(/./);
      expect(performance.now() - startedAt).toBeLessThan(1_000);
      hop.mode = 'pass';
      await use(rig.sql);
      expect((await rig.sql.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    },
  );

  it('gives a call that asked for more time than usual that time on the server too, and takes it back', async () => {
    await using rig = createRig(await sharedDatabase(), { deadline: '200ms', poolMax: 1 });
    await use(rig.sql);
    const long = await rig.sql.query("select pg_sleep(0.4), 'done' as answer", [], { deadlineMs: 5_000 });
    expect(long.rows[0]?.['answer']).toBe('done');
    expect((await rig.sql.query('show statement_timeout')).rows).toEqual([{ statement_timeout: '180ms' }]);
  });

  it('reads a refused database and a read-only server as what they are', async () => {
    const url = await sharedDatabase();
    await using missing = createRig(url.replace(/test_\w+$/, 'no_such_database'));
    const refused = await missing.sql.probe(never).catch((error: unknown) => missing.sql.classify(error));
    expect(refused).toEqual({ kind: 'refused', code: '3D000' });
    await using readOnly = createRig(`${url}?options=-c%20default_transaction_read_only%3Don`);
    const fault = await readOnly.sql.probe(never).catch((error: unknown) => readOnly.sql.classify(error));
    expect(fault).toEqual({ kind: 'writeRefused', code: 'READ_ONLY' });
  });

  it('reads a client with TLS at a server without it as refused', async () => {
    await using rig = createRig(`${await sharedDatabase()}?sslmode=verify-full`);
    const fault = await rig.sql.probe(never).catch((error: unknown) => rig.sql.classify(error));
    expect(fault).toEqual({ kind: 'refused', code: 'TLS' });
  });
});

describe('the embedded database', () => {
  it('is refused to a second one in the same directory, until the first is closed', async () => {
    const url = embeddedUrl();
    await using second = createRig(url);
    {
      await using first = createRig(url);
      await use(first.sql);
      await first.sql.query('create table kept (n int)');
      expect((await failureOf(second.sql.probe(never))).code).toBe('ERR_EMBEDDED_LOCKED');
    }
    await use(second.sql);
    expect((await second.sql.query('select count(*)::int as n from kept')).rows).toEqual([{ n: 0 }]);
  });

  it('says that it is starting while it is, and keeps the event loop free meanwhile', async () => {
    await using rig = createRig(embeddedUrl(), { probe: { deadline: '100ms' } });
    const fault = await rig.sql.probe(never).catch((error: unknown) => rig.sql.classify(error));
    expect(fault).toEqual({ kind: 'lost', code: 'EMBEDDED_STARTING' });
    let turns = 0;
    const ticking = setInterval(() => (turns += 1), 5);
    const startedAt = performance.now();
    await use(rig.sql);
    clearInterval(ticking);
    // A blocked loop would have turned a handful of times; a free one some hundred.
    expect(turns).toBeGreaterThan((performance.now() - startedAt) / 5 / 4);
  });

  it('is ended and started anew when a statement never ends, and keeps what was committed', async () => {
    await using rig = createRig(embeddedUrl(), { deadline: '300ms', probe: { deadline: '200ms' } });
    await use(rig.sql);
    await rig.sql.query('create table kept (n int); insert into kept values (7)');
    expect((await failureOf(rig.sql.query('select pg_sleep(3600)'))).code).toBe('ERR_DEADLINE');
    rig.sql.disengage();
    await use(rig.sql);
    expect((await rig.sql.query('select n from kept')).rows).toEqual([{ n: 7 }]);
  });
});

describe('a process that never closes the embedded database', () => {
  it('can end all the same', async () => {
    const script = `
      import { createPostgresBackend } from ${source('backends/postgres.ts')};
      import { loadConfig } from ${source('config/load.ts')};
      import { systemClock as clock } from ${source('core/clock.ts')};
      import { silentLogger as log } from ${source('observe/log.ts')};
      const overrides = { postgres: { url: ${JSON.stringify(embeddedUrl())}, probe: { deadline: '60s' } } };
      const { config } = loadConfig({ env: {}, overrides });
      const sql = createPostgresBackend({ config, log, clock, observe: () => {} });
      await sql.probe(new AbortController().signal);
      await sql.engage(new AbortController().signal);
      process.stdout.write(JSON.stringify((await sql.query('select 1 as one')).rows));`;
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { timeout: 45_000 });
    expect(JSON.parse(stdout)).toEqual([{ one: 1 }]);
  });
});

describe('sql without PostgreSQL', () => {
  it('says so at once', async () => {
    await using rig = createRig('none');
    expect(rig.sql.kind).toBe('none');
    expect((await failureOf(rig.sql.query('select 1'))).code).toBe('ERR_POSTGRES_UNAVAILABLE');
  });
});
