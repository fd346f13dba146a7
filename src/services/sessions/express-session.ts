import { createRequire } from 'node:module';

import type session from 'express-session';

const require = createRequire(import.meta.url);

/**
 * The base class of every store, and with it sessions and cookies, without the middleware, which brings Node's HTTP: 2 MB
 * that a process which only caches never needs. It is the very class of `session.Store`.
 */
export const Store = require('express-session/session/store') as typeof session.Store;

/** All of express-session, loaded when a middleware is made. */
export function loadExpressSession(): typeof session {
  return require('express-session') as typeof session;
}
