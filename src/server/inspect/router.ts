import { createHash } from 'node:crypto';

import { type RequestHandler, Router } from 'express';

import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../observe/log.ts';
import type { Machines } from '../../runtime/types.ts';
import type { HealthReport } from '../../services/health/types.ts';
import { CLIENT } from './client.ts';
import { drawMachine } from '../../diagram/drawing.ts';
import { Feed } from './feed.ts';
import { ICON, renderPage } from './page.ts';
import { STYLE } from './style.ts';

export interface InspectOptions {
  readonly machines: Machines;
  /** Built from memory, without I/O. */
  readonly health: () => HealthReport;
  readonly log: Logger;
  readonly clock: Clock;
}

// The page loads and asks for nothing but what this router serves.
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/**
 * The live machine page: `/inspect`, its stylesheet, script and icon below it, and its event
 * stream `/inspect/events` (Server-Sent Events; `Last-Event-ID` or `?after=` resumes).
 *
 * The pictures are drawn at the first visit and kept. More than 50 streams are answered with
 * `ERR_BACKPRESSURE` (503).
 *
 * @returns the router, to be mounted at the root, and `close`, which ends the streams
 */
export function inspectRouter(options: InspectOptions): { readonly router: Router; close(): void } {
  const { machines } = options;
  const page = versionOf(machines);
  const feed = new Feed({ ...options, page });
  const drawings = keepDrawings(options);
  const router = Router({ strict: true });

  router.get('/inspect', async (_request, response) => {
    response.set({ 'Content-Security-Policy': POLICY, 'Cache-Control': 'no-cache', 'Referrer-Policy': 'no-referrer' });
    response.type('html').send(renderPage(machines, await drawings(), page));
  });
  // The page's addresses are relative, so that it works behind any prefix; with a slash at its end they would not.
  router.get('/inspect/', (_request, response) => response.redirect(308, '../inspect'));
  router.get('/inspect/style.css', serve('css', STYLE));
  router.get('/inspect/client.js', serve('js', CLIENT));
  router.get('/inspect/icon.svg', serve('svg', ICON));
  router.get('/inspect/events', (request, response) => {
    feed.assertOpen();
    const { after } = request.query;
    const last = request.get('Last-Event-ID') ?? (typeof after === 'string' ? after : undefined);
    response.writeHead(200, {
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-store, no-transform',
      'X-Accel-Buffering': 'no',
    });
    response.on('close', () => feed.leave(response));
    feed.open(response, last);
  });
  return { router, close: () => feed.close() };
}

function serve(type: string, text: string): RequestHandler {
  return (_request, response) => {
    response.set('Cache-Control', 'no-cache').type(type).send(text);
  };
}

/** Draws all machines once, however many ask; a machine that cannot be drawn is tried again at the next visit. */
function keepDrawings({ machines, log }: InspectOptions): () => Promise<ReadonlyMap<string, string>> {
  const drawn = new Map<string, string>();
  let drawing: Promise<ReadonlyMap<string, string>> | undefined;
  const draw = async (): Promise<ReadonlyMap<string, string>> => {
    // One after the other: each takes a thread, and a fleet of machines must not take all cores.
    for (const { id, definition } of machines.all) {
      if (drawn.has(id)) continue;
      try {
        drawn.set(id, await drawMachine(definition));
      } catch (error) {
        log.warn({ machine: id, err: error }, 'The machine could not be drawn; /inspect lists its states instead');
      }
    }
    return drawn;
  };
  return () => {
    if (drawn.size === machines.all.length) return Promise.resolve(drawn);
    drawing ??= draw().finally(() => {
      drawing = undefined;
    });
    return drawing;
  };
}

function versionOf(machines: Machines): string {
  const definitions = JSON.stringify(machines.all.map((machine) => machine.definition));
  return createHash('sha256').update(definitions).digest('hex').slice(0, 12);
}
