import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * A middleware in the shape that Express 4 and 5, Connect and `io.engine.use` share. It names no type of Express', so
 * that it fits whichever @types/express an application has, or none.
 */
export type Middleware = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void;
