import type { IncomingMessage, ServerResponse } from 'node:http';

import { bearerMatches } from '../../core/bearer.ts';
import { RedoubtError } from '../../core/errors.ts';
import type { Middleware } from '../../core/middleware.ts';
import { PROBLEM_TYPE, problemOf } from '../../core/problem.ts';
import { notReady } from './machines.ts';
import type { HealthOptions } from './options.ts';
import type { HealthReport } from './types.ts';

const HEALTH_TYPE = 'application/health+json';

interface RouterOptions extends HealthOptions {
  readonly report: () => HealthReport;
}

/**
 * `/` and the Kubernetes probes. Every answer is built from memory; errors are answered here,
 * because the router also lives in applications whose error handler is not ours.
 *
 * It is a plain function, not Express' router: it serves Express 4 and 5, Connect and Node's own server alike.
 */
export function createHealthRouter({ config, machines, draining, started, report }: RouterOptions): Middleware {
  const { details, readiness } = config.health;
  const seesDetails = (request: IncomingMessage): boolean =>
    details === 'always' || bearerMatches(request.headers.authorization, config.server.apiToken);

  const routes: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => void>> = {
    '/': (request, response) => {
      const full = report();
      const code = full.status === 'fail' ? 503 : 200;
      send(response, code, HEALTH_TYPE, seesDetails(request) ? full : { status: full.status });
    },
    // Never asks about anybody else: a restart of this process would not bring Redis back.
    '/live': (_request, response) => send(response, 200, HEALTH_TYPE, { status: 'pass' }),
    '/ready': (request, response) => {
      const missing = notReady(machines.all, readiness);
      const isReady = missing.length === 0 && !draining();
      const status = isReady ? 'pass' : 'fail';
      const body = seesDetails(request) ? { status, notReady: missing, draining: draining() } : { status };
      send(response, isReady ? 200 : 503, HEALTH_TYPE, body);
    },
    '/startup': (_request, response) => {
      const hasStarted = started();
      send(response, hasStarted ? 200 : 503, HEALTH_TYPE, { status: hasStarted ? 'pass' : 'fail' });
    },
  };

  const showMachine = (id: string, request: IncomingMessage, response: ServerResponse): void => {
    if (!seesDetails(request)) {
      response.setHeader('WWW-Authenticate', 'Bearer');
      return sendProblem(response, new RedoubtError('ERR_UNAUTHORIZED'));
    }
    const machine = machines.all.find((each) => each.id === id);
    if (!machine) return sendProblem(response, new RedoubtError('ERR_NOT_FOUND', { message: 'no such machine' }));
    send(response, 200, 'application/json', { definition: machine.definition, snapshot: machine.snapshot() });
  };

  return (request, response, next) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return next();
    const path = pathOf(request);
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
    if (route) return route(request, response);
    const id = /^\/machines\/([^/]+)$/.exec(path)?.[1];
    if (id !== undefined) return showMachine(id, request, response);
    next();
  };
}

/** Below where it is mounted, as Express and Connect leave it in `url`; a slash at the end says nothing. */
function pathOf({ url = '/' }: IncomingMessage): string {
  const path = url.split('?', 1)[0] ?? '/';
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path || '/';
}

function sendProblem(response: ServerResponse, error: RedoubtError): void {
  send(response, error.status, PROBLEM_TYPE, problemOf(error));
}

/** Without Express' send(): an ETag of an answer that must not be stored is work for nothing. */
function send(response: ServerResponse, status: number, type: string, body: object): void {
  response.statusCode = status;
  response.setHeader('Content-Type', type);
  response.setHeader('Cache-Control', 'no-store');
  response.end(JSON.stringify(body));
}
