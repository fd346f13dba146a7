import connectPgSimple from 'connect-pg-simple';
import session, { type SessionData } from 'express-session';
import type { Pool } from 'pg';

import type { CallOptions, SqlBackend } from '../../backends/types.ts';
import type { Clock } from '../../core/clock.ts';
import type { SessionRecord } from './record.ts';

const PGStore = connectPgSimple(session);

/** What stands in the column `sess`: valid JSON whose cookie says when it ends, as connect-pg-simple wants it. */
interface Row {
  readonly cookie: { readonly expires: string };
  readonly v: number;
  readonly box: string | null;
}

export interface PostgresTierOptions {
  readonly sql: SqlBackend;
  /** Table, or `schema.table`. */
  readonly table: string;
  readonly clock: Clock;
}

/**
 * Sessions in connect-pg-simple's table, through connect-pg-simple itself. Methods throw as `SqlBackend.query` does.
 *
 * A tombstone is a row without a box, so that a write that is replayed later finds that the session was ended.
 * connect-pg-simple's upsert compares nothing: the last write wins.
 */
export class PostgresTier {
  readonly #sql: SqlBackend;
  readonly #clock: Clock;
  readonly #table: string;
  readonly #schema: string | undefined;
  readonly #store: InstanceType<typeof PGStore>;

  constructor({ sql, table, clock }: PostgresTierOptions) {
    this.#sql = sql;
    this.#clock = clock;
    const [name = table, schema] = table.split('.', 2).toReversed();
    this.#table = name;
    this.#schema = schema;
    // All it asks of a pool is query(). Its own table creation remembers a failure for ever and its own
    // timer outlives close(), so both are off: prepare() and our own timer do that.
    const pool = { query: (text: string, values: unknown[]) => sql.query(text, values) };
    this.#store = new PGStore({
      pool: pool as unknown as Pool,
      tableName: name,
      ...(schema === undefined ? {} : { schemaName: schema }),
      pruneSessionInterval: false,
      // It is only called where no callback is given, and every call here gives one.
      errorLog: () => undefined,
    });
  }

  /** Creates the table in connect-pg-simple's layout where it is missing. */
  async prepare(options?: CallOptions): Promise<void> {
    const table = [this.#schema, this.#table]
      .filter((part) => part !== undefined)
      .map(quoteIdentifier)
      .join('.');
    const index = quoteIdentifier(`IDX_${this.#table}_expire`);
    // One statement: atomic, and a second instance that was quicker is no error.
    await this.#sql.query(
      `do $redoubt$ begin
        if to_regclass('${table.replaceAll("'", "''")}') is null then
          create table ${table} (sid varchar not null primary key, sess json not null, expire timestamp(6) not null);
          create index ${index} on ${table} (expire);
        end if;
      exception when duplicate_table or unique_violation then null;
      end $redoubt$`,
      [],
      options,
    );
  }

  async read(id: string): Promise<SessionRecord | undefined> {
    const row = await ask<Row | null | undefined>((done) => this.#store.get(id, done as never));
    if (row === null || row === undefined || typeof row.v !== 'number') return undefined;
    return { version: row.v, box: row.box ?? null };
  }

  async write(id: string, record: SessionRecord, lifeMs: number): Promise<void> {
    const row: Row = { cookie: this.#cookie(lifeMs), v: record.version, box: record.box };
    await ask((done) => this.#store.set(id, row as unknown as SessionData, done));
  }

  /** Prolongs the row that is there, and makes none. */
  async touch(id: string, lifeMs: number): Promise<void> {
    const row = { cookie: this.#cookie(lifeMs) } as unknown as SessionData;
    await ask((done) => this.#store.touch(id, row, done));
  }

  /** Deletes the expired rows. */
  async prune(): Promise<void> {
    await ask((done) => this.#store.pruneSessions(done));
  }

  #cookie(lifeMs: number): Row['cookie'] {
    return { expires: new Date(this.#clock.wallNow() + lifeMs).toISOString() };
  }
}

function ask<T = void>(call: (done: (error?: unknown, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, value) => (error ? reject(error as Error) : resolve(value as T)));
  });
}

function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
