import type { CallOptions, SqlBackend } from '../backends/types.ts';

/**
 * Numbers that only grow and that all instances share, one for each name, kept in PostgreSQL.
 * Whatever carries an older epoch is fenced: Redis' keys from before an outage are never read again.
 */
export interface Epochs {
  /** Creates the table where it is missing. Every method throws as {@link SqlBackend.query} does. */
  prepare(options?: CallOptions): Promise<void>;
  /** Raises above what is stored and above `floor`, in one statement, so that no two callers get the same. */
  raise(name: string, floor: number, options?: CallOptions): Promise<number>;
}

// One statement, so that it is atomic and the embedded PostgreSQL takes it too. The check comes first
// because CREATE … IF NOT EXISTS asks for rights on the schema even where the table is there.
const CREATE = `do $$ begin
  if to_regclass('redoubt_epoch') is null then
    create table redoubt_epoch (name text primary key, epoch bigint not null);
  end if;
exception when duplicate_table or unique_violation then null;
end $$`;

const RAISE = `insert into redoubt_epoch as e (name, epoch) values ($1, $2::bigint + 1)
on conflict (name) do update set epoch = greatest(e.epoch, $2::bigint) + 1 returning epoch`;

/** The epochs in the table `redoubt_epoch`. */
export function createEpochs(sql: SqlBackend): Epochs {
  return {
    async prepare(options) {
      await sql.query(CREATE, [], options);
    },
    async raise(name, floor, options) {
      const { rows } = await sql.query<{ epoch: string | number }>(RAISE, [name, floor], options);
      return Number(rows[0]?.epoch);
    },
  };
}
