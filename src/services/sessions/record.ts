import { hash } from 'node:crypto';

import type { SessionData } from 'express-session';
import { LRUCache } from 'lru-cache';

/** A session at rest: a sealed box, or `null` for a tombstone. Versions count writes, never time. */
export interface SessionRecord {
  readonly version: number;
  readonly box: string | null;
}

/** What a shared tier did with a write. */
export type WriteResult =
  /** The version it has now: a tombstone takes the one after the version that it ended. */
  | { readonly status: 'stored'; readonly version: number }
  /** Not taken: what it holds is not older, or a tombstone. A tombstone that meets a tombstone is as good as stored. */
  | { readonly status: 'held'; readonly held: SessionRecord }
  /** Not taken, and nobody reads this id there: Redis has lost its epoch, or has a newer one. */
  | { readonly status: 'void' }
  /** Refused or unanswered: what the tier holds now is unknown. */
  | { readonly status: 'failed' };

/** A logout always wins; then the higher version; of equals, `b`. */
export function newerRecord(a: SessionRecord, b: SessionRecord): SessionRecord {
  if (a.box === null) return a;
  return b.box === null || b.version >= a.version ? b : a;
}

/** Ten years: what a store's own calendar can hold, whatever an application asks for. */
const MAX_LIFE_MS = 10 * 365 * 86_400_000;

/** A request asks for the id of its session several times, and a page makes many requests. */
const ids = new LRUCache<string, string>({ max: 4096, memoMethod: (sid) => hash('sha256', sid, 'base64url') });

/** The name of a session at rest. Who reads a backup must not find session ids that work as cookies. */
export function recordId(sid: string): string {
  return ids.memo(sid);
}

/** How long a session that is only read is left as it is: a short one must not run out much before its time. */
export function touchPauseMs(touchEveryMs: number, lifeMs: number): number {
  return Math.min(touchEveryMs, lifeMs / 20);
}

/**
 * How long a session that is used now may live, in milliseconds.
 *
 * `originalMaxAge` first: `expires` in a stored cookie is that of the last write, which a touch since then has moved.
 */
export function lifeMsOf(session: SessionData, ttlMs: number, wallNow: number): number {
  // One that was given to the store by other code than express-session's need not have a cookie.
  const { originalMaxAge, expires } = (session.cookie as SessionData['cookie'] | undefined) ?? {};
  let lifeMs = Number.NaN;
  if (typeof originalMaxAge === 'number') lifeMs = originalMaxAge;
  else if (expires) lifeMs = new Date(expires).getTime() - wallNow;
  return Number.isNaN(lifeMs) ? ttlMs : Math.min(MAX_LIFE_MS, Math.max(1, lifeMs));
}
