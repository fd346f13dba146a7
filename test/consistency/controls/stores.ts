import connectPgSimple from 'connect-pg-simple';
import session, { type SessionData } from 'express-session';
import { Redis } from 'ioredis';
import { Pool } from 'pg';

/** What both controls are built of: sessions in one place, by promise. */
export interface PlainTier {
  get(sid: string): Promise<SessionData | undefined>;
  set(sid: string, data: SessionData): Promise<void>;
  destroy(sid: string): Promise<void>;
}

const DEADLINE_MS = 250;
const TTL_MS = 24 * 60 * 60 * 1000;

const CREATE = `create table if not exists session
  (sid varchar not null primary key, sess json not null, expire timestamp(6) not null)`;
const key = (sid: string): string => `sess:${sid}`;

/** JSON under `sess:`, as connect-redis writes it, with the options that make ioredis fail fast. */
export function redisTier(url: string): PlainTier {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: DEADLINE_MS,
    connectTimeout: DEADLINE_MS,
    retryStrategy: () => 50,
  });
  redis.on('error', () => undefined);
  return {
    async get(sid) {
      const text = await within(redis.get(key(sid)));
      return text === null ? undefined : (JSON.parse(text) as SessionData);
    },
    async set(sid, data) {
      await within(redis.set(key(sid), JSON.stringify(data), 'PX', TTL_MS));
    },
    async destroy(sid) {
      await within(redis.del(key(sid)));
    },
  };
}

/** connect-pg-simple on a pool with deadlines. */
export async function postgresTier(url: string): Promise<PlainTier> {
  const pool = new Pool({ connectionString: url, connectionTimeoutMillis: 1_000, query_timeout: 1_000, max: 10 });
  pool.on('error', () => undefined);
  const PGStore = connectPgSimple(session);
  // Its own creation of the table fails for good where two instances try at once.
  await pool.query(CREATE);
  const store = new PGStore({ pool, pruneSessionInterval: false, errorLog: () => undefined });
  return {
    get: async (sid) => (await ask<SessionData | null>((done) => store.get(sid, done as never))) ?? undefined,
    set: (sid, data) => ask((done) => store.set(sid, data, done)),
    destroy: (sid) => ask((done) => store.destroy(sid, done)),
  };
}

/** An express-session store of promises. */
export class PlainStore extends session.Store {
  readonly #tier: PlainTier;

  constructor(tier: PlainTier) {
    super();
    this.#tier = tier;
  }

  override get(sid: string, callback: (error: unknown, data?: SessionData) => void): void {
    void answer(this.#tier.get(sid), callback);
  }

  override set(sid: string, data: SessionData, callback?: (error?: unknown) => void): void {
    void answer(this.#tier.set(sid, data), callback);
  }

  override destroy(sid: string, callback?: (error?: unknown) => void): void {
    void answer(this.#tier.destroy(sid), callback);
  }
}

async function answer<T>(work: Promise<T>, callback?: (error: unknown, value?: NonNullable<T>) => void): Promise<void> {
  const [error, value] = await work.then(
    (done) => [null, done] as const,
    (failed: unknown) => [failed, undefined] as const,
  );
  callback?.(error, value ?? undefined);
}

function ask<T = void>(call: (done: (error?: unknown, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, value) => (error ? reject(error as Error) : resolve(value as T)));
  });
}

/** ioredis' own timeout leaves some calls of a broken connection unsettled. */
async function within<T>(call: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), 2 * DEADLINE_MS);
  });
  try {
    return await Promise.race([call, expired]);
  } finally {
    clearTimeout(timer);
  }
}
