/**
 * `redoubt-runtime/sessions`: what code needs that is handed the sessions, and the errors that an error handler meets.
 *
 * @module
 */
export type { Middleware } from './core/middleware.ts';
export { type ErrorCode, RedoubtError, isRedoubtError } from './core/errors.ts';
export type { Sessions, SessionMiddlewareOptions } from './services/sessions/types.ts';
