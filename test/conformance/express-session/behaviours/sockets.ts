import { createServer } from 'node:http';

import express, { type Request } from 'express';
import { Server, type Socket } from 'socket.io';
import { type Socket as Client, io } from 'socket.io-client';

import { listen } from '../../../../src/server/listen.ts';
import { type Behaviour, type Bench, behaviour, contentOf, dataOf, outcome } from '../behaviour.ts';
import { Browser } from '../browser.ts';

const TRANSPORTS = ['websocket', 'polling'] as const;

interface Chat {
  readonly browser: Browser;
  connect(headers: Record<string, string>): Promise<Client>;
  /** Cookies of the handshake. */
  readonly handshakes: unknown[];
}

/** An application and its sockets on one session middleware, as Socket.IO's guide has it. */
async function chat<T>(
  bench: Bench,
  transport: (typeof TRANSPORTS)[number],
  use: (place: Chat) => Promise<T>,
): Promise<T> {
  const app = express();
  const http = createServer(app);
  const sockets = new Server(http);
  const middleware = bench.session({ cookie: { maxAge: 3_600_000 } });
  app.use(middleware);
  app.get('/login', (req, res) => {
    dataOf(req)['user'] = 'ann';
    res.send('in');
  });
  app.get('/show', (req, res) => void res.json(contentOf(req.session)));
  app.get('/logout', (req, res) => req.session.destroy(() => void res.send('out')));
  sockets.engine.use(middleware);
  sockets.on('connection', (socket: Socket) => {
    const req = socket.request as Request;
    socket.on('whoami', (answer) => answer(contentOf(req.session)));
    socket.on('change', async (value, answer) => {
      dataOf(req)['value'] = value;
      answer(await outcome((done) => req.session.save(done)));
    });
    socket.on('reload', async (answer) => {
      const reload = await outcome((done) => req.session.reload(done));
      answer({ reload, content: contentOf(req.session) });
    });
    socket.on('destroy', async (answer) => answer(await outcome((done) => req.session.destroy(done))));
  });
  const url = await listen(http, '127.0.0.1', 0);
  const clients: Client[] = [];
  const connect = (headers: Record<string, string>): Promise<Client> => {
    const client = io(url, { transports: [transport], extraHeaders: headers, reconnection: false, forceNew: true });
    clients.push(client);
    return new Promise((resolve, reject) => {
      client.once('connect', () => resolve(client));
      client.once('connect_error', reject);
    });
  };
  try {
    return await use({ browser: new Browser(url, bench.labels), connect, handshakes: [] });
  } finally {
    for (const client of clients) client.disconnect();
    await sockets.close();
  }
}

const ask = (client: Client, event: string, ...args: unknown[]): Promise<unknown> =>
  client.timeout(2_000).emitWithAck(event, ...args);

export const sockets: readonly Behaviour[] = TRANSPORTS.flatMap((transport) => [
  behaviour(`io.engine.use by ${transport}: a socket has the session of the page`, (bench) =>
    chat(bench, transport, async ({ browser, connect }) => {
      await browser.get('/login');
      const client = await connect({ Cookie: browser.cookie });
      const who = await ask(client, 'whoami');
      const change = await ask(client, 'change', 1);
      const shown = await browser.get('/show');
      return { who, change, shown, again: await ask(client, 'change', 2), shownAgain: await browser.get('/show') };
    }),
  ),

  behaviour(`io.engine.use by ${transport}: a socket sees by reload what the page changed, and its end`, (bench) =>
    chat(bench, transport, async ({ browser, connect }) => {
      await browser.get('/login');
      const client = await connect({ Cookie: browser.cookie });
      await ask(client, 'change', 1);
      const reload = await ask(client, 'reload');
      await browser.get('/logout');
      return { reload, after: await ask(client, 'reload') };
    }),
  ),

  behaviour(`io.engine.use by ${transport}: a socket that has no cookie gets a session of its own`, (bench) =>
    chat(bench, transport, async ({ connect }) => {
      const client = await connect({});
      const who = await ask(client, 'whoami');
      return { who, change: await ask(client, 'change', 1), reload: await ask(client, 'reload') };
    }),
  ),

  behaviour(`io.engine.use by ${transport}: a socket ends the session of the page`, (bench) =>
    chat(bench, transport, async ({ browser, connect }) => {
      await browser.get('/login');
      const client = await connect({ Cookie: browser.cookie });
      return { destroy: await ask(client, 'destroy'), shown: await browser.get('/show') };
    }),
  ),
]);
