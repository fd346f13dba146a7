import type { Request } from 'express';
import type { Session, SessionData } from 'express-session';

import type { Clock } from '../../core/clock.ts';
import { RedoubtError, isRedoubtError } from '../../core/errors.ts';
import { createBeside } from './beside.ts';
import { Store } from './express-session.ts';
import { Print, printOf } from './print.ts';

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
  /** @returns `undefined` where it was prolonged a short time ago; never rejects */
  touch(sid: string, data: SessionData): Promise<void> | undefined;
  /** How many sessions live. */
  count(): Promise<number>;
}

export interface SealedStoreOptions {
  readonly vault: SessionVault;
  readonly clock: Clock;
  readonly touchEveryMs: number;
  readonly retryAfterMs: number;
  /** Told of each id that nobody has a session for. */
  readonly onMiss?: (sid: string) => void;
  /** Whether Redoubt has been closed. */
  readonly isClosed: () => boolean;
}

/** What the store holds of a session object that it gave out, or took. */
interface Known {
  readonly sid: string;
  readonly origin: Origin;
  readonly print: Print;
}

interface Saving {
  readonly sid: string;
  print: Print;
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
export class SealedStore extends Store {
  /** Put on it by express-session. */
  declare generate: (req: Request) => void;
  readonly #options: SealedStoreOptions;
  readonly #known = createBeside<Known>();
  readonly #saved = createBeside<Saving>();
  readonly #destroying = new Map<string, Promise<void>>();

  constructor(options: SealedStoreOptions) {
    super();
    this.#options = options;
  }

  override get(sid: string, callback: (error: unknown, data?: SessionData | null) => void): void {
    const take = (found: Found | undefined): SessionData | null => {
      if (!found) {
        this.#options.onMiss?.(sid);
        return null;
      }
      const { data, origin } = found;
      this.#known.set(data, { sid, origin, print: new Print(origin.text) });
      return data;
    };
    answer(
      this.#open(() => this.#options.vault.read(sid)),
      callback,
      take,
    );
  }

  override createSession(req: Request, data: SessionData): Session & SessionData {
    const known = this.#known.get(data);
    const made = super.createSession(req, data);
    // The content of one session may be made another one, which nobody has saved then.
    if (known?.sid === req.sessionID) this.#known.set(made, known);
    return made;
  }

  override set(sid: string, data: SessionData, callback?: Callback): void {
    answer(
      whenCalled(() => this.save(sid, data, printOf(data))),
      callback,
    );
  }

  override touch(sid: string, data: SessionData, callback?: Callback): void {
    answer(
      whenCalled(() => this.prolong(sid, data, printOf(data))),
      callback,
    );
  }

  /** How many sessions there are, those in the clear not counted. @throws what PostgreSQL's or Redis' call throws */
  override length(callback: (error: unknown, length?: number) => void): void {
    answer(
      this.#open(() => this.#options.vault.count()),
      callback,
    );
  }

  /** Rejects: session ids are stored as hashes, and no content opens without its id. */
  override all(callback: (error: unknown, sessions?: SessionData[]) => void): void {
    answer(unsupported<SessionData[]>('all'), callback);
  }

  /** Rejects: each logout has to be told to every instance, so sessions are ended one by one. */
  override clear(callback?: Callback): void {
    answer(unsupported<void>('clear'), callback);
  }

  /**
   * Saves the session as `print` has it.
   *
   * @returns `undefined` where just that is stored already: express-session saves once more at the end of a request
   * what req.session.save() has just saved. Rejects with `ERR_SESSION_NOT_SAVED`, `ERR_SESSION_CONFLICT`
   */
  save(sid: string, data: SessionData, print: Print): Promise<void> | undefined {
    const saved = this.#saved.get(data);
    if (!saved || !this.#isSame(saved, sid, print)) return this.#write(sid, data, print);
    return saved.settled ? undefined : saved.done;
  }

  /** Prolongs a session that was only read; a cookie that says something else is a change. `undefined`: not due yet. */
  prolong(sid: string, data: SessionData, print: Print): Promise<void> | undefined {
    const known = this.#known.get(data);
    if (known && !known.print.hasCookieOf(print)) return this.save(sid, data, print);
    return this.#options.isClosed()
      ? Promise.reject(new RedoubtError('ERR_CLOSED'))
      : this.#options.vault.touch(sid, data);
  }

  override destroy(sid: string, callback?: Callback): void {
    const done = this.#open(() => this.#options.vault.destroy(sid)).catch((error: unknown) => this.#refuse(error));
    this.#destroying.set(sid, done);
    const forget = (): void => {
      if (this.#destroying.get(sid) === done) this.#destroying.delete(sid);
    };
    // Known a little longer where it fails: the callback may answer as if it had not.
    done.then(forget, () => setImmediate(forget));
    answer(done, callback);
  }

  override regenerate(req: Request, callback: Callback): void {
    const current = req.session as object | undefined;
    // Nobody has been given the id of a session that was made for this very request: there is nothing to end.
    if (!current || this.#known.has(current) || this.#saved.has(current)) super.regenerate(req, callback);
    else {
      process.nextTick(() => {
        this.generate(req);
        callback();
      });
    }
  }

  /** Takes an object for the session that another one is, such as a proxy that an application has put around it. */
  follow(data: object, original: object): void {
    const known = this.#known.get(original);
    if (known !== undefined && !this.#known.has(data)) this.#known.set(data, known);
  }

  /** What is stored of this object; `undefined` for a session that was never saved. */
  printOf(data: object): Print | undefined {
    return this.#known.get(data)?.print;
  }

  /** The destroy of this id that is under way, if one is. */
  destroying(sid: string): Promise<void> | undefined {
    return this.#destroying.get(sid);
  }

  /** Whether a save of this object is under way. */
  isSaving(data: object): boolean {
    return this.#saved.get(data)?.settled === false;
  }

  #write(sid: string, data: SessionData, print: Print): Promise<void> {
    const { vault, clock } = this.#options;
    const before = this.#saved.get(data);
    const work = async (): Promise<void> => {
      this.#assertOpen();
      if (before && !before.settled) {
        // The save before this one says what this one starts from, and may have brought what others changed.
        await before.done.catch(() => undefined);
        saving.print = printOf(data);
      }
      const mine = saving.print.text;
      const origin = await vault.write(sid, this.#known.get(data)?.origin, mine, data);
      if (origin.text !== mine) {
        takeOver(data, JSON.parse(mine) as SessionData, JSON.parse(origin.text) as SessionData);
        saving.print = new Print(origin.text);
      }
      this.#known.set(data, { sid, origin, print: saving.print });
    };
    const saving: Saving = { sid, print, at: clock.now(), done: Promise.resolve(), settled: false };
    const done = work().catch((error: unknown) => this.#refuse(error));
    saving.done = done;
    this.#saved.set(data, saving);
    done.then(
      () => (saving.settled = true),
      () => {
        if (this.#saved.get(data) === saving) this.#saved.delete(data);
      },
    );
    return done;
  }

  /** For a while only: a session object that lives on, as a socket's does, must be prolonged by saving it. */
  #isSame(saved: Saving, sid: string, print: Print): boolean {
    const { clock, touchEveryMs } = this.#options;
    if (saved.sid !== sid || clock.now() - saved.at >= touchEveryMs) return false;
    return saved.print.content === print.content && saved.print.hasCookieOf(print);
  }

  async #open<T>(work: () => Promise<T>): Promise<T> {
    this.#assertOpen();
    return work();
  }

  #assertOpen(): void {
    if (this.#options.isClosed()) throw new RedoubtError('ERR_CLOSED');
  }

  #refuse(error: unknown): never {
    if (isRedoubtError(error)) throw error;
    throw new RedoubtError('ERR_SESSION_NOT_SAVED', { retryAfterMs: this.#options.retryAfterMs }, { cause: error });
  }
}

type Content = Record<string, unknown>;

/** Shows in the request's own object what others changed, so that its next save does not take that for removed. */
function takeOver(data: SessionData, mine: SessionData, stored: SessionData): void {
  const [was, now, is] = [mine, stored, data] as unknown as [Content, Content, Content];
  for (const key of new Set([...Object.keys(was), ...Object.keys(now)])) {
    const before = JSON.stringify(was[key]);
    if (key === 'cookie' || before === JSON.stringify(now[key])) continue;
    // What the request has changed since is its own, and for its next save.
    if (JSON.stringify(is[key]) !== before) continue;
    if (Object.hasOwn(now, key)) Reflect.set(data, key, now[key]);
    else Reflect.deleteProperty(data, key);
  }
}

function unsupported<T>(method: string): Promise<T> {
  return Promise.reject(new RedoubtError('ERR_SESSION_METHOD', { message: `store.${method}()` }));
}

/** What the work rejects with, also where it throws before it has begun. */
async function whenCalled(work: () => Promise<void> | undefined): Promise<void> {
  await work();
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
