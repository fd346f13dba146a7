// Ends a server so that nobody loses anything:
//
// 1. `/health/ready` answers 503, and load balancers get `server.drainDelay` to notice;
// 2. no new connection is accepted, idle ones are closed, streams end, requests that run are answered;
// 3. sockets are told to come back, each at another moment, and closed;
// 4. Redoubt closes: workers drained, buffers flushed, Redis destroyed, PostgreSQL last.
//
// All of it within `server.shutdownTimeout`. Requests get at most half of what is left, because what the last step
// flushes are writes that have been acknowledged.

import type { Config } from './config/schema.ts';
import { type Clock, sleep } from './core/clock.ts';
import { withDeadline } from './core/deadline.ts';
import type { Logger } from './observe/log.ts';

/**
 * What can be shut down: Node's HTTP and HTTPS servers, Socket.IO's, and whatever else ends by `close()`. It names no
 * type of Socket.IO's, which an application need not have.
 */
export interface ShutdownTarget {
  close(done?: (error?: Error) => void): unknown;
}

export interface ShutdownOptions {
  readonly redoubt: { drain(): void; close(): Promise<void> };
  readonly servers: readonly ShutdownTarget[];
  /** Told when nobody new is accepted any more, to end answers that do not end by themselves. */
  readonly requests?: { drain(): void };
  /** Closed together with the sockets, such as the inspector bridge. */
  readonly extras?: readonly { close(): Promise<void> | void }[];
  readonly config: Config;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Sockets are told to come back at a random moment within this time. */
const RECONNECT_WITHIN_MS = 2000;

/** Between two looks for connections that have become idle; Node closes only those that are when it is told to. */
const IDLE_EVERY_MS = 50;

/** The event that sockets get before they are closed, with `{ afterMs }`. */
export const RECONNECT_EVENT = 'redoubt:reconnect';

/** @returns whether everything was done in time, and nobody was cut; never rejects */
export async function shutDown(options: ShutdownOptions): Promise<boolean> {
  const { config, log, clock } = options;
  const servers = withHttp(options.servers);
  const startedAt = clock.now();
  const endsAt = startedAt + config.server.shutdownTimeoutMs;
  const progress = { step: 'draining' };
  const ended = new AbortController();
  try {
    const steps = runSteps({ ...options, servers }, endsAt, progress, ended.signal);
    const isWhole = await withDeadline(steps, config.server.shutdownTimeoutMs, { clock });
    const facts = { ms: Math.round(clock.now() - startedAt) };
    if (isWhole) log.info(facts, 'stopped');
    else log.warn(facts, 'stopped, with requests or connections that did not end in time and were cut');
    return isWhole;
  } catch (error) {
    log.error({ err: error, step: progress.step }, `stopped before ${progress.step} was done`);
    cut(servers);
    return false;
  } finally {
    ended.abort();
  }
}

async function runSteps(
  options: ShutdownOptions,
  endsAt: number,
  progress: { step: string },
  ended: AbortSignal,
): Promise<boolean> {
  const { redoubt, servers, requests, extras = [], config, clock } = options;
  redoubt.drain();
  await sleep(clock, config.server.drainDelayMs);

  progress.step = 'answering open requests';
  const https = servers.filter(isHttp);
  const closed = https.map((http) => stopAccepting(http, clock, ended));
  requests?.drain();

  progress.step = 'closing sockets';
  const others = servers.filter((server) => !isHttp(server));
  for (const io of others.filter(isSockets)) tellSockets(io, options.random);
  // Socket.IO's close() ends with its HTTP server, so it is waited for below, with the requests.
  const othersClosed = others.map((server) => closeOther(server));
  await Promise.all(extras.map((extra) => extra.close()));

  progress.step = 'answering open requests';
  const patienceMs = (endsAt - clock.now()) / 2;
  const answered = withDeadline(Promise.all([...closed, ...othersClosed]), patienceMs, { clock });
  // Only the deadline rejects: what is still open is cut.
  const isWhole = await answered.then(
    () => true,
    () => {
      cut(servers);
      return false;
    },
  );

  progress.step = 'flushing and closing backends';
  await redoubt.close();
  return isWhole;
}

/** What is used of Node's HTTP servers. */
interface HttpLike extends ShutdownTarget {
  closeAllConnections(): void;
  closeIdleConnections?(): void;
  prependListener?(event: 'request', listener: (request: unknown, response: ResponseLike) => void): unknown;
}

interface ResponseLike {
  setHeader(name: string, value: string): unknown;
}

/** What is used of Socket.IO's server. */
interface SocketsLike extends ShutdownTarget {
  readonly sockets: { readonly sockets: ReadonlyMap<string, { emit(event: string, hint: object): unknown }> };
  readonly httpServer?: unknown;
}

/**
 * With the Socket.IO servers that stand on what is handed over: their connections are no requests, and hold a process
 * until their clients leave.
 *
 * @param known - every Socket.IO server that is in sight
 */
export function withSockets(
  given: readonly ShutdownTarget[],
  known: readonly ShutdownTarget[],
): readonly ShutdownTarget[] {
  const standing = known.filter((io) => isSockets(io) && given.includes(io.httpServer as ShutdownTarget));
  return [...new Set([...given, ...standing])];
}

/** Whoever hands over Socket.IO's server means the HTTP server under it too. */
function withHttp(given: readonly ShutdownTarget[]): readonly ShutdownTarget[] {
  const under = given.flatMap((server) =>
    isSockets(server) && isObject(server.httpServer) ? [server.httpServer] : [],
  );
  return [...new Set([...under.filter(isHttp), ...given])];
}

function isObject(value: unknown): value is ShutdownTarget {
  return typeof value === 'object' && value !== null && 'close' in value;
}

function isHttp(server: ShutdownTarget): server is HttpLike {
  return 'closeAllConnections' in server;
}

function isSockets(server: ShutdownTarget): server is SocketsLike {
  const { sockets } = server as { sockets?: { sockets?: unknown } };
  return sockets?.sockets instanceof Map;
}

/** Resolves when every connection has ended; a kept-alive one ends after its answer. */
function stopAccepting(http: HttpLike, clock: Clock, ended: AbortSignal): Promise<void> {
  const closed = new AbortController();
  const done = new Promise<void>((resolve) => {
    http.close(() => {
      closed.abort();
      resolve();
    });
  });
  http.prependListener?.('request', (_request, response) => response.setHeader('Connection', 'close'));
  void closeIdle(http, clock, AbortSignal.any([closed.signal, ended]));
  return done;
}

async function closeIdle(http: HttpLike, clock: Clock, until: AbortSignal): Promise<void> {
  while (!until.aborted) {
    http.closeIdleConnections?.();
    await sleep(clock, IDLE_EVERY_MS, until);
  }
}

/** Resolves when it is closed, as a promise or by its callback; a failure of others' code does not keep us. */
async function closeOther(server: ShutdownTarget): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      const returned = server.close(() => resolve());
      if (returned instanceof Promise) returned.then(() => resolve(), reject);
    });
  } catch {
    // Most often that it was closed already.
  }
}

/**
 * Not disconnectSockets(): that goes to every instance, and a client that the server disconnects
 * does not come back by itself. Closing the transport, as io.close() does, makes it reconnect.
 */
function tellSockets(io: SocketsLike, random: () => number): void {
  for (const socket of io.sockets.sockets.values()) {
    socket.emit(RECONNECT_EVENT, { afterMs: Math.round(random() * RECONNECT_WITHIN_MS) });
  }
}

function cut(servers: readonly ShutdownTarget[]): void {
  for (const server of servers) if (isHttp(server)) server.closeAllConnections();
}
