import { Agent, createServer, get as httpGet } from 'node:http';
import type { AddressInfo } from 'node:net';

import express, { type Request } from 'express';
import { Server } from 'socket.io';
import { type Socket, io as connect } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import type { Redoubt } from '../../src/api.ts';
import { silentLogger } from '../../src/observe/log.ts';
import { createRedoubt } from '../../src/redoubt.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';

let redis: TestRedis;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis[Symbol.asyncDispose]());

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

async function startRedoubt(server: object = {}): Promise<Redoubt> {
  const config = {
    redis: { url: redis.url },
    postgres: { url: 'none' },
    sessions: { secret: ['s'.repeat(32)] },
    server,
  };
  const redoubt = await createRedoubt({ config, logger: silentLogger });
  open.push(() => redoubt.close());
  return redoubt;
}

/** An application whose answers wait until the test lets them go. */
async function startApp(settings?: object) {
  const redoubt = await startRedoubt(settings);
  const asked = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const app = express();
  app.use('/health', redoubt.health.router());
  app.use(redoubt.sessions.middleware());
  app.get('/visits', (request: Request, response) => {
    response.json((request.session as unknown as { visits?: number }).visits ?? 0);
  });
  app.get('/slow', async (request: Request, response) => {
    asked.resolve();
    await released.promise;
    (request.session as unknown as { visits?: number }).visits = 7;
    response.json('done');
  });
  app.get('/endless', (_request, response) => {
    response.write('and so on');
    asked.resolve();
  });
  const server = createServer(app).listen(0, '127.0.0.1');
  open.push(() => server.closeAllConnections());
  await new Promise((resolve) => server.once('listening', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { redoubt, server, url, asked: asked.promise, release: released.resolve };
}

/** One request over a connection that its client keeps. */
function getKeptAlive(url: string): Promise<number | undefined> {
  const agent = new Agent({ keepAlive: true });
  open.push(() => agent.destroy());
  return new Promise((resolve, reject) => {
    httpGet(url, { agent }, (response) => response.resume().once('end', () => resolve(response.statusCode))).once(
      'error',
      reject,
    );
  });
}

describe('shutdown(server)', () => {
  it('answers the request under way, saves its session, and says that nobody new should come', async () => {
    const { redoubt, server, url, asked, release } = await startApp();
    const slow = fetch(`${url}/slow`);
    await asked;
    const done = redoubt.shutdown(server);
    expect(redoubt.health.report().status).toBe('fail');
    release();
    const answer = await slow;
    expect([answer.status, await answer.json()]).toEqual([200, 'done']);
    expect(await done).toBe(true);
    expect(server.listening).toBe(false);
    await expect(redoubt.cache.get('key')).rejects.toMatchObject({ code: 'ERR_CLOSED' });

    // Another process finds what it saved.
    const next = await startApp();
    const cookie = answer.headers.getSetCookie()[0]?.split(';')[0] ?? '';
    expect(await (await fetch(`${next.url}/visits`, { headers: { cookie } })).json()).toBe(7);
  });

  it('is not held by connections that clients keep', async () => {
    const { redoubt, server, url, asked, release } = await startApp({ shutdownTimeout: '60s' });
    expect(await getKeptAlive(`${url}/health/live`)).toBe(200);
    // This one becomes idle only after the server has been told to close.
    const slow = getKeptAlive(`${url}/slow`);
    await asked;
    const done = redoubt.shutdown(server);
    release();
    expect(await slow).toBe(200);
    expect(await done).toBe(true);
  });

  it('cuts an answer that never ends, says so, and closes Redoubt all the same', async () => {
    const { redoubt, server, url, asked } = await startApp({ shutdownTimeout: '1s' });
    const endless = fetch(`${url}/endless`)
      .then((response) => response.text())
      .catch((error: unknown) => error);
    await asked;
    expect(await redoubt.shutdown(server)).toBe(false);
    expect(await endless).toBeInstanceOf(Error);
  });

  it('is done once, whoever asks', async () => {
    const { redoubt, server } = await startApp();
    const first = redoubt.shutdown(server);
    expect(redoubt.shutdown([])).toBe(first);
    expect(await first).toBe(true);
    await redoubt.close();
  });

  it.each(['together with its HTTP server', 'alone'])(
    'tells the sockets of Socket.IO to come back, %s',
    async (how) => {
      const redoubt = await startRedoubt();
      const http = createServer().listen(0, '127.0.0.1');
      await new Promise((resolve) => http.once('listening', resolve));
      const io = new Server(http, { adapter: redoubt.sockets.adapter });
      const client: Socket = connect(`http://127.0.0.1:${(http.address() as AddressInfo).port}`, {
        transports: ['websocket'],
        reconnection: false,
      });
      open.push(() => client.disconnect());
      await new Promise<void>((resolve) => client.once('connect', resolve));
      const told = new Promise<{ afterMs: number }>((resolve) => client.once('redoubt:reconnect', resolve));
      const dropped = new Promise<string>((resolve) => client.once('disconnect', resolve));

      expect(await redoubt.shutdown(how === 'alone' ? io : [http, io])).toBe(true);
      expect((await told).afterMs).toBeLessThanOrEqual(2_000);
      // Not "io server disconnect", after which a client stays away.
      expect(await dropped).toBe('transport close');
      expect(http.listening).toBe(false);
    },
  );

  it('takes a server that has been closed already', async () => {
    const { redoubt, server } = await startApp();
    server.close();
    expect(await redoubt.shutdown(server)).toBe(true);
  });

  it('brings the Socket.IO server that stands on an HTTP server, and tells its clients', async () => {
    const redoubt = await startRedoubt();
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const io = new Server(server, { adapter: redoubt.sockets.adapter });
    open.push(() => io.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const client = connect(url, { transports: ['websocket'], reconnection: false });
    open.push(() => client.close());
    const told: string[] = [];
    client.on('redoubt:reconnect', () => told.push('reconnect'));
    await new Promise((resolve) => client.once('connect', () => resolve(undefined)));
    const gone = new Promise((resolve) => client.once('disconnect', resolve));
    expect(await redoubt.shutdown(server)).toBe(true);
    await gone;
    expect(told).toEqual(['reconnect']);
  });

  it('is close() without a server', async () => {
    const redoubt = await startRedoubt();
    expect(await redoubt.shutdown()).toBe(true);
    await expect(redoubt.cache.get('key')).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });
});
