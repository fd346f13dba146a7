import type { SessionData } from 'express-session';

import type { RedisBackend, SqlBackend } from '../../backends/types.ts';
import type { Config } from '../../config/schema.ts';
import { RedoubtError } from '../../core/errors.ts';
import type { PgStore } from './pg-store.ts';
import { type PlainPlace, connectPgSimplePlace, connectRedisPlace } from './plain-places.ts';

/** A session in the clear, and where it lay. */
export interface PlainSession {
  readonly data: SessionData;
  readonly place: PlainPlace;
  /**
   * Removes what was seen, also of the other places, but not from `kept`. What was written since stays: another server
   * may have given the session back. Never fails: what stays is not looked at, and ends by itself.
   */
  readonly clear: (kept?: PlainPlace) => Promise<void>;
}

/** The sessions that other stores left, or keep, in the clear; all that the configuration opens. */
export interface PlainSessions {
  /** Whether they may be looked at now. */
  readonly isOpen: () => boolean;
  /** Where sessions are kept as long as servers without Redoubt run too. */
  readonly home: PlainPlace | undefined;
  /**
   * Looks everywhere; of two, the one that was saved last.
   *
   * @throws {RedoubtError} `ERR_SESSION_UNKNOWN` where one that may have it does not answer
   */
  find(sid: string): Promise<PlainSession | undefined>;
  /** Removes it everywhere. @throws what the first place that fails throws, after all were asked */
  remove(sid: string): Promise<void>;
}

export interface PlainOptions {
  readonly config: Config;
  readonly sql: SqlBackend;
  readonly redis: RedisBackend;
  readonly pgStore: PgStore;
  /** Milliseconds since 1970. */
  readonly wallNow: () => number;
}

/** @returns `undefined` where the configuration opens nothing: then no code that reads plaintext is there at all */
export function createPlainSessions({ config, sql, redis, pgStore, wallNow }: PlainOptions): PlainSessions | undefined {
  const { adopt, retryAfterMs } = config.sessions;
  const { share } = adopt;
  const places: PlainPlace[] = [];
  // First: of two that were saved at the same time, or do not say when, PostgreSQL's cannot be one that
  // Redis brought back out of an old snapshot.
  if ((adopt.postgres || share === 'postgres') && sql.kind !== 'none') places.push(connectPgSimplePlace(sql, pgStore));
  const keyPrefix = adopt.redisPrefix || (share === 'redis' ? CONNECT_REDIS_PREFIX : '');
  if (keyPrefix !== '') places.push(redisPlace({ config, redis, wallNow }, keyPrefix));
  if (places.length === 0) return undefined;
  const until = adopt.until === '' ? Number.POSITIVE_INFINITY : Date.parse(adopt.until);

  return {
    isOpen: () => wallNow() < until,
    home: places.find(({ name }) => name === share),
    async find(sid) {
      const answers = await Promise.all(places.map((place) => place.read(sid))).catch((cause: unknown) => {
        // The one that is silent may have it, or a newer one.
        throw new RedoubtError('ERR_SESSION_UNKNOWN', { retryAfterMs }, { cause });
      });
      const seen = places.flatMap((place, i) => {
        const lying = answers[i];
        return lying ? [{ place, ...lying }] : [];
      });
      const [first, ...others] = seen;
      if (first === undefined) return undefined;
      const last = others.reduce((best, one) => (savedAt(one.data) > savedAt(best.data) ? one : best), first);
      const clear = async (kept?: PlainPlace): Promise<void> => {
        const old = seen.filter(({ place }) => place !== kept);
        await Promise.allSettled(old.map(({ place, text }) => place.removeSame(sid, text)));
      };
      return { data: last.data, place: last.place, clear };
    },
    async remove(sid) {
      const all = await Promise.allSettled(places.map((place) => place.remove(sid)));
      const failed = all.find((result) => result.status === 'rejected');
      if (failed) throw failed.reason;
    },
  };
}

/** Where other stores may have left sessions, whether the configuration opens them or not. */
export function everyPlainPlace(options: PlainOptions): readonly PlainPlace[] {
  const { config, sql, pgStore } = options;
  const redis = redisPlace(options, config.sessions.adopt.redisPrefix || CONNECT_REDIS_PREFIX);
  return sql.kind === 'none' ? [redis] : [connectPgSimplePlace(sql, pgStore), redis];
}

const CONNECT_REDIS_PREFIX = 'sess:';

function redisPlace({ config, redis, wallNow }: Omit<PlainOptions, 'sql' | 'pgStore'>, keyPrefix: string): PlainPlace {
  const { deadlineMs, ttlMs } = config.sessions;
  return connectRedisPlace({ redis, keyPrefix, deadlineMs, ttlMs, wallNow });
}

/**
 * Grows with each save of one session: its cookie's end is the time of the save and a constant. Not the row's own
 * end or the key's, which a touch moves without a change to the content.
 */
function savedAt({ cookie }: SessionData): number {
  const at = cookie.expires ? new Date(cookie.expires).getTime() : Number.NaN;
  return Number.isNaN(at) ? 0 : at;
}
