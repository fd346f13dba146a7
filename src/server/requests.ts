import type { RequestHandler, Response } from 'express';
import { Histogram, type Registry } from 'prom-client';

import type { Clock } from '../core/clock.ts';
import type { Logger } from '../observe/log.ts';

/** The requests that are being answered now. */
export interface Requests {
  readonly track: RequestHandler;
  /**
   * Ends answers that never end by themselves (server-sent events), and asks clients of all others to
   * close their connection after the answer.
   */
  drain(): void;
}

const METRIC = 'redoubt_http_request_duration_seconds';
/** Routers that we mount ourselves; a path of any other could hold what a user typed. */
const KNOWN_MOUNTS = new Set(['/health']);

/** Counts, measures and, at level debug, logs each request. */
export function trackRequests(registry: Registry, log: Logger, clock: Clock): Requests {
  const durations =
    (registry.getSingleMetric(METRIC) as Histogram | undefined) ??
    new Histogram({
      name: METRIC,
      help: 'Time from a request to the end of its answer.',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
      registers: [registry],
    });
  // As many as there are connections, no more.
  const active = new Set<Response>();
  let draining = false;

  const track: RequestHandler = (request, response, next) => {
    const startedAt = clock.now();
    active.add(response);
    if (draining) response.setHeader('Connection', 'close');
    response.once('close', () => {
      active.delete(response);
      if (isStream(response)) return;
      const ms = clock.now() - startedAt;
      const route = routeOf(request.baseUrl, (request.route as { path?: unknown } | undefined)?.path);
      const facts = { method: request.method, route, status: String(response.statusCode) };
      durations.observe(facts, ms / 1000);
      log.debug({ ...facts, ms: Math.round(ms * 10) / 10 }, 'answered');
    });
    next();
  };

  const drain = (): void => {
    draining = true;
    for (const response of active) {
      if (isStream(response)) response.end();
      else if (!response.headersSent) response.setHeader('Connection', 'close');
    }
  };
  return { track, drain };
}

function isStream(response: Response): boolean {
  return String(response.getHeader('Content-Type') ?? '').startsWith('text/event-stream');
}

/** The pattern of the route, never the address: the number of labels stays that of the routes. */
function routeOf(mount: string, path: unknown): string {
  if (typeof path !== 'string') return 'none';
  return KNOWN_MOUNTS.has(mount) ? mount + path : path;
}
