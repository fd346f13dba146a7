import type { SessionData } from 'express-session';

import { RedoubtError, isRedoubtError } from '../../core/errors.ts';

/** What express-session keeps of a cookie; its own words. */
export interface CookieData {
  readonly originalMaxAge?: unknown;
  readonly expires?: unknown;
  readonly [attribute: string]: unknown;
}

/** A session at one moment. */
export interface Print {
  /** JSON of the whole session. */
  readonly text: string;
  /** The application's own data: the same without the cookie, which express-session does not count as a change. */
  readonly content: string;
  readonly cookie: CookieData | undefined;
}

/** The content of a session that holds nothing but its cookie. */
export const EMPTY_CONTENT = '}';

/**
 * @throws {RedoubtError} `ERR_SESSION_VALUE` where it cannot be stored: cycles, BigInt, too deep, a toJSON or a touch()
 * of its own that throws, a key named `__proto__`, which express-session does not give back
 */
export function printOf(session: Partial<SessionData>): Print {
  try {
    // Own keys only: on every other object this is the prototype.
    if (Object.hasOwn(session, '__proto__')) throw new TypeError('a key of the session is named __proto__');
    const cookie = session.cookie as (CookieData & { toJSON?(): CookieData }) | undefined;
    const data = cookie?.toJSON?.() ?? cookie;
    const text = JSON.stringify(session) as string | undefined;
    if (!text?.startsWith('{')) throw new TypeError('the session has a toJSON() of its own');
    return { text, content: contentOf(text, data), cookie: data };
  } catch (error) {
    throw unstorable(error);
  }
}

/** The print of a session that was stored as `text`, which is what `data` was made of. */
export function printOfText(text: string, data: SessionData): Print {
  const cookie = data.cookie as unknown as CookieData | undefined;
  return { text, content: contentOf(text, cookie), cookie };
}

/** A session that no store can keep, as an error for the application. */
export function unstorable(cause: unknown): RedoubtError {
  if (isRedoubtError(cause)) return cause;
  const message = cause instanceof Error ? cause.message.split('\n', 1)[0] : undefined;
  return new RedoubtError('ERR_SESSION_VALUE', { message }, { cause });
}

/**
 * Whether both cookies say the same, apart from the time that has passed between them.
 *
 * express-session computes `originalMaxAge` anew from the clock at each touch, so it wavers by milliseconds.
 */
export function isSameCookie(a: CookieData | undefined, b: CookieData | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  for (const key of ATTRIBUTES) if (a[key] !== b[key]) return false;
  const [mine, yours] = [a.originalMaxAge ?? null, b.originalMaxAge ?? null];
  if (typeof mine === 'number' && typeof yours === 'number') return Math.abs(mine - yours) < WAVER_MS;
  return mine === yours;
}

const ATTRIBUTES = ['path', 'domain', 'httpOnly', 'secure', 'sameSite', 'partitioned', 'priority'] as const;
const WAVER_MS = 100;

function contentOf(text: string, cookie: CookieData | undefined): string {
  // The cookie comes first in each session that express-session makes: one text less to build for each request.
  const head = `{"cookie":${JSON.stringify(cookie)}`;
  if (text.startsWith(head)) return text.slice(head.length);
  return JSON.stringify({ ...(JSON.parse(text) as object), cookie: undefined });
}
