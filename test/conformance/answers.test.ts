import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import {
  type IncomingHttpHeaders,
  IncomingMessage,
  type RequestListener,
  type Server,
  ServerResponse,
  createServer,
  request,
} from 'node:http';
import { type AddressInfo, type Socket, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';

import compression from 'compression';
import express, { type ErrorRequestHandler, type Request, type RequestHandler, type Response } from 'express';
import { afterEach, describe, expect, it } from 'vitest';

import { loadConfig } from '../../src/config/load.ts';
import { systemClock } from '../../src/core/clock.ts';
import { type RedoubtError, isRedoubtError } from '../../src/core/errors.ts';
import { silentLogger } from '../../src/observe/log.ts';
import { createMiddleware } from '../../src/services/sessions/middleware.ts';
import { readOptions } from '../../src/services/sessions/options.ts';
import { SealedStore } from '../../src/services/sessions/store.ts';
import { eventually } from '../support/eventually.ts';
import { LOOPBACK } from '../support/ports.ts';
import { FakeVault } from '../unit/sessions/fake-vault.ts';

// What a client on a real connection gets while the session is saved; the vault is a map whose writes wait for the test.

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Whether the connection was cut before the answer was whole. */
  readonly cut: boolean;
}

interface Rig extends Disposable {
  readonly vault: FakeVault;
  readonly errors: unknown[];
  readonly server: Server;
  readonly port: number;
  get(headers?: Record<string, string>): Promise<Answer>;
}

interface RigOptions {
  readonly before?: RequestHandler[];
  readonly behind?: RequestHandler[];
  readonly handler: RequestHandler;
  readonly onError?: ErrorRequestHandler;
  /** What is mounted in the place of the middleware. */
  readonly wrap?: (middleware: RequestHandler) => RequestHandler;
  /** In the place of an Express application. */
  readonly plain?: (middleware: RequestHandler) => RequestListener;
}

const rigs: Disposable[] = [];
afterEach(() => {
  for (const rig of rigs.splice(0)) rig[Symbol.dispose]();
});

async function start({ before = [], behind = [], handler, onError, wrap, plain }: RigOptions): Promise<Rig> {
  const { config } = loadConfig({ env: { NODE_ENV: 'test' } });
  const vault = new FakeVault();
  const { touchEveryMs, retryAfterMs } = config.sessions;
  const store = new SealedStore({ vault, clock: systemClock, touchEveryMs, retryAfterMs, isClosed: () => false });
  const app = express();
  // Its own handler of errors would tell them on the console.
  app.set('env', 'test');
  const options = readOptions({}, { config, log: silentLogger });
  const errors: unknown[] = [];
  for (const one of before) app.use(one);
  const middleware = createMiddleware(store, { ...options, secret: ['a secret'] });
  app.use(wrap?.(middleware) ?? middleware);
  for (const one of behind) app.use(one);
  app.get('/', handler);
  app.use(((error: unknown, _req, _res, next) => {
    errors.push(error);
    next(error);
  }) as ErrorRequestHandler);
  if (onError) app.use(onError);
  const server = createServer(plain?.(middleware) ?? app).listen(0, LOOPBACK);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const rig: Rig = {
    vault,
    errors,
    server,
    port,
    get: (headers = {}) => get(port, headers),
    [Symbol.dispose]: () => {
      server.close();
      server.closeAllConnections();
    },
  };
  rigs.push(rig);
  return rig;
}

function get(port: number, headers: Record<string, string>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const req = request({ port, host: LOOPBACK, headers, agent: false }, (res) => {
      const chunks: Buffer[] = [];
      const done = (): void => {
        const bytes = Buffer.concat(chunks);
        const body = res.headers['content-encoding'] === 'gzip' && res.complete ? gunzipSync(bytes) : bytes;
        resolve({ status: res.statusCode ?? 0, headers: res.headers, body: body.toString(), cut: !res.complete });
      };
      res.on('data', (chunk: Buffer) => chunks.push(chunk));
      res.once('end', done);
      res.once('error', done);
    });
    req.once('error', reject);
    req.end();
  });
}

/** The first bytes on the wire, or undefined after a while in which there were none. */
async function waitForBytes(port: number, withinMs: number): Promise<string | undefined> {
  const socket = connect(port, LOOPBACK);
  socket.on('error', () => undefined);
  try {
    socket.write(`GET / HTTP/1.1\r\nHost: x\r\n\r\n`);
    const bytes = (await Promise.race([once(socket, 'data'), delay(withinMs)])) as [Buffer] | undefined;
    return bytes?.[0].toString();
  } finally {
    // With a reset: a client that has only sent all it wants to send is still there to read.
    socket.resetAndDestroy();
  }
}

const FILE = join(tmpdir(), `redoubt-answer-${process.pid}.txt`);
writeFileSync(FILE, 'a file, '.repeat(40_000));
const LONG = 'a long text, '.repeat(200_000);

function change(handler: (res: Response) => unknown): RequestHandler {
  return (req, res) => {
    Object.assign(req.session, { user: 'ann' });
    handler(res);
  };
}

/** Ways to answer, each with what the client gets; `cookie` where the session's must come with it. */
const WAYS: Record<string, { readonly handler: RequestHandler; readonly body: string; readonly status?: number }> = {
  'send()': { handler: change((res) => res.send('sent')), body: 'sent' },
  'json()': { handler: change((res) => res.json({ n: 1 })), body: '{"n":1}' },
  'end()': { handler: change((res) => res.end('ended')), body: 'ended' },
  'end() without anything': { handler: change((res) => res.end()), body: '' },
  'write() and end()': {
    handler: change((res) => {
      res.write('first, ');
      res.end('last');
    }),
    body: 'first, last',
  },
  'writeHead() and end()': {
    handler: change((res) => {
      res.writeHead(201, 'Made', { 'X-Made': 'yes' });
      res.end('made');
    }),
    body: 'made',
    status: 201,
  },
  'flushHeaders() and a later end()': {
    handler: change((res) => {
      res.flushHeaders();
      setTimeout(() => res.end('later'), 5);
    }),
    body: 'later',
  },
  'a pipe': { handler: change((res) => Readable.from(['a', 'b', LONG]).pipe(res)), body: `ab${LONG}` },
  'sendFile()': { handler: change((res) => res.sendFile(FILE)), body: 'a file, '.repeat(40_000) },
  'redirect()': { handler: change((res) => res.redirect('/there')), body: 'Found. Redirecting to /there', status: 302 },
  'events of a stream': {
    handler: change((res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      res.write('data: 1\n\n');
      setTimeout(() => res.end('data: 2\n\n'), 5);
    }),
    body: 'data: 1\n\ndata: 2\n\n',
  },
  'sendStatus(204)': { handler: change((res) => res.sendStatus(204)), body: '', status: 204 },
};

const AROUND: Record<string, Pick<RigOptions, 'before' | 'behind'>> = {
  alone: {},
  'behind a compressor': { before: [compression({ threshold: 0 })] },
  'in front of a compressor': { behind: [compression({ threshold: 0 })] },
};

const GZIP = { 'Accept-Encoding': 'gzip' };

describe.each(Object.entries(AROUND))('an answer of a changed session, %s,', (_, around) => {
  it.each(Object.entries(WAYS))('by %s, keeps every byte until the session is saved', async (__, way) => {
    const rig = await start({ ...around, handler: way.handler });
    const gate = Promise.withResolvers<void>();
    rig.vault.gate = gate.promise;
    expect(await waitForBytes(rig.port, 60)).toBeUndefined();
    const coming = rig.get(GZIP);
    await delay(30);
    gate.resolve();
    const answer = await coming;
    expect([answer.status, answer.body, answer.cut]).toEqual([way.status ?? 200, way.body, false]);
    expect(String(answer.headers['set-cookie'])).toMatch(/^connect\.sid=/);
    expect(rig.vault.rows.size).toBeGreaterThan(0);
  });

  it.each(Object.entries(WAYS))('by %s, gives way to the error handler where the save is refused', async (__, way) => {
    const rig = await start({
      ...around,
      handler: way.handler,
      onError: (error: RedoubtError, _req, res, _next) => {
        res.status(error.status).json({ code: error.code });
      },
    });
    rig.vault.gate = delay(20);
    rig.vault.failure = new Error('gone');
    const answer = await rig.get(GZIP);
    expect([answer.status, answer.body, answer.cut]).toEqual([503, '{"code":"ERR_SESSION_NOT_SAVED"}', false]);
    expect(answer.headers).toMatchObject({ 'content-type': 'application/json; charset=utf-8', 'retry-after': '2' });
    for (const name of ['set-cookie', 'location', 'x-cut']) expect(answer.headers[name]).toBeUndefined();
  });

  it('is cut where it was out before a later change was refused', async () => {
    const rig = await start({
      ...around,
      handler: (req, res) => {
        res.writeHead(200, { 'Content-Type': 'text/plain', 'Cache-Control': 'no-transform' });
        res.write('first');
        setTimeout(() => {
          Object.assign(req.session, { user: 'ann' });
          res.end('last');
        }, 20);
      },
    });
    rig.vault.failure = new Error('gone');
    const answer = await rig.get(GZIP);
    expect(answer).toMatchObject({ status: 200, cut: true });
    expect(answer.body).not.toContain('last');
    expect(rig.errors.map((error) => isRedoubtError(error, 'ERR_SESSION_NOT_SAVED'))).toEqual([true]);
  });

  it('is refused for a session that cannot be stored, and never 200', async () => {
    for (const spoil of UNSTORABLE) {
      const rig = await start({
        ...around,
        handler: (req, res) => {
          spoil(req.session as unknown as Record<string, unknown>);
          res.send('done');
        },
        onError: (error: RedoubtError, _req, res, _next) => void setTimeout(() => res.status(500).send(error.code), 5),
      });
      const answer = await rig.get(GZIP);
      expect([answer.status, answer.body]).toEqual([500, 'ERR_SESSION_VALUE']);
      expect(answer.headers['set-cookie']).toBeUndefined();
    }
  });
});

const UNSTORABLE: ((session: Record<string, unknown>) => void)[] = [
  (session) => (session['self'] = session),
  (session) => (session['big'] = 1n),
  (session) => Object.defineProperty(session, '__proto__', { value: { admin: true }, enumerable: true }),
  (session) => {
    let deep: object = {};
    for (let i = 0; i < 20_000; i += 1) deep = { deep };
    session['deep'] = deep;
  },
  (session) => Object.defineProperty(session, 'touch', { value: 'not a function' }),
  (session) =>
    (session['date'] = {
      toJSON() {
        throw new Error('no');
      },
    }),
];

describe('save() of a session that cannot be stored', () => {
  it('tells its callback, wherever it was called, and does not throw', async () => {
    const rig = await start({
      handler: (req, res) => {
        setTimeout(() => {
          Object.assign(req.session, { self: req.session });
          req.session.save((error: unknown) => {
            Reflect.deleteProperty(req.session, 'self');
            res.send((error as RedoubtError).code);
          });
        });
      },
    });
    expect(await rig.get()).toMatchObject({ status: 200, body: 'ERR_SESSION_VALUE' });
  });
});

describe('reload() of a session that has been ended', () => {
  it('tells its callback that there is none', async () => {
    const rig = await start({
      handler: (req, res) => {
        const { session } = req;
        session.destroy(() => {
          session.reload((error: unknown) => res.send(String(error)));
        });
      },
    });
    expect((await rig.get()).body).toBe('Error: failed to load session');
  });
});

describe('an answer behind end()', () => {
  it('is sent and ended for everybody, although its bytes wait', async () => {
    const seen: unknown[] = [];
    const rig = await start({
      handler: change((res) => {
        res.send('sent');
        seen.push(res.headersSent, res.writableEnded, res.writableFinished);
        expect(() => res.setHeader('X-Late', 'yes')).toThrow(/after they are sent/);
      }),
    });
    rig.vault.gate = delay(20);
    expect(await rig.get()).toMatchObject({ status: 200, body: 'sent', cut: false });
    expect(seen).toEqual([true, true, false]);
  });

  const LATER: Record<string, (res: Response, next: (error?: unknown) => void) => unknown> = {
    'a second send()': (res) => res.send('again'),
    'a second end()': (res) => res.end('again'),
    'a write()': (res) => res.write('more'),
    'next()': (_res, next) => next(),
    'next(error)': (_res, next) => next(new Error('late')),
    'a throw': () => {
      throw new Error('late');
    },
    'writes that go on': (res) => {
      const timer = setInterval(() => res.write('more'), 1);
      setTimeout(() => clearInterval(timer), 40);
    },
    'a closing server': (res) => (res.req.socket as unknown as { server: Server }).server.close(),
  };

  it.each(Object.entries(LATER))('goes out as it was, whatever comes behind it: %s', async (_, later) => {
    const rig = await start({
      handler: (req, res, next) => {
        Object.assign(req.session, { user: 'ann' });
        res.send('sent');
        later(res, next);
      },
    });
    rig.vault.gate = delay(20);
    expect(await rig.get()).toMatchObject({ status: 200, body: 'sent', cut: false });
    await delay(50);
    expect(rig.vault.rows.size).toBe(1);
  });

  it('an error behind it reaches the error handler, as in Express', async () => {
    const rig = await start({
      handler: change((res) => {
        res.send('sent');
        res.send('again');
      }),
    });
    rig.vault.gate = delay(20);
    await rig.get();
    expect(rig.errors).toEqual([expect.objectContaining({ code: 'ERR_HTTP_HEADERS_SENT' })]);
  });

  it('is the last one of its connection where something threw behind it, as in Express', async () => {
    const rig = await start({
      handler: change((res) => {
        res.send('sent');
        throw new Error('late');
      }),
    });
    rig.vault.gate = delay(20);
    const socket = connect(rig.port, LOOPBACK);
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'close', { signal: AbortSignal.timeout(2000) });
    expect(text).toMatch(/sent$/);
  });

  it('ten at once, each written to behind its end, leave the process alive', async () => {
    const rig = await start({
      handler: change((res) => {
        res.end('sent');
        for (let i = 0; i < 5; i += 1) setTimeout(() => res.write(`more ${i}`), i * 5);
        for (let i = 0; i < 5; i += 1) setTimeout(() => res.end(`more ${i}`), i * 5);
      }),
    });
    rig.vault.gate = delay(10);
    const answers = await Promise.all(Array.from({ length: 10 }, () => rig.get()));
    expect(answers.map(({ status, body }) => `${status} ${body}`)).toEqual(
      Array.from({ length: 10 }, () => '200 sent'),
    );
    await delay(40);
    expect((await rig.get()).body).toBe('sent');
  });
});

async function* endless(): AsyncGenerator<string> {
  for (;;) {
    yield 'of the old answer';
    await delay(1);
  }
}

const answerLater: ErrorRequestHandler = (error: RedoubtError, _req, res, _next) =>
  void setTimeout(() => res.status(error.status).json({ code: error.code }), 30);

describe('the answer in the place of one that was refused', () => {
  const refused = { status: 503, body: '{"code":"ERR_SESSION_NOT_SAVED"}', cut: false };

  it.each([
    [
      'writes on',
      async (res: Response) => {
        for (let i = 0; i < 10; i += 1) {
          res.write('of the old answer');
          await delay(5);
        }
        res.end('its end');
      },
    ],
    [
      'looks whether headers are sent',
      async (res: Response) => {
        res.flushHeaders();
        await delay(10);
        if (!res.headersSent) res.writeHead(200, { 'X-Old': 'yes' });
        res.status(200);
        res.setHeader('X-Old', 'yes');
        res.end('of the old answer');
      },
    ],
    [
      'had announced trailers',
      (res: Response) => {
        res.setHeader('Trailer', 'X-Sum');
        res.write('of the old answer');
        res.addTrailers({ 'X-Sum': '1' });
        res.end();
      },
    ],
  ] as const)("is the error handler's alone, where the old handler %s", async (_, handler) => {
    const rig = await start({ handler: change(handler), onError: answerLater });
    rig.vault.failure = new Error('gone');
    const answer = await rig.get();
    expect(answer).toMatchObject(refused);
    expect(answer.headers['x-old']).toBeUndefined();
    await delay(60);
    expect((await rig.get()).body).toBe(refused.body);
  });

  it('tells an old handler that there is no room for what it writes on, so that it waits', async () => {
    let written = 0;
    const rig = await start({
      handler: change((res) => {
        res.write('first');
        setTimeout(() => {
          while (written < 10_000 && res.write('of the old answer'.repeat(10))) written += 1;
        }, 20);
      }),
      onError: answerLater,
    });
    rig.vault.failure = new Error('gone');
    expect(await rig.get()).toMatchObject(refused);
    expect(written).toBe(0);
  });

  it('is made of the error where the error handler does not answer in time', async () => {
    const rig = await start({
      handler: change((res) => res.send('sent')),
      onError: (_error, _req, _res, _next) => undefined,
    });
    rig.vault.failure = new Error('gone');
    const { status, headers, body } = await rig.get();
    expect([status, headers['content-type']]).toEqual([503, 'application/problem+json']);
    expect(JSON.parse(body)).toMatchObject({ code: 'ERR_SESSION_NOT_SAVED' });
  });

  it("is the error handler's also where a tracer has wrapped next()", async () => {
    const rig = await start({
      handler: change((res) => res.send('sent')),
      wrap: (middleware) => (req, res, next) => middleware(req, res, (...args: unknown[]) => next(...(args as []))),
      onError: answerLater,
    });
    rig.vault.failure = new Error('gone');
    expect(await rig.get()).toMatchObject(refused);
  });

  it.each([
    ['is no router, and would run its handler again', (run: () => void) => () => run()],
    [
      'is a router and throws',
      (run: () => void) =>
        function next(error?: unknown): void {
          if (error) throw error as Error;
          run();
        },
    ],
  ])('is made of the error where next() %s', async (_, nextOf) => {
    let runs = 0;
    const rig = await start({
      handler: (_req, res) => void res.end(),
      plain: (middleware) => (req, res) => {
        const run = (): void => {
          runs += 1;
          Object.assign((req as Request).session, { user: 'ann' });
          res.writeHead(200);
          res.end('sent');
        };
        middleware(req as Request, res as Response, nextOf(run));
      },
    });
    rig.vault.failure = new Error('gone');
    expect(await rig.get()).toMatchObject({ status: 503, cut: false });
    rig.vault.failure = undefined;
    expect(await rig.get()).toMatchObject({ status: 200, body: 'sent' });
    expect(runs).toBe(2);
  });
});

describe('an answer without a connection, as adapters for clouds and tests make it', () => {
  class Injected extends ServerResponse {
    readonly bytes: Buffer[] = [];

    constructor(req: IncomingMessage) {
      super(req);
      const sink = new Writable({
        write: (chunk: Buffer, _encoding, done) => {
          this.bytes.push(chunk);
          done();
        },
      });
      this.assignSocket(sink as unknown as Socket);
    }
  }

  /** As adapters do: the answer is whole when it is finished, whoever ended it. */
  async function inject(rig: Rig): Promise<{ text: string; stored: number }> {
    const req = new IncomingMessage(new Writable() as unknown as Socket);
    Object.assign(req, { url: '/', method: 'GET', httpVersion: '1.1', httpVersionMajor: 1, httpVersionMinor: 1 });
    req.push(null);
    const res = new Injected(req);
    rig.server.emit('request', req, res);
    if (!res.writableEnded) await once(res, 'finish');
    return { text: Buffer.concat(res.bytes).toString(), stored: rig.vault.rows.size };
  }

  it('is ended when its session is saved, and not before', async () => {
    const rig = await start({ handler: change((res) => res.send('sent')) });
    rig.vault.gate = delay(20);
    const { text, stored } = await inject(rig);
    expect(text).toMatch(/^HTTP\/1.1 200 OK[^]*Set-Cookie[^]*sent$/);
    expect(stored).toBe(1);
  });

  it('is refused where the save is', async () => {
    const rig = await start({
      handler: change((res) => res.send('sent')),
      onError: (error: RedoubtError, _req, res, _next) => void res.status(503).send(error.code),
    });
    rig.vault.failure = new Error('gone');
    const { text } = await inject(rig);
    expect(text).toMatch(/^HTTP\/1.1 503[^]*ERR_SESSION_NOT_SAVED$/);
    expect(text).not.toContain('Set-Cookie');
  });
});

describe('a logout that was refused', () => {
  it('is not answered as if it had happened, although its handler does not look', async () => {
    const rig = await start({
      handler: (req, res) => {
        if (req.headers.cookie === undefined) Object.assign(req.session, { user: 'ann' });
        else return void req.session.destroy(() => res.sendStatus(204));
        return void res.send('in');
      },
    });
    const [cookie = ''] = (await rig.get()).headers['set-cookie']![0]!.split(';', 1);
    rig.vault.gate = delay(5).then(() => void (rig.vault.failure = new Error('gone')));
    expect((await rig.get({ Cookie: cookie })).status).toBe(503);
    expect(rig.vault.rows.size).toBe(1);
  });

  it('is answered as its handler likes where it does look', async () => {
    const rig = await start({
      handler: (req, res) => {
        if (req.headers.cookie === undefined) Object.assign(req.session, { user: 'ann' });
        else return void req.session.destroy((error: unknown) => res.status(error ? 502 : 204).send('again, please'));
        return void res.send('in');
      },
    });
    const [cookie = ''] = (await rig.get()).headers['set-cookie']![0]!.split(';', 1);
    rig.vault.gate = delay(5).then(() => void (rig.vault.failure = new Error('gone')));
    expect(await rig.get({ Cookie: cookie })).toMatchObject({ status: 502, body: 'again, please' });
  });
});

describe('a session behind a proxy of the application', () => {
  it('is not written where it was only read', async () => {
    const rig = await start({
      handler: (req, res) => {
        if (req.headers.cookie === undefined) Object.assign(req.session, { user: 'ann' });
        else req.session = new Proxy(req.session, {});
        res.send('read');
      },
    });
    const [cookie = ''] = (await rig.get()).headers['set-cookie']![0]!.split(';', 1);
    rig.vault.calls.length = 0;
    expect((await rig.get({ Cookie: cookie })).status).toBe(200);
    expect(rig.vault.calls).toEqual(['read', 'touch']);
  });
});

describe('an answer that waits', () => {
  it('reaches a client that has sent all it wants to send', async () => {
    const rig = await start({ handler: change((res) => res.send('sent')) });
    rig.vault.gate = delay(30);
    const socket = connect({ port: rig.port, host: LOOPBACK, allowHalfOpen: true });
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.end('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'end', { signal: AbortSignal.timeout(2000) });
    expect(text).toMatch(/^HTTP\/1.1 200[^]*sent$/);
  });

  it('stores a change of the cookie that comes between its first byte and its end', async () => {
    const rig = await start({
      handler: (req, res) => {
        if (req.headers.cookie === undefined) Object.assign(req.session, { user: 'ann' });
        res.write('first');
        if (req.headers.cookie !== undefined) req.session.cookie.maxAge = 5000;
        res.end('last');
      },
    });
    const [cookie = ''] = (await rig.get()).headers['set-cookie']![0]!.split(';', 1);
    await rig.get({ Cookie: cookie });
    const [row] = rig.vault.rows.values();
    expect(JSON.parse(row!.text)).toMatchObject({ cookie: { originalMaxAge: 5000 }, user: 'ann' });
  });

  it('keeps its turn on a connection with pipelined requests', async () => {
    let count = 0;
    const rig = await start({
      handler: (req, res) => {
        count += 1;
        if (count === 1) Object.assign(req.session, { user: 'ann' });
        res.send(`answer ${count}`);
      },
    });
    rig.vault.gate = delay(30);
    const socket = connect(rig.port, LOOPBACK);
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await once(socket, 'close');
    expect(text.match(/answer \d/g)).toEqual(['answer 1', 'answer 2']);
  });

  it('waits for its own save also where its turn comes later than the save began', async () => {
    let count = 0;
    const rig = await start({
      handler: (req, res) => {
        count += 1;
        if (count === 1) return void setTimeout(() => res.send('answer 1'), 20);
        Object.assign(req.session, { user: 'ann' });
        return void res.send('answer 2');
      },
    });
    const gate = Promise.withResolvers<void>();
    rig.vault.gate = gate.promise;
    const socket = connect(rig.port, LOOPBACK);
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await eventually(() => expect(text).toContain('answer 1'));
    await delay(30);
    expect(text).not.toContain('answer 2');
    gate.resolve();
    await once(socket, 'close');
    expect(text.match(/answer \d/g)).toEqual(['answer 1', 'answer 2']);
  });

  it('gets nothing of a stream that goes on behind a refusal', async () => {
    const source = Readable.from(endless());
    const rig = await start({
      handler: change((res) => source.pipe(res)),
      onError: (_error, _req, res, _next) => void setTimeout(() => res.send('refused'), 30),
    });
    rig.vault.failure = new Error('gone');
    expect(await rig.get()).toMatchObject({ status: 503, body: 'refused', cut: false });
    source.destroy();
  });

  it('is forgotten with its client, and the session is saved all the same', async () => {
    let closed = false;
    const rig = await start({
      handler: change((res) => {
        res.once('close', () => (closed = true));
        res.send('sent');
      }),
    });
    const gate = Promise.withResolvers<void>();
    rig.vault.gate = gate.promise;
    expect(await waitForBytes(rig.port, 30)).toBeUndefined();
    await delay(20);
    expect(closed).toBe(true);
    gate.resolve();
    await delay(10);
    expect(rig.vault.rows.size).toBe(1);
  });

  it('tells a handler that waits for its write how that ended', async () => {
    const told: unknown[] = [];
    const rig = await start({
      handler: change((res) => {
        res.write('first', (error) => told.push(error ?? 'written'));
        res.end('last', () => told.push('ended'));
      }),
    });
    await rig.get();
    rig.vault.failure = new Error('gone');
    await rig.get();
    await delay(10);
    expect(told).toEqual(['written', 'ended', expect.objectContaining({ code: 'ERR_SESSION_NOT_SAVED' }), 'ended']);
  });

  it('keeps cookies of the application and headers of its middleware where the save is refused', async () => {
    const rig = await start({
      before: [
        (_req, res, next) => {
          res.setHeader('X-Frame-Options', 'DENY');
          res.cookie('theme', 'dark');
          next();
        },
      ],
      handler: change((res) => res.send('sent')),
      onError: (_error, _req, res, _next) => void res.end('refused'),
    });
    rig.vault.failure = new Error('gone');
    const { status, headers } = await rig.get();
    expect(status).toBe(503);
    expect(headers['content-length']).toBe('7');
    expect(headers['x-frame-options']).toBe('DENY');
    expect(headers['set-cookie']).toEqual(['theme=dark; Path=/']);
  });
});
