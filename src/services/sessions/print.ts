import type { SessionData } from 'express-session';

import { RedoubtError, isRedoubtError } from '../../core/errors.ts';

/** What express-session keeps of a cookie; its own words. */
export interface CookieData {
  readonly originalMaxAge?: unknown;
  readonly expires?: unknown;
  readonly [attribute: string]: unknown;
}

/** How the JSON of each session begins that express-session makes. */
const HEAD = '{"cookie":{';

/** What JSON makes of a cookie's end, but for the instant, and how long that is. */
const EXPIRES = '"expires":"';
const INSTANT_LENGTH = '2026-01-01T00:00:00.000Z'.length;

/** A session at one moment, as text. */
export class Print {
  /** JSON of the whole session. */
  readonly text: string;
  /**
   * What follows the cookie in the text: the application's own data, all that express-session counts as a change. With a
   * brace inside of the cookie it begins too early; then a change of the cookie counts too.
   */
  readonly content: string;

  constructor(text: string) {
    this.text = text;
    this.content = text.startsWith(HEAD) ? text.slice(text.indexOf('}', HEAD.length) + 1) : withoutCookie(text);
  }

  /** Whether nothing but the cookie is there. */
  get isEmpty(): boolean {
    return this.content === '}';
  }

  /**
   * Whether both cookies say the same, apart from the time that has passed between them.
   *
   * express-session computes `originalMaxAge` anew from the clock at each touch, so it wavers by milliseconds.
   */
  hasCookieOf(other: Print): boolean {
    // The whole text but for one instant; what most requests end with.
    if (this.content === other.content && this.#timelessHead === other.#timelessHead) return true;
    const [a, b] = [this.#cookie, other.#cookie];
    if (a === undefined || b === undefined) return a === b;
    for (const key of ATTRIBUTES) if (a[key] !== b[key]) return false;
    const [mine, theirs] = [a.originalMaxAge ?? null, b.originalMaxAge ?? null];
    if (typeof mine === 'number' && typeof theirs === 'number') return Math.abs(mine - theirs) < WAVER_MS;
    return mine === theirs;
  }

  /** What comes before the content, without the end of the cookie, which each touch moves. */
  get #timelessHead(): string {
    const head = this.text.slice(0, this.text.length - this.content.length);
    const at = head.indexOf(EXPIRES);
    return at < 0 ? head : head.slice(0, at) + head.slice(at + EXPIRES.length + INSTANT_LENGTH);
  }

  get #cookie(): CookieData | undefined {
    try {
      const head = this.text.slice(0, this.text.length - this.content.length);
      return (JSON.parse(`${head}}`) as { cookie?: CookieData }).cookie;
    } catch {
      // A brace inside of it, or a session that does not begin with its cookie.
      return (JSON.parse(this.text) as { cookie?: CookieData }).cookie;
    }
  }
}

const ATTRIBUTES = ['path', 'domain', 'httpOnly', 'secure', 'sameSite', 'partitioned', 'priority'] as const;
const WAVER_MS = 100;

/**
 * @throws {RedoubtError} `ERR_SESSION_VALUE` where it cannot be stored: cycles, BigInt, too deep, a toJSON of its own, a
 * key named `__proto__`, which express-session does not give back
 */
export function printOf(session: Partial<SessionData>): Print {
  try {
    // Own keys only: on every other object this is the prototype.
    if (Object.hasOwn(session, '__proto__')) throw new TypeError('a key of the session is named __proto__');
    const text = JSON.stringify(session) as string | undefined;
    if (!text?.startsWith('{')) throw new TypeError('the session has a toJSON() of its own');
    return new Print(text);
  } catch (error) {
    throw unstorable(error);
  }
}

/** A session that no store can keep, as an error for the application. */
export function unstorable(cause: unknown): RedoubtError {
  if (isRedoubtError(cause)) return cause;
  const message = cause instanceof Error ? cause.message.split('\n', 1)[0] : undefined;
  return new RedoubtError('ERR_SESSION_VALUE', { message }, { cause });
}

function withoutCookie(text: string): string {
  return JSON.stringify({ ...(JSON.parse(text) as object), cookie: undefined });
}
