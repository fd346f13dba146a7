import type { Request, RequestHandler } from 'express';
import session, { type CookieOptions } from 'express-session';

import type { Config } from '../../config/schema.ts';
import { holdEnd } from './hold.ts';
import type { SealedStore } from './store.ts';
import type { SessionMiddlewareOptions } from './types.ts';

/**
 * express-session on our store, with each answer held until its session is saved.
 *
 * @param options - express-session's own; what is not given comes from the configuration
 */
export function createMiddleware(
  config: Config,
  secrets: readonly string[],
  store: SealedStore,
  options: SessionMiddlewareOptions,
): RequestHandler {
  const settings = {
    name: config.sessions.cookieName,
    secret: [...secrets],
    resave: false,
    saveUninitialized: false,
    store,
    ...options,
    cookie: cookieOptions(config, options.cookie),
  };
  const inner = session(settings);

  return (req, res, next) => {
    // Mounted twice: express-session leaves the request to the first one, and so do we.
    if (req.session) return next();
    const sendEnd = res.end;
    let held = false;
    inner(req, res, (error?: unknown) => {
      if (error === undefined && req.session && settings.store === store && !held) {
        held = true;
        holdEnd(req, res, {
          store,
          resave: settings.resave,
          saveUninitialized: settings.saveUninitialized,
          unsetDestroys: options.unset === 'destroy',
          sendEnd,
        });
      }
      next(error);
    });
  };
}

type CookieSetting = NonNullable<SessionMiddlewareOptions['cookie']>;

function cookieOptions(config: Config, given: CookieSetting | undefined): CookieSetting {
  const production = config.env === 'production';
  const defaults: CookieOptions = { httpOnly: true, sameSite: 'lax', maxAge: config.sessions.ttlMs };
  if (typeof given === 'function') {
    // express-session resolves `auto` on the object only, so a function gets the answer instead.
    return (req: Request) => ({ ...defaults, secure: production && req.secure, ...given(req) });
  }
  return { ...defaults, secure: production ? 'auto' : false, ...given };
}
