import type { RequestHandler } from 'express';
import type { SessionOptions, Store } from 'express-session';

/** express-session's options, all optional; `secret`, `store`, `name` and cookie defaults come from the configuration. */
export type SessionMiddlewareOptions = Partial<SessionOptions>;

/** The sessions of `redoubt.sessions`. */
export interface Sessions {
  /**
   * Session middleware that holds each answer until its session is saved.
   *
   * @throws {RedoubtError} `ERR_SESSION_SECRET` in production without SESSION_SECRET
   */
  middleware(options?: SessionMiddlewareOptions): RequestHandler;
  /** The express-session store alone, for applications with their own middleware. Same errors. */
  store(): Store;
}
