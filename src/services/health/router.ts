import { type Request, type Response, Router } from 'express';

import { bearerMatches } from '../../core/bearer.ts';
import { RedoubtError } from '../../core/errors.ts';
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
 */
export function createHealthRouter({ config, machines, draining, started, report }: RouterOptions): Router {
  const { details, readiness } = config.health;
  const seesDetails = (request: Request): boolean =>
    details === 'always' || bearerMatches(request.headers.authorization, config.server.apiToken);

  const router = Router();
  router.get('/', (request, response) => {
    const full = report();
    const code = full.status === 'fail' ? 503 : 200;
    send(response, code, HEALTH_TYPE, seesDetails(request) ? full : { status: full.status });
  });

  // Never asks about anybody else: a restart of this process would not bring Redis back.
  router.get('/live', (_request, response) => send(response, 200, HEALTH_TYPE, { status: 'pass' }));

  router.get('/ready', (request, response) => {
    const missing = notReady(machines.all, readiness);
    const isReady = missing.length === 0 && !draining();
    const status = isReady ? 'pass' : 'fail';
    const body = seesDetails(request) ? { status, notReady: missing, draining: draining() } : { status };
    send(response, isReady ? 200 : 503, HEALTH_TYPE, body);
  });

  router.get('/startup', (_request, response) => {
    const hasStarted = started();
    send(response, hasStarted ? 200 : 503, HEALTH_TYPE, { status: hasStarted ? 'pass' : 'fail' });
  });

  router.get('/machines/:id', (request, response) => {
    if (!seesDetails(request)) {
      response.setHeader('WWW-Authenticate', 'Bearer');
      return sendProblem(response, new RedoubtError('ERR_UNAUTHORIZED'));
    }
    const machine = machines.all.find(({ id }) => id === request.params.id);
    if (!machine) return sendProblem(response, new RedoubtError('ERR_NOT_FOUND', { message: 'no such machine' }));
    send(response, 200, 'application/json', { definition: machine.definition, snapshot: machine.snapshot() });
  });
  return router;
}

function sendProblem(response: Response, error: RedoubtError): void {
  send(response, error.status, PROBLEM_TYPE, problemOf(error));
}

/** Without Express' send(): an ETag of an answer that must not be stored is work for nothing. */
function send(response: Response, status: number, type: string, body: object): void {
  response.statusCode = status;
  response.setHeader('Content-Type', type);
  response.setHeader('Cache-Control', 'no-store');
  response.end(JSON.stringify(body));
}
