import type { NextFunction, Request, Response } from 'express';
import type { Session, SessionData } from 'express-session';

import { RedoubtError, isRedoubtError } from '../../core/errors.ts';
import { type Print, printOf, unstorable } from './print.ts';
import type { SealedStore } from './store.ts';
import { Withheld } from './withheld.ts';

export interface HoldOptions {
  readonly store: SealedStore;
  /** Name of the session cookie. */
  readonly name: string;
  readonly resave: boolean;
  readonly saveUninitialized: boolean;
  readonly unsetDestroys: boolean;
  /** `res.end` from before express-session, which saves after it has sent. */
  readonly sendEnd: Response['end'];
}

/**
 * Withholds the answer from its first byte on until the session is saved, prolonged or destroyed.
 *
 * express-session sends the headers and all but the last byte first: a client then holds a complete 200 with a cookie for
 * a session that does not exist. Here the session is saved when the answer begins and, where it was changed since, once
 * more when it ends; its bytes wait for that. Cookies are express-session's matter as before.
 *
 * A save that is refused goes to `next`, as an error of the application. Where a part of the answer is out already, the
 * connection is cut, so that nobody takes it for a whole one.
 */
export function holdAnswer(req: Request, res: Response, next: NextFunction, options: HoldOptions): void {
  new Hold(req, res, next, options).install();
}

/** How long a compressor may take for the rest of an answer that is refused. */
const COMPRESSOR_TURNS = 50;
const TURN_MS = 5;

class Hold {
  readonly #req: Request;
  readonly #res: Response;
  readonly #next: NextFunction;
  readonly #options: HoldOptions;
  readonly #keeper: Keeper;
  readonly #pipes = new Set<{ unpipe(to: unknown): unknown }>();
  #withheld: Withheld | undefined;
  #underWay = 0;
  #ended = false;
  #refused: RedoubtError | undefined;

  constructor(req: Request, res: Response, next: NextFunction, options: HoldOptions) {
    this.#req = req;
    this.#res = res;
    this.#next = next;
    this.#options = options;
    this.#keeper = new Keeper(req, options);
  }

  install(): void {
    const res = this.#res;
    const [writeHead, write] = [res.writeHead, res.write];
    // express-session's own look at the whole session once more, and throw at nobody where it cannot be looked at or is
    // gone. What they do besides is for its end(), which is not used.
    for (const name of ['save', 'reload']) Reflect.deleteProperty(this.#req.session, name);
    // Every first byte comes by here: write, end and flushHeaders call it where nobody else has.
    res.writeHead = ((...args: unknown[]) => {
      if (!res.headersSent) this.#keep();
      return this.#withoutRefused(() => writeHead.apply(res, args as never));
    }) as Response['writeHead'];
    // A compressor behind us, or a handler, may go on with an answer that has been given up.
    res.write = ((...args: unknown[]) => this.#refused !== undefined || write.apply(res, args as never)) as never;
    res.end = ((...args: unknown[]) => {
      if (this.#refused && this.#withheld === undefined) return res;
      this.#keep();
      this.#ended = true;
      this.#options.sendEnd.apply(res, args as never);
      return res;
    }) as Response['end'];
    res.on('pipe', (source: { unpipe(to: unknown): unknown }) => this.#pipes.add(source));
    // A handler that writes behind the end is told so by Node with an event that ends the process where nobody listens.
    res.on('error', () => undefined);
  }

  /** Starts what must be done before a byte may go. */
  #keep(): void {
    if (this.#refused || this.#res.writableEnded) return;
    let work: Promise<void> | undefined;
    try {
      work = this.#keeper.keep();
    } catch (error) {
      // At once, so that express-session does not trip over the same session when the headers are made.
      this.#refused = unstorable(error);
      work = Promise.reject(this.#refused);
    }
    if (work === undefined) return;
    this.#withheld ??= new Withheld(this.#res);
    this.#underWay += 1;
    work.then(
      () => this.#kept(),
      (error: unknown) => void this.#refuse(error),
    );
  }

  #kept(): void {
    this.#underWay -= 1;
    if (this.#underWay > 0 || this.#refused) return;
    this.#withheld?.release();
    this.#withheld = undefined;
  }

  async #refuse(cause: unknown): Promise<void> {
    const withheld = this.#withheld;
    if (withheld === undefined) return;
    const res = this.#res;
    this.#refused ??= isRedoubtError(cause) ? cause : new RedoubtError('ERR_SESSION_NOT_SAVED', {}, { cause });
    // What a compressor still makes of the old answer must not get into the new one.
    for (let turn = 0; this.#ended && !res.writableEnded && !res.destroyed && turn < COMPRESSOR_TURNS; turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, TURN_MS));
    }
    if (this.#withheld === undefined) return;
    this.#withheld = undefined;
    for (const source of this.#pipes) source.unpipe(res);
    if (withheld.takeBack(this.#refused)) this.#clearHeaders(this.#refused);
    else this.#req.socket.destroy();
    this.#next(this.#refused);
  }

  /** What belonged to the answer that is not given; what middleware set for every answer stays. */
  #clearHeaders(error: RedoubtError): void {
    const res = this.#res;
    const cookies = [res.getHeader('Set-Cookie') ?? []].flat().map(String);
    const others = cookies.filter((cookie) => !cookie.startsWith(`${this.#options.name}=`));
    for (const name of OF_THE_ANSWER) res.removeHeader(name);
    if (others.length > 0) res.setHeader('Set-Cookie', others);
    Reflect.set(res, '_removedContLen', false);
    Reflect.set(res, '_removedTE', false);
    res.statusCode = error.status;
    res.statusMessage = '';
    res.setHeader('Cache-Control', 'no-store');
    for (const [name, value] of Object.entries(error.headers)) res.setHeader(name, value);
  }

  /** express-session looks at the session for its cookie, and must not find one that cannot be looked at. */
  #withoutRefused<T>(work: () => T): T {
    if (!this.#refused) return work();
    const req = this.#req;
    const { session } = req;
    Reflect.deleteProperty(req, 'session');
    try {
      return work();
    } finally {
      if (session !== undefined) req.session = session;
    }
  }
}

const OF_THE_ANSWER = [
  'Content-Type',
  'Content-Length',
  'Content-Encoding',
  'Content-Disposition',
  'Content-Range',
  'Transfer-Encoding',
  'ETag',
  'Last-Modified',
  'Location',
  'Set-Cookie',
];

/** What becomes of a request's session at its end, by the rules of express-session. */
class Keeper {
  readonly #req: Request;
  readonly #options: HoldOptions;
  readonly #originalId: string;
  readonly #cameWithIt: boolean;
  #resaved = false;
  #prolonged = false;
  #destroyed = false;

  constructor(req: Request, options: HoldOptions) {
    this.#req = req;
    this.#options = options;
    this.#originalId = req.sessionID;
    this.#cameWithIt = options.store.printOf(req.session) !== undefined;
  }

  /**
   * Starts what must be done for the session as it is now.
   *
   * @returns `undefined` where there is nothing to wait for
   * @throws {RedoubtError} `ERR_SESSION_VALUE`
   */
  keep(): Promise<void> | undefined {
    const current = this.#req.session as (Session & SessionData) | null | undefined;
    // A handler may have ended or renewed it without waiting.
    const ending = this.#options.store.destroying(this.#originalId);
    const work = current ? this.#save(current) : this.#end();
    if (ending === undefined || work === undefined) return ending ?? work;
    return Promise.all([ending, work]).then(() => undefined);
  }

  #save(current: Session & SessionData): Promise<void> | undefined {
    // Whatever an application has put there, express-session takes no other.
    if (typeof this.#req.sessionID !== 'string') return undefined;
    try {
      current.touch();
    } catch (error) {
      throw unstorable(error);
    }
    const { store } = this.#options;
    const print = printOf(current);
    if (this.#mustSave(current, print)) return store.save(current.id, current, print);
    if (!this.#cameWithIt || this.#prolonged || current.id !== this.#originalId) return undefined;
    this.#prolonged = true;
    return store.prolong(current.id, current, print);
  }

  #mustSave(current: Session & SessionData, print: Print): boolean {
    const { store, resave, saveUninitialized } = this.#options;
    if (current.id !== this.#originalId || store.isSaving(current)) return true;
    const known = store.printOf(current);
    if (known && known.content !== print.content) return true;
    if (known && resave && !this.#resaved) return (this.#resaved = true);
    return known === undefined && (saveUninitialized || !print.isEmpty);
  }

  #end(): Promise<void> | undefined {
    const { store, unsetDestroys } = this.#options;
    const sid = this.#req.sessionID as string | undefined;
    if (!unsetDestroys || !sid || this.#destroyed) return undefined;
    this.#destroyed = true;
    return new Promise((resolve, reject) => {
      store.destroy(sid, (error) => (error ? reject(error as Error) : resolve()));
    });
  }
}
