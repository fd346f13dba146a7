import connectPgSimple from 'connect-pg-simple';
import session from 'express-session';
import type { Pool } from 'pg';

import type { CallOptions, SqlBackend } from '../../backends/types.ts';
import { Batch } from './batch.ts';
import type { SessionRecord, WriteResult } from './record.ts';

const PGStore = connectPgSimple(session);

/** What stands in the column `sess` of a sealed row: connect-pg-simple wants JSON there, and nobody reads it. */
const NO_CONTENT = '{}';
const PRUNE_BATCH = 2000;
/** Two statements in flight keep PostgreSQL busy while the next group gathers; more make the groups smaller. */
const PARALLEL = 2;
const GROUP = 500;

interface Write {
  readonly id: string;
  readonly record: SessionRecord;
  readonly lifeMs: number;
}

/** A write's result, with the epoch that was current when its statement began; 0 where that is not known. */
export type PostgresWriteResult = WriteResult & { readonly epoch: number };

/** What a read found, with the epoch that was current when its statement began. */
export interface PostgresFound {
  readonly record: SessionRecord | undefined;
  readonly epoch: number;
}

export interface PostgresTierOptions {
  readonly sql: SqlBackend;
  /** Table, or `schema.table`. */
  readonly table: string;
  /** SQL that gives the current epoch, or `0`. */
  readonly epochSql: string;
  /** Most reads, and most writes, that wait for a statement. */
  readonly waitingMax: number;
  /** Longest wait for a statement that leaves now. */
  readonly deadlineMs: () => number;
}

/**
 * Sessions in connect-pg-simple's table, with three columns added: `version`, `dead` and `box`. Its own
 * rows stay as they are. Methods throw as `SqlBackend.query` does.
 *
 * A row is written over by a higher version only, and a tombstone by nothing: it stays to the end of the
 * session's life, so that a write that comes late finds that the session was ended. Time is the server's.
 */
export class PostgresTier {
  readonly #sql: SqlBackend;
  readonly #table: string;
  readonly #index: string;
  readonly #epochSql: string;
  readonly #deadlineMs: () => number;
  readonly #reads: Batch<string, PostgresFound>;
  readonly #writes: Batch<Write, PostgresWriteResult>;

  constructor({ sql, table, epochSql, waitingMax, deadlineMs }: PostgresTierOptions) {
    this.#sql = sql;
    this.#epochSql = epochSql;
    this.#deadlineMs = deadlineMs;
    const [name = table, schema] = table.split('.', 2).toReversed();
    // connect-pg-simple names its table. Its own table creation remembers a failure for ever, and its timer
    // outlives close(): both are off.
    const pool = { query: (text: string, values: unknown[]) => sql.query(text, values) };
    const store = new PGStore({
      pool: pool as unknown as Pool,
      tableName: name,
      ...(schema === undefined ? {} : { schemaName: schema }),
      pruneSessionInterval: false,
      errorLog: () => undefined,
    });
    this.#table = (store as unknown as { quotedTable(): string }).quotedTable();
    this.#index = quoteIdentifier(`IDX_${name}_expire`);
    const shared = { parallel: PARALLEL, size: GROUP, waitingMax, bound: 'sessions.memoryMax' };
    this.#reads = new Batch({ ...shared, run: (ids) => this.#readAll(ids) });
    this.#writes = new Batch({ ...shared, run: (writes) => this.#writeAll(writes), keyOf: ({ id }) => id });
  }

  /** Creates the table in connect-pg-simple's layout where it is missing, and adds our columns to one that is there. */
  async prepare(options?: CallOptions): Promise<void> {
    const table = this.#table;
    const literal = `'${table.replaceAll("'", "''")}'`;
    // One statement: atomic, and a second instance that was quicker is no error. ALTER TABLE is only
    // asked for where a column is missing, since it needs the table's owner and a lock.
    await this.#sql.query(
      `do $redoubt$ begin
        if to_regclass(${literal}) is null then
          create table ${table} (sid varchar not null primary key, sess json not null, expire timestamp(6) not null);
          create index ${this.#index} on ${table} (expire);
        end if;
        if (select count(*) from pg_attribute where attrelid = to_regclass(${literal})
            and attname in ('version', 'dead', 'box') and not attisdropped) < 3 then
          alter table ${table} add column if not exists version bigint not null default 0,
            add column if not exists dead boolean not null default false, add column if not exists box text;
        end if;
      exception when duplicate_table or unique_violation or duplicate_column then null;
      end $redoubt$`,
      [],
      options,
    );
  }

  /** Concurrent reads share a statement, those of one id a row. */
  read(id: string): Promise<PostgresFound> {
    return this.#reads.add(id);
  }

  /**
   * Writes the record unless the row is a tombstone or not older; concurrent writes share a statement.
   *
   * @returns `conflict` with what is there instead
   */
  async write(id: string, record: SessionRecord, lifeMs: number): Promise<PostgresWriteResult> {
    const written = await this.#writes.add({ id, record, lifeMs });
    if (written.status === 'stored') return written;
    const { record: held, epoch } = await this.read(id);
    if (held?.box === null) return { status: 'dead', epoch };
    // Our own write, whose answer was lost: a box is never sealed twice alike.
    if (held?.box === record.box) return { status: 'stored', epoch };
    // Expired in between, or a row of connect-pg-simple's own: neither can be under a hash that we made.
    return held ? { status: 'conflict', held, epoch } : { status: 'failed', epoch };
  }

  /** Prolongs the row that is there, and makes none. */
  async touch(id: string, lifeMs: number): Promise<void> {
    await this.#sql.query(
      `update ${this.#table} set expire = now() + $2 * interval '1 ms' where sid = $1 and not dead`,
      [id, lifeMs],
    );
  }

  /** Deletes the expired rows, connect-pg-simple's own too, some at a time so that no statement takes long. */
  async prune(): Promise<void> {
    for (let deleted = PRUNE_BATCH; deleted === PRUNE_BATCH;) {
      const { rowCount } = await this.#sql.query(
        `delete from ${this.#table} where sid = any(array(
           select sid from ${this.#table} where expire < now() limit ${PRUNE_BATCH} for update skip locked))`,
      );
      deleted = rowCount;
    }
  }

  async #readAll(ids: readonly string[]): Promise<readonly PostgresFound[]> {
    const { rows } = await this.#sql.query<{ sid: string | null; version: string; box: string | null; epoch: string }>(
      `select s.sid, s.version, s.box, e.epoch from (select ${this.#epochSql} as epoch) e
       left join ${this.#table} s on s.sid = any($1) and s.expire > now() and (s.dead or s.box is not null)`,
      [[...new Set(ids)]],
      { deadlineMs: this.#deadlineMs() },
    );
    const epoch = Number(rows[0]?.epoch ?? 0);
    const found = new Map(rows.map(({ sid, version, box }) => [sid, { version: Number(version), box }]));
    return ids.map((id) => ({ record: found.get(id), epoch }));
  }

  async #writeAll(writes: readonly Write[]): Promise<readonly PostgresWriteResult[]> {
    // In the order of the ids: two groups that meet in the same rows must not lock each other out.
    const { rows } = await this.#sql.query<{ sid: string; epoch: string }>(
      `insert into ${this.#table} as s (sid, sess, expire, version, dead, box)
       select id, '${NO_CONTENT}'::json, now() + life * interval '1 ms', version, box is null, box
       from unnest($1::text[], $2::bigint[], $3::text[], $4::float8[]) as n (id, version, box, life) order by id
       on conflict (sid) do update
         set expire = excluded.expire, version = excluded.version, dead = excluded.dead, box = excluded.box
         where not s.dead and (excluded.dead or s.version < excluded.version or s.expire <= now())
       returning s.sid, ${this.#epochSql} as epoch`,
      [
        writes.map(({ id }) => id),
        writes.map(({ record }) => record.version),
        writes.map(({ record }) => record.box),
        writes.map(({ lifeMs }) => lifeMs),
      ],
      { deadlineMs: this.#deadlineMs() },
    );
    const stored = new Set(rows.map(({ sid }) => sid));
    const epoch = Number(rows[0]?.epoch ?? 0);
    return writes.map(({ id }) => (stored.has(id) ? { status: 'stored', epoch } : { status: 'failed', epoch }));
  }
}

function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
