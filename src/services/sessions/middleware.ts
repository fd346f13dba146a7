import type { RequestHandler } from 'express';
import type { SessionOptions } from 'express-session';

import { RedoubtError } from '../../core/errors.ts';
import { loadExpressSession } from './express-session.ts';
import { holdAnswer } from './hold.ts';
import type { ReadOptions } from './options.ts';
import type { SealedStore } from './store.ts';
import { canWithhold } from './withheld.ts';

/** Says at the start what express-session finds out at the first request, whose answer it then never gives. */
function assertCookie(session: ReturnType<typeof loadExpressSession>, cookie: SessionOptions['cookie']): void {
  if (cookie === undefined || typeof cookie === 'function') return;
  try {
    if (typeof cookie !== 'object' || cookie === null)
      throw new TypeError('it is an object, or a function that makes one');
    // What is decided by the request needs no look here.
    const fixed = Object.fromEntries(Object.entries(cookie).filter(([, value]) => value !== 'auto'));
    // Its types know neither the argument nor the method.
    const Cookie = session.Cookie as unknown as new (options: object) => {
      serialize(name: string, value: string): void;
    };
    new Cookie(fixed).serialize('name', 'value');
  } catch (error) {
    const message = `found a cookie that cannot be sent: ${error instanceof Error ? error.message : 'it threw'}`;
    throw new RedoubtError('ERR_SESSION_OPTION', { message, option: 'cookie' }, { cause: error });
  }
}

/** express-session on our store, with each answer withheld until its session is saved. */
export function createMiddleware(
  store: SealedStore,
  options: ReadOptions & Pick<SessionOptions, 'secret'>,
): RequestHandler {
  const session = loadExpressSession();
  assertCookie(session, options.cookie);
  const inner = session({ ...options, store });
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
