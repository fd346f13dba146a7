import { type Server as HttpServer, createServer } from 'node:http';

import express, { type Express } from 'express';
import { Server } from 'socket.io';

import type { Redoubt } from '../api.ts';
import type { Config } from '../config/schema.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import type { Logger } from '../observe/log.ts';
import { cacheRoutes } from './api/cache.ts';
import { jobsRoutes } from './api/jobs.ts';
import { machinesRoutes } from './api/machines.ts';
import { socketsRoutes } from './api/sockets.ts';
import { demoSessionRoutes } from './demo/sessions.ts';
import { serveDemoSockets } from './demo/sockets.ts';
import { workDemoQueue } from './demo/worker.ts';
import { errorHandler, notFound } from './errors.ts';
import { inspectRouter } from './inspect/router.ts';
import { consolePage } from './pages/console.ts';
import { type Requests, trackRequests } from './requests.ts';
import { isDemoOn, parseTrustProxy, requireDetailsToken, requireToken, securityHeaders } from './security.ts';
import { loadUserApp } from './user-app.ts';

export interface ServerAppOptions {
  readonly redoubt: Redoubt;
  /** Default: `redoubt.config`; differs where the command line had the last word. */
  readonly config?: Config;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Where a relative `server.app` starts; default: the working directory. */
  readonly cwd?: string;
}

/** The ready-made server before it listens. */
export interface ServerApp {
  readonly app: Express;
  readonly http: HttpServer;
  readonly io: Server;
  readonly requests: Requests;
  /** What must be closed together with the sockets. */
  readonly extras: readonly { close(): Promise<void> | void }[];
}

/**
 * Express, Socket.IO, all routes of the contract and the user's module; nothing listens yet.
 *
 * @throws {RedoubtError} `ERR_SESSION_SECRET` in production without a secret, `ERR_APP_MODULE`
 */
export async function createServerApp(options: ServerAppOptions): Promise<ServerApp> {
  const { redoubt, log, config = redoubt.config, clock = systemClock, cwd = process.cwd() } = options;
  // A server that cannot hold sessions must say so before it listens, not at the first visitor.
  redoubt.sessions.store();

  const app = express();
  app.disable('x-powered-by');
  app.set('trust proxy', parseTrustProxy(config.server.trustProxy));
  const http = createHttpServer(app, config);
  const io = new Server(http, {
    adapter: redoubt.sockets.adapter,
    maxHttpBufferSize: config.server.bodyLimit,
  });

  const requests = trackRequests(redoubt.metrics, log, clock);
  app.use(requests.track, securityHeaders());
  app.use('/health', redoubt.health.router());
  app.get('/metrics', async (_request, response) => {
    const text = await redoubt.metrics.metrics();
    response.setHeader('Content-Type', redoubt.metrics.contentType);
    response.end(text);
  });
  app.use(consolePage());
  const inspect = inspectRouter({ machines: redoubt.machines, health: () => redoubt.health.report(), log, clock });
  app.use('/inspect', requireDetailsToken(config));
  app.use(inspect.router);
  app.use('/v1', requireToken(config));
  app.use(cacheRoutes(redoubt.cache, config));
  app.use(jobsRoutes(redoubt.jobs, config));
  app.use(socketsRoutes(io, config));
  app.use(machinesRoutes(redoubt.machines, config, log));
  if (isDemoOn(config)) {
    app.use(demoSessionRoutes(redoubt.sessions, config));
    serveDemoSockets(io, log);
    workDemoQueue(redoubt.jobs, clock);
  }
  if (config.server.app !== '') await loadUserApp(config.server.app, cwd, { app, io, redoubt, config });
  app.use(notFound, errorHandler(log));
  return { app, http, io, requests, extras: [inspect] };
}

function createHttpServer(app: Express, config: Config): HttpServer {
  const { requestTimeoutMs } = config.server;
  return createServer(
    {
      requestTimeout: requestTimeoutMs,
      headersTimeout: Math.min(requestTimeoutMs, 10_000),
      // Node looks for half-sent requests this often; its own 30 s would double the bound.
      connectionsCheckingInterval: Math.min(requestTimeoutMs, 1000),
    },
    app,
  );
}
