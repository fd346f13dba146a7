import type { NextFunction, Request, Response } from 'express';

import { RedoubtError, isRedoubtError } from '../../core/errors.ts';
import { Deferred, isConnection } from './deferred.ts';
import { Keeper, type KeeperOptions } from './keeper.ts';
import { unstorable } from './print.ts';
import { giveSecondAnswer, tellOfError } from './second-answer.ts';
import { type Waiting, Withheld } from './withheld.ts';

export interface HoldOptions extends KeeperOptions {
  /** Name of the session cookie. */
  readonly name: string;
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
  #waiting: Waiting | undefined;
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
    // gone. What they do besides is for its end(), which is not used. Not deleted: that makes a slow object of the
    // session, and JSON of it twice takes half a microsecond longer.
    const { session } = this.#req;
    const { save, reload } = Object.getPrototypeOf(session) as typeof session;
    Object.assign(session, { save, reload });
    // Every first byte comes by here: write, end and flushHeaders call it where nobody else has.
    res.writeHead = ((...args: unknown[]) => {
      if (!res.headersSent) this.#keep();
      return this.#withoutRefused(() => writeHead.apply(res, args as never));
    }) as Response['writeHead'];
    // A compressor behind us may go on with an answer that has been given up; nothing more is taken from it then.
    res.write = ((...args: unknown[]) => !this.#isGivenUp && write.apply(res, args as never)) as never;
    res.end = ((...args: unknown[]) => {
      if (this.#isGivenUp) return res;
      this.#keep();
      this.#ended = true;
      const end = (): void => void this.#options.sendEnd.apply(res, args as never);
      if (this.#waiting instanceof Deferred) this.#waiting.keepEnd(end);
      else end();
      return res;
    }) as Response['end'];
    res.on('pipe', (source: { unpipe(to: unknown): unknown }) => this.#pipes.add(source));
    // A handler that writes behind the end is told so by Node with an event that ends the process where nobody listens.
    res.on('error', () => undefined);
  }

  get #isGivenUp(): boolean {
    return this.#refused !== undefined && this.#waiting === undefined;
  }

  /** Starts what must be done before a byte may go. */
  #keep(): void {
    if (this.#refused || this.#res.writableEnded) return;
    let work: Promise<void> | undefined;
    try {
      work = this.#keeper.keep(this.#res.statusCode >= 400);
    } catch (error) {
      // At once, so that express-session does not trip over the same session when the headers are made.
      this.#refused = unstorable(error);
      work = Promise.reject(this.#refused);
    }
    if (work === undefined) return;
    this.#waiting ??= this.#wait();
    this.#underWay += 1;
    work.then(
      () => this.#kept(),
      // Whatever is wrong with an answer that is refused, it must not be taken for a whole one.
      (error: unknown) => void this.#refuse(error).catch(() => this.#res.destroy()),
    );
  }

  #kept(): void {
    this.#underWay -= 1;
    if (this.#underWay > 0 || this.#refused) return;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.release();
  }

  #wait(): Waiting {
    return isConnection(this.#req.socket) ? new Withheld(this.#res) : new Deferred(this.#res);
  }

  async #refuse(cause: unknown): Promise<void> {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const res = this.#res;
    const error = (this.#refused ??= isRedoubtError(cause)
      ? cause
      : new RedoubtError('ERR_SESSION_NOT_SAVED', {}, { cause }));
    if (waiting instanceof Withheld) await this.#compressed();
    if (this.#waiting === undefined) return;
    this.#waiting = undefined;
    for (const source of this.#pipes) source.unpipe(res);
    if (!waiting.takeBack(error)) {
      res.destroy();
      return tellOfError(res, error, this.#next);
    }
    this.#clearHeaders(error);
    giveSecondAnswer(res, error, this.#next);
  }

  /** What a compressor still makes of the old answer must not get into the new one. */
  async #compressed(): Promise<void> {
    const res = this.#res;
    for (let turn = 0; this.#ended && !res.writableEnded && !res.destroyed && turn < COMPRESSOR_TURNS; turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, TURN_MS));
    }
  }

  /** What belonged to the answer that is not given; what middleware set for every answer stays. */
  #clearHeaders(error: RedoubtError): void {
    const res = this.#res;
    const cookies = [res.getHeader('Set-Cookie') ?? []].flat().map(String);
    const others = cookies.filter((cookie) => !cookie.startsWith(`${this.#options.name}=`));
    for (const name of res.getHeaderNames().filter(isOfTheAnswer)) res.removeHeader(name);
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

/** Besides what begins with content-. */
const OF_THE_ANSWER: ReadonlySet<string> = new Set([
  'etag',
  'last-modified',
  'location',
  'refresh',
  'set-cookie',
  'trailer',
  'transfer-encoding',
  'x-accel-redirect',
  'x-sendfile',
]);

function isOfTheAnswer(name: string): boolean {
  return OF_THE_ANSWER.has(name) || (name.startsWith('content-') && !name.startsWith('content-security-policy'));
}
