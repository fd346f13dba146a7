import type { RequestHandler } from 'express';
import type { SessionOptions } from 'express-session';

import { loadExpressSession } from './express-session.ts';
import { holdAnswer } from './hold.ts';
import type { ReadOptions } from './options.ts';
import type { SealedStore } from './store.ts';
import { canWithhold } from './withheld.ts';

/** express-session on our store, with each answer withheld until its session is saved. */
export function createMiddleware(
  store: SealedStore,
  options: ReadOptions & Pick<SessionOptions, 'secret'>,
): RequestHandler {
  const inner = loadExpressSession()({ ...options, store });
  const { name, resave, saveUninitialized } = options;
  const rules = { store, name, resave, saveUninitialized, unsetDestroys: options.unset === 'destroy' };

  return (req, res, next) => {
    // Mounted twice: express-session leaves the request to the first one, and so do we.
    if (req.session) return next();
    const sendEnd = res.end;
    let held = false;
    inner(req, res, (error?: unknown) => {
      // A request outside of the cookie's path has no session.
      if (error === undefined && req.session && !held && canWithhold(res)) {
        held = true;
        holdAnswer(req, res, next, { ...rules, sendEnd });
      }
      next(error);
    });
  };
}
