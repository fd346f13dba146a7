import type { SessionOptions, Store } from 'express-session';

import type { Middleware } from '../../core/middleware.ts';

/**
 * express-session's options, all optional, with its own defaults but for `resave` and `saveUninitialized`, which are false.
 * `secret` signs cookies; where it is not given, SESSION_SECRET does. `name` comes from `sessions.cookieName`; `key` is its
 * old word. A `store` is refused.
 */
export type SessionMiddlewareOptions = {
  readonly [K in keyof Omit<SessionOptions, 'store'>]?: SessionOptions[K] | undefined;
} & { readonly key?: string | undefined };

/** The sessions of `redoubt.sessions`. */
export interface Sessions {
  /**
   * Session middleware that holds each answer until its session is saved.
   *
   * @throws {RedoubtError} `ERR_SESSION_SECRET` in production without SESSION_SECRET
   */
  middleware(options?: SessionMiddlewareOptions): Middleware;
  /** The express-session store alone, for applications with their own middleware. Same errors. */
  store(): Store;
}
