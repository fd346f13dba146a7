/**
 * `redoubt-runtime/sockets`: what code needs that is handed the adapter. Socket.IO itself is the application's.
 *
 * @module
 */
export { type ErrorCode, RedoubtError, isRedoubtError } from './core/errors.ts';
export type { Sockets } from './services/sockets/types.ts';
export { RECONNECT_EVENT } from './shutdown.ts';
