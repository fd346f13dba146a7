import { Pool } from 'pg';

const TABLES = `
  create table if not exists account (
    id int generated always as identity primary key,
    name text not null unique,
    password text not null
  );
  create table if not exists notice (
    id int generated always as identity primary key,
    author text not null,
    text text not null,
    posted_at timestamptz not null default now(),
    mailed_at timestamptz
  );`;

/** Opens the application's own tables, which it makes at its first start. */
export async function openDatabase(url: string): Promise<Pool> {
  const pool = new Pool({ connectionString: url });
  // A connection that breaks while nobody uses it is replaced by the pool.
  pool.on('error', (error) => console.error(error.message));
  await pool.query(TABLES);
  return pool;
}
