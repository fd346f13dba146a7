import type { Server as HttpServer } from 'node:http';

import type { Server } from 'socket.io';

import type { Config } from '../config/schema.ts';
import { type Clock, sleep } from '../core/clock.ts';
import { withDeadline } from '../core/deadline.ts';
import type { Logger } from '../observe/log.ts';
import type { Requests } from './requests.ts';

/**
 * Ends the server so that nobody loses anything:
 *
 * 1. `/health/ready` answers 503, and load balancers get `server.drainDelay` to notice;
 * 2. no new connection is accepted, streams end, requests that run are answered;
 * 3. sockets are told to come back, each at another moment, and closed;
 * 4. Redoubt closes: workers drained, buffers flushed, Redis destroyed, PostgreSQL last.
 *
 * All of it within `server.shutdownTimeout`. Requests get at most half of what is left, because what the last step
 * flushes are writes that have been acknowledged.
 */
export interface ShutdownOptions {
  readonly redoubt: { drain(): void; close(): Promise<void> };
  readonly http: HttpServer;
  readonly io: Server;
  readonly requests: Requests;
  /** Closed together with the sockets, such as the inspector bridge. */
  readonly extras: readonly { close(): Promise<void> | void }[];
  readonly config: Config;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Sockets are told to come back at a random moment within this time. */
const RECONNECT_WITHIN_MS = 2000;

/** The event that sockets get before they are closed, with `{ afterMs }`. */
export const RECONNECT_EVENT = 'redoubt:reconnect';

/** @returns whether everything was done in time; never rejects */
export async function shutDown(options: ShutdownOptions): Promise<boolean> {
  const { config, log, clock } = options;
  const startedAt = clock.now();
  const endsAt = startedAt + config.server.shutdownTimeoutMs;
  const progress = { step: 'draining' };
  try {
    await withDeadline(runSteps(options, endsAt, progress), config.server.shutdownTimeoutMs, { clock });
    log.info({ ms: Math.round(clock.now() - startedAt) }, 'stopped');
    return true;
  } catch (error) {
    log.error({ err: error, step: progress.step }, `stopped before ${progress.step} was done`);
    options.http.closeAllConnections();
    return false;
  }
}

async function runSteps(options: ShutdownOptions, endsAt: number, progress: { step: string }): Promise<void> {
  const { redoubt, http, io, requests, extras, config, clock } = options;
  redoubt.drain();
  await sleep(clock, config.server.drainDelayMs);

  progress.step = 'answering open requests';
  const closed = new Promise<void>((resolve) => {
    http.close(() => resolve());
  });
  requests.drain();

  progress.step = 'closing sockets';
  tellSockets(io, options.random);
  // io.close() resolves with the http server, so it is waited for below, with the requests.
  const socketsClosed = io.close();
  await Promise.all(extras.map((extra) => extra.close()));

  progress.step = 'answering open requests';
  const patienceMs = (endsAt - clock.now()) / 2;
  const answered = withDeadline(Promise.all([closed, socketsClosed]), patienceMs, { clock });
  // Only the deadline rejects: what is still open is cut.
  await answered.catch(() => http.closeAllConnections());

  progress.step = 'flushing and closing backends';
  await redoubt.close();
}

/**
 * Not disconnectSockets(): that goes to every instance, and a client that the server disconnects
 * does not come back by itself. Closing the transport, as io.close() does, makes it reconnect.
 */
function tellSockets(io: Server, random: () => number): void {
  for (const socket of io.sockets.sockets.values()) {
    socket.emit(RECONNECT_EVENT, { afterMs: Math.round(random() * RECONNECT_WITHIN_MS) });
  }
}
