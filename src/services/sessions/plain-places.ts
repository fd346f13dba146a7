import type { SessionData } from 'express-session';

import type { RedisBackend, SqlBackend } from '../../backends/types.ts';
import type { PgStore } from './pg-store.ts';
import { lifeMsOf } from './record.ts';

/** A session as it lay in a place. */
export interface Lying {
  readonly data: SessionData;
  /** As it was written, for telling whether it is still the same. */
  readonly text: string;
}

/** Where another store keeps sessions in the clear, under their own ids. Methods throw what its backend throws. */
export interface PlainPlace {
  readonly name: 'postgres' | 'redis';
  read(sid: string): Promise<Lying | undefined>;
  write(sid: string, data: SessionData): Promise<void>;
  /** Prolongs what is there, and makes nothing. */
  touch(sid: string, data: SessionData): Promise<void>;
  remove(sid: string): Promise<void>;
  /** Removes it unless it has been written since. */
  removeSame(sid: string, text: string): Promise<void>;
}

/** A further key of the cookie, which old servers take and do not write: each giving back has a text of its own. */
const MARK = 'redoubt';

/** The session with the version that its record has when it is given back. */
export function withMark(data: SessionData, version: number): SessionData {
  const cookie = { ...data.cookie, [MARK]: version } as SessionData['cookie'];
  return { ...data, cookie };
}

/** The rows of connect-pg-simple, through its own store: what they look like is its matter. */
export function connectPgSimplePlace(sql: SqlBackend, { store, quotedTable }: PgStore): PlainPlace {
  // Not by its text: another client may have put spaces there.
  const deleteSame = `delete from ${quotedTable} where sid = $1 and sess::jsonb = $2::jsonb`;
  return {
    name: 'postgres',
    // A sealed row has no session in its `sess`, so none is ever taken for one that lies in the clear.
    read: async (sid) => lyingOf(await call<SessionData | null>((done) => store.get(sid, done))),
    write: (sid, data) => call((done) => store.set(sid, data, done)),
    // What its type does not say: the callback gets an error.
    touch: (sid, data) => call((done) => store.touch?.(sid, data, done as () => void)),
    remove: (sid) => call((done) => store.destroy(sid, done)),
    removeSame: async (sid, text) => void (await sql.query(deleteSame, [sid, text])),
  };
}

function call<T>(work: (done: (error?: unknown, value?: T) => void) => void): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    work((error, value) => (error ? reject(error as Error) : resolve(value)));
  });
}

export interface ConnectRedisOptions {
  readonly redis: RedisBackend;
  readonly keyPrefix: string;
  readonly deadlineMs: number;
  /** Life of a session whose cookie has no end of its own. */
  readonly ttlMs: number;
  readonly wallNow: () => number;
}

/**
 * The keys of connect-redis: JSON under its prefix and the session id, with a time to live. Not through its own store,
 * which needs a client of another library, one without our deadlines.
 */
export function connectRedisPlace({ redis, keyPrefix, deadlineMs, ttlMs, wallNow }: ConnectRedisOptions): PlainPlace {
  const key = (sid: string): string => keyPrefix + sid;
  const lifeMs = (data: SessionData): number => Math.ceil(lifeMsOf(data, ttlMs, wallNow()));
  const options = { deadlineMs };
  return {
    name: 'redis',
    read: async (sid) => parse(await redis.call((client) => client.get(key(sid)), options)),
    write: async (sid, data) =>
      void (await redis.call((client) => client.set(key(sid), JSON.stringify(data), 'PX', lifeMs(data)), options)),
    touch: async (sid, data) => void (await redis.call((client) => client.pexpire(key(sid), lifeMs(data)), options)),
    remove: async (sid) => void (await redis.call((client) => client.del(key(sid)), options)),
    removeSame: async (sid, text) =>
      void (await redis.call((client) => client.eval(REMOVE_SAME, 1, key(sid), text), options)),
  };
}

const REMOVE_SAME = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`;

function parse(text: string | null): Lying | undefined {
  if (text === null) return undefined;
  try {
    return lyingOf(JSON.parse(text), text);
  } catch {
    // Written with another serializer: not a session that we could read, now or later.
    return undefined;
  }
}

/** express-session cannot make a session of anything without a cookie. */
function lyingOf(value: unknown, text = JSON.stringify(value)): Lying | undefined {
  const { cookie } = (typeof value === 'object' && value !== null ? value : {}) as { cookie?: unknown };
  if (typeof cookie !== 'object' || cookie === null) return undefined;
  Reflect.deleteProperty(cookie, MARK);
  return { data: value as SessionData, text };
}
