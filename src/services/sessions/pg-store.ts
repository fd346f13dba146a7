import connectPgSimple from 'connect-pg-simple';
import type session from 'express-session';
import type { Pool } from 'pg';

import type { SqlBackend } from '../../backends/types.ts';
import { Store } from './express-session.ts';

// All that it asks of express-session.
const PgSimple = connectPgSimple({ Store } as typeof session);

/** connect-pg-simple's own store, and the name of its table as SQL takes it. */
export interface PgStore {
  readonly store: InstanceType<typeof PgSimple>;
  readonly quotedTable: string;
  /** The table's name alone, for naming an index. */
  readonly name: string;
}

/**
 * A real connect-pg-simple store on our backend: its statements run under our deadlines and bounds, and tell the
 * detector how they went.
 *
 * Its `createTableIfMissing` stays off: two instances that start together fail on each other's CREATE, a failure is
 * remembered for ever, and its key and index have the same names for every table. So does its pruning: its timer
 * outlives `close()`.
 *
 * @param table - table, or `schema.table`
 * @param ttlMs - life of a session whose cookie has no end of its own
 */
export function createPgStore(sql: SqlBackend, table: string, ttlMs: number): PgStore {
  const [name = table, schema] = table.split('.', 2).toReversed();
  // All that it asks of a pool.
  const pool = { query: (text: string, values: unknown[]) => sql.query(text, values) };
  const store = new PgSimple({
    pool: pool as unknown as Pool,
    tableName: name,
    ...(schema === undefined ? {} : { schemaName: schema }),
    ttl: ttlMs / 1000,
    pruneSessionInterval: false,
    errorLog: () => undefined,
  });
  return { store, name, quotedTable: (store as unknown as { quotedTable(): string }).quotedTable() };
}
