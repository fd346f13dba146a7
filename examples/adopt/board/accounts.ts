import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

import type { Pool } from 'pg';

/** Somebody who may post. */
export interface Account {
  readonly id: number;
  readonly name: string;
}

const derive = promisify<string, string, number, Buffer>(scrypt);

/** Makes an account; `undefined` where somebody else has the name. */
export async function signUp(pool: Pool, name: string, password: string): Promise<Account | undefined> {
  const salt = randomBytes(16).toString('hex');
  const hash = (await derive(password, salt, 32)).toString('hex');
  const { rows } = await pool.query<Account>(
    'insert into account (name, password) values ($1, $2) on conflict do nothing returning id, name',
    [name, `${salt}:${hash}`],
  );
  return rows[0];
}

/** The account of this name, if it is this password's. */
export async function checkPassword(pool: Pool, name: string, password: string): Promise<Account | undefined> {
  const { rows } = await pool.query<Account & { password: string }>('select * from account where name = $1', [name]);
  const [found] = rows;
  if (!found) return undefined;
  const [salt = '', hash = ''] = found.password.split(':');
  const given = await derive(password, salt, 32);
  return timingSafeEqual(given, Buffer.from(hash, 'hex')) ? { id: found.id, name: found.name } : undefined;
}

export async function findAccount(pool: Pool, id: number): Promise<Account | undefined> {
  const { rows } = await pool.query<Account>('select id, name from account where id = $1', [id]);
  return rows[0];
}
