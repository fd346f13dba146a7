import type { Request, Response } from 'express';
import type { Session, SessionData } from 'express-session';

import { RedoubtError, isRedoubtError } from '../../core/errors.ts';
import { PROBLEM_TYPE, problemOf } from '../../core/problem.ts';
import { type SealedStore, contentOf } from './store.ts';

export interface HoldOptions {
  readonly store: SealedStore;
  readonly resave: boolean;
  readonly saveUninitialized: boolean;
  readonly unsetDestroys: boolean;
  /** `res.end` from before express-session, for an answer that has nothing to do with a session. */
  readonly sendEnd: Response['end'];
}

/**
 * Holds `res.end` until the session is saved or destroyed, and answers 503 instead when that fails.
 *
 * express-session sends the headers and all but the last byte first: a client then holds a complete 200 with a
 * cookie for a session that does not exist. So the session is saved before express-session's own end runs,
 * which finds it saved. An answer whose headers are out already (streams, `writeHead`) cannot be held: there
 * express-session's own way applies.
 */
export function holdEnd(req: Request, res: Response, options: HoldOptions): void {
  const innerEnd = res.end;
  const persist = trackSession(req, options);
  let ended = false;
  const end = (...args: unknown[]): Response => {
    if (ended) return res;
    ended = true;
    // express-session drops end's callback, and takes one in the place of the chunk for content.
    const callback = args.find((arg) => typeof arg === 'function') as (() => void) | undefined;
    if (callback) res.once('finish', callback);
    const finish = (): void => void innerEnd.apply(res, args.filter((arg) => typeof arg !== 'function') as never);
    const work = res.headersSent ? undefined : persist();
    if (work === undefined) finish();
    else work.then(finish, (error: unknown) => refuse(req, res, options.sendEnd, error));
    return res;
  };
  res.end = end as Response['end'];
}

/** Looks at the session as it is now; the returned function starts what must be done before the answer, if anything. */
function trackSession(req: Request, options: HoldOptions): () => Promise<void> | undefined {
  const { store, resave, saveUninitialized, unsetDestroys } = options;
  const originalId = req.sessionID;
  const loaded = store.isLoaded(req.session);
  const originalPrint = contentOf(req.session);

  // At least what express-session would save at the end; saving the same content twice is one write.
  const mustSave = (current: Session & SessionData): boolean =>
    current.id !== originalId ||
    (loaded ? resave : saveUninitialized) ||
    store.wasSaved(current) ||
    contentOf(current) !== originalPrint;

  return () => {
    const current = req.session as (Session & SessionData) | null | undefined;
    if (current) return mustSave(current) ? save(store, current) : undefined;
    if (!unsetDestroys || !req.sessionID) return store.destroying(originalId);
    const sid = req.sessionID;
    // Otherwise express-session would destroy it once more.
    Reflect.set(req, 'sessionID', undefined);
    return call((done) => store.destroy(sid, done));
  };
}

function save(store: SealedStore, current: Session & SessionData): Promise<void> {
  current.touch();
  return call((done) => store.set(current.id, current, done));
}

function call(work: (done: (error?: unknown) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    work((error) => (error ? reject(error as Error) : resolve()));
  });
}

const OF_THE_ANSWER = [
  'Content-Type',
  'Content-Length',
  'Content-Encoding',
  'Content-Disposition',
  'Transfer-Encoding',
  'ETag',
  'Last-Modified',
  'Location',
  'Set-Cookie',
];

function refuse(req: Request, res: Response, sendEnd: Response['end'], cause: unknown): void {
  const error = isRedoubtError(cause) ? cause : new RedoubtError('ERR_SESSION_NOT_SAVED', {}, { cause });
  // Without a session express-session sets no cookie.
  Reflect.deleteProperty(req, 'session');
  for (const name of OF_THE_ANSWER) res.removeHeader(name);
  res.statusCode = error.status;
  res.statusMessage = '';
  res.setHeader('Content-Type', PROBLEM_TYPE);
  res.setHeader('Cache-Control', 'no-store');
  for (const [name, value] of Object.entries(error.headers)) res.setHeader(name, value);
  (sendEnd as (body: string) => unknown).call(res, JSON.stringify(problemOf(error)));
}
