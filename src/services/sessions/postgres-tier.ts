import type { CallOptions, QueryOptions, SqlBackend } from '../../backends/types.ts';
import { RedoubtError } from '../../core/errors.ts';
import { Batch } from './batch.ts';
import type { PgStore } from './pg-store.ts';
import type { SessionRecord, WriteResult } from './record.ts';

/** In the place of a tombstone's box in a joined text. */
const TOMBSTONE = '-';
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

/** A write's result, with the epoch that was current when its statement began. */
export type PostgresWriteResult = { readonly epoch: number } & (
  | Extract<WriteResult, { status: 'stored' }>
  | (Extract<WriteResult, { status: 'held' }> & { readonly lifeMs: number })
);

/** What a read found, with the epoch that was current when its statement began. */
export interface PostgresFound {
  readonly record: SessionRecord | undefined;
  /** How long the row has to live. */
  readonly lifeMs: number;
  readonly epoch: number;
}

interface Touch {
  readonly id: string;
  readonly lifeMs: number;
}

interface Written {
  readonly epoch: number;
  /** The version that it has now; `undefined` where it was not taken. */
  readonly version: number | undefined;
}

export interface PostgresTierOptions {
  readonly sql: SqlBackend;
  /** connect-pg-simple names its table. */
  readonly table: Omit<PgStore, 'store'>;
  /** How much earlier than asked for a row may expire. */
  readonly expirySlackMs: number;
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
  readonly #expirySlackMs: number;
  readonly #deadlineMs: () => number;
  readonly #reads: Batch<string, PostgresFound>;
  readonly #writes: Batch<Write, Written>;
  readonly #touches: Batch<Touch, void>;

  constructor({ sql, table, epochSql, expirySlackMs, waitingMax, deadlineMs }: PostgresTierOptions) {
    this.#sql = sql;
    this.#expirySlackMs = expirySlackMs;
    this.#epochSql = epochSql;
    this.#deadlineMs = deadlineMs;
    this.#table = table.quotedTable;
    this.#index = quoteIdentifier(`IDX_${table.name}_expire`);
    const shared = { parallel: PARALLEL, size: GROUP, waitingMax, bound: 'sessions.memoryMax' };
    this.#reads = new Batch({ ...shared, run: (ids) => this.#readAll(ids) });
    this.#writes = new Batch({ ...shared, run: (writes) => this.#writeAll(writes), keyOf: ({ id }) => id });
    this.#touches = new Batch({ ...shared, run: (touches) => this.#touchAll(touches), keyOf: ({ id }) => id });
  }

  /** Creates the table in connect-pg-simple's layout where it is missing, and adds our columns to one that is there. */
  async prepare(options?: CallOptions): Promise<void> {
    const table = this.#table;
    const literal = `'${table.replaceAll("'", "''")}'`;
    // Room on each page: a session that is written again stays there, and no index is touched (measured: a third more
    // writes, and a table that does not grow). One statement: atomic, and a second instance that was quicker is no error. ALTER TABLE is only
    // asked for where a column is missing, since it needs the table's owner and a lock.
    await this.#sql.query(
      `do $redoubt$ begin
        if to_regclass(${literal}) is null then
          create table ${table} (sid varchar not null primary key, sess json not null, expire timestamp(6) not null)
            with (fillfactor = 60);
          create index ${this.#index} on ${table} (expire);
        end if;
        if (select count(*) from pg_attribute where attrelid = to_regclass(${literal})
            and attname in ('version', 'dead', 'box') and not attisdropped) < 3 then
          alter table ${table} add column if not exists version bigint not null default 0,
            add column if not exists dead boolean not null default false, add column if not exists box text;
        end if;
      exception when duplicate_table or duplicate_object or unique_violation or duplicate_column then null;
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
   * Writes the record unless the row is a tombstone or not older; concurrent writes share a statement. A tombstone
   * takes the version after the one that it ends, so that it tells what the session was at its end.
   *
   * @throws {RedoubtError} `ERR_POSTGRES_UNAVAILABLE` where the row was gone in the very moment of the write, too
   */
  async write(id: string, record: SessionRecord, lifeMs: number): Promise<PostgresWriteResult> {
    const { version, epoch } = await this.#writes.add({ id, record, lifeMs });
    if (version !== undefined) return { status: 'stored', version, epoch };
    const found = await this.read(id);
    const held = found.record;
    // It has expired in between.
    if (held === undefined) throw new RedoubtError('ERR_POSTGRES_UNAVAILABLE', { executed: 'no' });
    // Our own write, whose answer was lost (a box is never sealed twice alike), or a second logout.
    if (held.box === record.box) return { status: 'stored', version: held.version, epoch: found.epoch };
    return { status: 'held', held, lifeMs: found.lifeMs, epoch: found.epoch };
  }

  /** Prolongs the row that is there, and makes none. */
  touch(id: string, lifeMs: number): Promise<void> {
    return this.#touches.add({ id, lifeMs });
  }

  /** How many sessions live. */
  async count(): Promise<number> {
    const { rows } = await this.#sql.query<{ count: string }>(
      `select count(*) from ${this.#table} where expire > now() and box is not null and not dead`,
    );
    return Number(rows[0]?.count);
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

  #statement(): QueryOptions {
    return { deadlineMs: this.#deadlineMs(), prepared: true };
  }

  async #readAll(ids: readonly string[]): Promise<readonly PostgresFound[]> {
    const { rows } = await this.#sql.query<ReadRow>(
      `select s.sid, s.version, s.box, extract(epoch from s.expire - now()::timestamp)::float8 * 1000 as life, e.epoch
       from (select ${this.#epochSql} as epoch) e
       left join ${this.#table} s on s.sid = any(string_to_array($1, ' ')) and s.expire > now() and (s.dead or s.box is not null)`,
      [[...new Set(ids)].join(' ')],
      this.#statement(),
    );
    const epoch = Number(rows[0]?.epoch ?? 0);
    const bySid = new Map(rows.map((row) => [row.sid, row]));
    return ids.map((id) => {
      const row = bySid.get(id);
      if (row === undefined) return { record: undefined, lifeMs: 0, epoch };
      return { record: { version: Number(row.version), box: row.box }, lifeMs: row.life ?? 1, epoch };
    });
  }

  async #writeAll(writes: readonly Write[]): Promise<readonly Written[]> {
    // In the order of the ids: two groups that meet in the same rows must not lock each other out. Texts joined with
    // blanks, which neither ids nor boxes have: arrays cost the driver four times as much. One row answers for all.
    // An expiry that moves by less than a touch may be late stays: else each write would renew the index entries too.
    const { rows } = await this.#sql.query<WriteRow>(
      `with up as (
         insert into ${this.#table} as s (sid, sess, expire, version, dead, box)
         select id, '${NO_CONTENT}'::json, now() + life * interval '1 ms', version, box = '${TOMBSTONE}', nullif(box, '${TOMBSTONE}')
         from unnest(string_to_array($1, ' '), string_to_array($2, ' ')::bigint[], string_to_array($3, ' '),
           string_to_array($4, ' ')::float8[]) as n (id, version, box, life) order by id
         on conflict (sid) do update
           set expire = case
               when excluded.dead then greatest(s.expire, excluded.expire)
               when abs(extract(epoch from excluded.expire - s.expire)) * 1000
                 < least($5, extract(epoch from s.expire - now()::timestamp) * 100) then s.expire
               else excluded.expire end,
             version = case when excluded.dead then greatest(s.version + 1, excluded.version) else excluded.version end,
             dead = excluded.dead, box = excluded.box
           where not s.dead and (excluded.dead or s.version < excluded.version or s.expire <= now())
         returning s.sid, s.version, s.dead
       )
       select ${this.#epochSql} as epoch, count(*)::int as taken,
         case when count(*) < $6::int or bool_or(dead) then json_object_agg(sid, version) end as versions from up`,
      [
        writes.map(({ id }) => id).join(' '),
        writes.map(({ record }) => record.version).join(' '),
        writes.map(({ record }) => record.box ?? TOMBSTONE).join(' '),
        writes.map(({ lifeMs }) => lifeMs).join(' '),
        this.#expirySlackMs,
        writes.length,
      ],
      this.#statement(),
    );
    const { epoch, taken, versions } = rows[0]!;
    return writes.map(({ id, record }) => {
      const version = versions ? versions[id] : taken === writes.length ? record.version : undefined;
      return { epoch: Number(epoch), version };
    });
  }

  async #touchAll(touches: readonly Touch[]): Promise<readonly void[]> {
    await this.#sql.query(
      `update ${this.#table} s set expire = now() + n.life * interval '1 ms'
       from unnest(string_to_array($1, ' '), string_to_array($2, ' ')::float8[]) as n (id, life)
       where s.sid = n.id and not s.dead`,
      [touches.map(({ id }) => id).join(' '), touches.map(({ lifeMs }) => lifeMs).join(' ')],
      this.#statement(),
    );
    return touches.map(() => undefined);
  }
}

interface ReadRow {
  readonly sid: string | null;
  readonly version: string;
  readonly box: string | null;
  readonly life: number | null;
  readonly epoch: string;
}

interface WriteRow {
  readonly epoch: string;
  readonly taken: number;
  /** By id; only where not all were taken as they came. */
  readonly versions: Readonly<Record<string, number>> | null;
}

function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
