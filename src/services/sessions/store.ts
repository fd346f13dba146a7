import type { Request } from 'express';
import session, { type Session, type SessionData } from 'express-session';

import type { Clock } from '../../core/clock.ts';
import { RedoubtError, isRedoubtError } from '../../core/errors.ts';

/** What a session was when a request got hold of it. */
export interface Origin {
  readonly version: number;
  /** Its content, for telling what the request changed. */
  readonly text: string;
}

/** A session out of the vault. */
export interface Found {
  readonly data: SessionData;
  readonly origin: Origin;
}

/** What the store needs of the service: sessions by their id, opened. */
export interface SessionVault {
  /** @throws {RedoubtError} `ERR_SESSION_UNKNOWN` */
  read(sid: string): Promise<Found | undefined>;
  /**
   * Writes what the request made of `origin`, joined with what others wrote meanwhile, and resolves to what
   * is stored now. Without an origin it writes over whatever is there.
   *
   * @param text - JSON of `data` as it is now: the request may go on changing it
   * @throws {RedoubtError} `ERR_SESSION_NOT_SAVED`, `ERR_SESSION_CONFLICT`
   */
  write(sid: string, origin: Origin | undefined, text: string, data: SessionData): Promise<Origin>;
  destroy(sid: string): Promise<void>;
  touch(sid: string, data: SessionData): Promise<void>;
}

export interface SealedStoreOptions {
  readonly vault: SessionVault;
  readonly clock: Clock;
  readonly touchEveryMs: number;
  readonly retryAfterMs: number;
}

interface Saved {
  readonly sid: string;
  print: string;
  readonly at: number;
  done: Promise<void>;
  settled: boolean;
}

type Callback = (error?: unknown) => void;

/**
 * The express-session store. It never emits `disconnect`, which would take `req.session` away from handlers.
 *
 * A session's origin travels beside the object, never in it, so that applications see their own data only.
 */
export class SealedStore extends session.Store {
  /** Put on it by express-session. */
  declare generate: (req: Request) => void;
  readonly #options: SealedStoreOptions;
  readonly #origins = new WeakMap<object, Origin>();
  readonly #saved = new WeakMap<object, Saved>();
  readonly #destroying = new Map<string, Promise<void>>();

  constructor(options: SealedStoreOptions) {
    super();
    this.#options = options;
  }

  override get(sid: string, callback: (error: unknown, data?: SessionData | null) => void): void {
    const take = (found: Found | undefined): SessionData | null => {
      if (!found) return null;
      this.#origins.set(found.data, found.origin);
      return found.data;
    };
    answer(this.#options.vault.read(sid), callback, take);
  }

  override createSession(req: Request, data: SessionData): Session & SessionData {
    const origin = this.#origins.get(data);
    const made = super.createSession(req, data);
    if (origin !== undefined) this.#origins.set(made, origin);
    return made;
  }

  override set(sid: string, data: SessionData, callback?: Callback): void {
    const saved = this.#saved.get(data);
    // express-session saves once more at the end of a request what req.session.save() or our own hold has just saved.
    const print = printOf(data);
    if (!saved || !this.#isSame(saved, sid, print)) answer(this.#write(sid, data, print), callback);
    else if (saved.settled) callback?.();
    else answer(saved.done, callback);
  }

  override destroy(sid: string, callback?: Callback): void {
    const done = this.#options.vault.destroy(sid).catch((error: unknown) => this.#refuse(error));
    this.#destroying.set(sid, done);
    const forget = (): void => {
      if (this.#destroying.get(sid) === done) this.#destroying.delete(sid);
    };
    done.then(forget, forget);
    answer(done, callback);
  }

  override regenerate(req: Request, callback: Callback): void {
    const current = req.session as object | undefined;
    // Nobody has been given the id of a session that was made for this very request: there is nothing to end.
    if (!current || this.#origins.has(current) || this.#saved.has(current)) super.regenerate(req, callback);
    else {
      this.generate(req);
      callback();
    }
  }

  override touch(sid: string, data: SessionData, callback?: () => void): void {
    answer(this.#options.vault.touch(sid, data), callback);
  }

  /** Whether this object came out of the store, as opposed to being a new session. */
  isLoaded(data: object): boolean {
    return this.#origins.has(data) && !this.#saved.has(data);
  }

  /** Whether this object has been saved since it was made. */
  wasSaved(data: object): boolean {
    return this.#saved.has(data);
  }

  /** The destroy of this id that is under way, if one is. */
  destroying(sid: string): Promise<void> | undefined {
    return this.#destroying.get(sid);
  }

  #write(sid: string, data: SessionData, print: string): Promise<void> {
    const { vault, clock } = this.#options;
    const work = async (): Promise<void> => {
      const mine = JSON.stringify(data);
      const written = await vault.write(sid, this.#origins.get(data), mine, data);
      this.#origins.set(data, written);
      if (written.text === mine) return;
      takeOver(data, JSON.parse(mine) as SessionData, JSON.parse(written.text) as SessionData);
      saved.print = printOf(data);
    };
    const saved: Saved = { sid, print, at: clock.now(), done: Promise.resolve(), settled: false };
    const done = work().catch((error: unknown) => this.#refuse(error));
    saved.done = done;
    this.#saved.set(data, saved);
    done.then(
      () => (saved.settled = true),
      () => {
        if (this.#saved.get(data) === saved) this.#saved.delete(data);
      },
    );
    return done;
  }

  /** For a while only: a session object that lives on, as a socket's does, must be prolonged by saving it. */
  #isSame(saved: Saved, sid: string, print: string): boolean {
    const { clock, touchEveryMs } = this.#options;
    return saved.sid === sid && clock.now() - saved.at < touchEveryMs && saved.print === print;
  }

  #refuse(error: unknown): never {
    if (isRedoubtError(error)) throw error;
    throw new RedoubtError('ERR_SESSION_NOT_SAVED', { retryAfterMs: this.#options.retryAfterMs }, { cause: error });
  }
}

/** Shows in the request's own object what others changed, so that its next save does not take that for removed. */
function takeOver(data: SessionData, mine: SessionData, stored: SessionData): void {
  const [was, now] = [mine, stored] as unknown as [Record<string, unknown>, Record<string, unknown>];
  for (const key of new Set([...Object.keys(was), ...Object.keys(now)])) {
    if (key === 'cookie' || JSON.stringify(was[key]) === JSON.stringify(now[key])) continue;
    if (key in now) Reflect.set(data, key, now[key]);
    else Reflect.deleteProperty(data, key);
  }
}

/** The application's own data as text: without the cookie, which express-session does not count as a change either. */
export function contentOf(data: Partial<SessionData>): string {
  return JSON.stringify({ ...data, cookie: undefined });
}

/**
 * The session as text, without what time alone changes in its cookie.
 * `originalMaxAge` is recomputed from the clock at each touch and wavers by milliseconds.
 */
function printOf(data: Partial<SessionData>): string {
  const cookie = data.cookie as (object & { toJSON?(): object }) | undefined;
  const plain = (cookie?.toJSON?.() ?? cookie) as { readonly originalMaxAge?: unknown } | undefined;
  const maxAge = plain?.originalMaxAge;
  const originalMaxAge = typeof maxAge === 'number' ? Math.round(maxAge / 1000) : maxAge;
  return JSON.stringify({ ...data, cookie: { ...plain, expires: undefined, originalMaxAge } });
}

/**
 * Tells the callback what `take` makes of the result, out of the promise chain, where one that throws would
 * become an unhandled rejection. Without a callback nobody asked; the middleware's hold looks at the same promise.
 */
function answer<T, R = T>(
  work: Promise<T>,
  callback: ((error: unknown, value?: R) => void) | undefined,
  take?: (value: T) => R,
): void {
  const tell = callback ?? (() => undefined);
  work.then(
    (value) => process.nextTick(tell, null, take ? take(value) : value),
    (error: unknown) => process.nextTick(tell, error),
  );
}
