import type { ErrorRequestHandler, RequestHandler, Response } from 'express';

import { RedoubtError, isRedoubtError } from '../core/errors.ts';
import { PROBLEM_TYPE, problemOf } from '../core/problem.ts';
import type { Logger } from '../observe/log.ts';
import { traceOf } from './trace.ts';

/** The last route: nothing else took the request. */
export const notFound: RequestHandler = () => {
  throw new RedoubtError('ERR_NOT_FOUND');
};

/**
 * The one place where an error becomes an answer. What is not a RedoubtError shows nothing but its
 * status: messages of drivers and of parsers repeat what they were given.
 */
export function errorHandler(log: Logger): ErrorRequestHandler {
  // Express knows an error handler by its four parameters.
  return (error: unknown, request, response, _next) => {
    const { known, status } = translate(error);
    // A degraded answer is no news: the transition has been logged. A mistake of ours is.
    if (status === 500) log.error({ err: error, method: request.method, trace: traceOf(error) }, 'a request failed');
    if (response.headersSent) {
      // Too late for a status; a cut connection is the only honest sign left.
      request.socket.destroy();
      return;
    }
    sendProblem(response, known, status);
  };
}

function sendProblem(response: Response, error: RedoubtError, status: number): void {
  response.removeHeader('ETag');
  for (const [name, value] of Object.entries(error.headers)) response.setHeader(name, value);
  response.statusCode = status;
  response.setHeader('Content-Type', PROBLEM_TYPE);
  response.setHeader('Cache-Control', 'no-store');
  response.end(JSON.stringify(problemOf(error, status)));
}

function translate(error: unknown): { known: RedoubtError; status: number } {
  if (isRedoubtError(error)) return { known: error, status: error.status };
  const { status, type } = readHttpError(error);
  if (type === 'entity.too.large') return { known: new RedoubtError('ERR_BODY_TOO_LARGE'), status: 413 };
  if (type === 'entity.parse.failed') {
    return { known: new RedoubtError('ERR_REQUEST', { message: 'the body is not valid JSON' }), status: 400 };
  }
  if (status >= 400 && status < 500) return { known: new RedoubtError('ERR_REQUEST', {}, { cause: error }), status };
  return { known: new RedoubtError('ERR_INTERNAL', {}, { cause: error }), status: 500 };
}

/** What http-errors, body-parser and Express' router put on their errors. */
function readHttpError(error: unknown): { status: number; type: unknown } {
  if (typeof error !== 'object' || error === null) return { status: 500, type: undefined };
  const { status, type } = error as { status?: unknown; type?: unknown };
  return { status: typeof status === 'number' ? status : 500, type };
}
