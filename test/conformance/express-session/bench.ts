import { type Server, createServer } from 'node:http';

import express, { type Request, type Response } from 'express';
import type { Store } from 'express-session';

import { listen } from '../../../src/server/listen.ts';
import { BASE, type Behaviour, type Bench, type Observation, type Site, failure } from './behaviour.ts';
import { Browser, Labels, fromNow } from './browser.ts';
import type { Contender } from './contenders.ts';

/** Runs a behaviour on a contender; what would have ended the process is part of what is seen. */
export async function observe(contender: Contender, { run }: Behaviour): Promise<Observation> {
  const servers: Server[] = [];
  const labels = new Labels();
  const start = async (handle: Parameters<typeof createServer>[1] & object): Promise<Site> => {
    const server = createServer(handle);
    servers.push(server);
    const url = await listen(server, '127.0.0.1', 0);
    return { url, browser: () => new Browser(url, labels) };
  };
  const benchOn = (store: Store): Bench => ({
    session: (options) => contender.session({ ...BASE, ...options }, store),
    bare: (options = {}) => contender.session(options, store),
    store,
    labels,
    stored: (sid) => storedIn(store, sid),
    serve: (build) => {
      const app = express();
      // Otherwise Express prints each error.
      app.set('env', 'test');
      build(app);
      return start(app);
    },
    serveRaw: (handle) => start((req, res) => handle(req as Request, res as Response)),
    settled: () => contender.settled(),
    apart: () => benchOn(contender.store()),
  });
  const { result, crashes } = await withoutCrashing(async () => {
    try {
      return JSON.parse(JSON.stringify(await run(benchOn(contender.store())))) as Observation;
    } finally {
      for (const server of servers) server.closeAllConnections();
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    }
  });
  return crashes.length === 0 ? result : { seen: result, processEndedBy: crashes };
}

function storedIn(store: Store, sid: string): Promise<Observation> {
  return new Promise((resolve) => {
    store.get(sid, (error: unknown, data) => {
      if (error) return resolve(failure(error));
      if (!data) return resolve(null);
      const { cookie, ...content } = JSON.parse(JSON.stringify(data)) as Record<string, unknown>;
      return resolve({ ...content, cookie: shown(cookie as Record<string, unknown>) });
    });
  });
}

/** A stored cookie, with its times to ten seconds. */
function shown(cookie: Record<string, unknown>): Record<string, unknown> {
  const { expires, originalMaxAge, ...rest } = cookie;
  return {
    ...rest,
    expires: typeof expires === 'string' ? fromNow(expires) : null,
    originalMaxAge: typeof originalMaxAge === 'number' ? Math.round(originalMaxAge / 10_000) * 10_000 : null,
  };
}

const CRASHES = ['uncaughtException', 'unhandledRejection'] as const;

/** Stands in for the default, which ends the process, and for the test runner's own listeners. */
async function withoutCrashing<T>(work: () => Promise<T>): Promise<{ result: T; crashes: string[] }> {
  const crashes: string[] = [];
  const note = (error: unknown): void => void crashes.push(error instanceof Error ? error.message : String(error));
  const others = CRASHES.map((event) => [event, process.rawListeners(event)] as const);
  for (const [event] of others) process.removeAllListeners(event).on(event, note);
  try {
    const result = await work();
    // What a handler did last is thrown a turn later.
    await new Promise((resolve) => void setImmediate(() => setImmediate(resolve)));
    return { result, crashes };
  } finally {
    for (const [event, listeners] of others) {
      process.removeAllListeners(event);
      for (const listener of listeners) process.on(event, listener as () => void);
    }
  }
}
