import type { Redis } from 'ioredis';
import type * as pg from 'pg';

// Both are loaded on use: they are half of what a start loads, and an application without PostgreSQL needs one of them.

let redis: typeof Redis | undefined;
let postgres: typeof pg | undefined;

/** ioredis' client class; loaded once. */
export async function loadRedisDriver(): Promise<typeof Redis> {
  redis ??= (await import('ioredis')).Redis;
  return redis;
}

/** node-postgres; loaded once. */
export async function loadPostgresDriver(): Promise<typeof pg> {
  postgres ??= (await import('pg')).default as unknown as typeof pg;
  return postgres;
}
