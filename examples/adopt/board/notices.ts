import type { Pool } from 'pg';

/** One notice, as JSON carries it. */
export interface Notice {
  readonly id: number;
  readonly author: string;
  readonly text: string;
}

export async function postNotice(pool: Pool, author: string, text: string): Promise<Notice> {
  const { rows } = await pool.query<Notice>(
    'insert into notice (author, text) values ($1, $2) returning id, author, text',
    [author, text],
  );
  return rows[0]!;
}

/** The last twenty, newest first. */
export async function latestNotices(pool: Pool): Promise<Notice[]> {
  const { rows } = await pool.query<Notice>('select id, author, text from notice order by id desc limit 20');
  return rows;
}

export async function findNotice(pool: Pool, id: number): Promise<Notice | null> {
  const { rows } = await pool.query<Notice>('select id, author, text from notice where id = $1', [id]);
  return rows[0] ?? null;
}
