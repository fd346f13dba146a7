import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type Socket, io } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { runCli } from '../../src/cli/run.ts';
import { eventually } from '../support/eventually.ts';
import { TestServer, startServer } from '../support/server.ts';
import { type AppRig, BACKINGS, type Backing, jsonOf, startApp, startBacking } from './app-rig.ts';

const NOTHING = { redis: { url: 'redis://127.0.0.1:1' }, postgres: { url: 'none' } };

describe.each(BACKINGS)('the server with %s', (name) => {
  const isWhole = name === 'Redis and PostgreSQL';
  let backing: Backing;
  let app: AppRig;

  beforeAll(async () => {
    backing = await startBacking(name);
    app = await startApp({ ...backing.config, log: { level: 'silent' }, server: { bodyLimit: '64kb' } });
    await app.redoubt.settled;
    if (isWhole) await eventually(() => app.redoubt.health.report().status === 'pass', { withinMs: 15_000 });
  });
  afterAll(async () => {
    await app[Symbol.asyncDispose]();
    await backing[Symbol.asyncDispose]();
  });

  it('gives a cached value back byte for byte, with its content type', async () => {
    const body = Buffer.from([0, 1, 255, 128, 10]);
    const put = await app.fetch('/v1/cache/a%2Fpicture?ttl=30s', {
      method: 'PUT',
      headers: { 'Content-Type': 'image/png' },
      body,
    });
    expect(put.status).toBe(204);
    const got = await app.fetch('/v1/cache/a%2Fpicture');
    expect(got.status).toBe(200);
    expect(got.headers.get('content-type')).toBe('image/png');
    expect(got.headers.get('x-cache')).toBe('hit');
    expect(isWhole ? ['l1', 'redis'] : ['memory']).toContain(got.headers.get('x-backend'));
    expect(Buffer.from(await got.arrayBuffer())).toEqual(body);
  });

  it('deletes a cached value, twice with the same answer, and then answers 404', async () => {
    await app.fetch('/v1/cache/gone', { method: 'PUT', body: 'x' });
    expect((await app.fetch('/v1/cache/gone', { method: 'DELETE' })).status).toBe(204);
    expect((await app.fetch('/v1/cache/gone', { method: 'DELETE' })).status).toBe(204);
    const miss = await app.fetch('/v1/cache/gone');
    expect(miss.status).toBe(404);
    expect(miss.headers.get('content-type')).toBe('application/problem+json');
    expect(miss.headers.get('x-cache')).toBe('miss');
    expect(await jsonOf(miss)).toMatchObject({ code: 'ERR_CACHE_MISS', status: 404 });
  });

  it('refuses a bad ttl, a key that is too long and a body that is too large, each with its code', async () => {
    for (const ttl of ['5', 'soon', '0s', '-1s', '9999999d', '1s&ttl=2s']) {
      const answer = await app.fetch(`/v1/cache/k?ttl=${ttl}`, { method: 'PUT', body: 'x' });
      expect([ttl, answer.status, (await jsonOf(answer))['code']]).toEqual([ttl, 400, 'ERR_REQUEST']);
    }
    const long = await app.fetch(`/v1/cache/${'k'.repeat(600)}`, { method: 'PUT', body: 'x' });
    expect([long.status, (await jsonOf(long))['code']]).toEqual([400, 'ERR_CACHE_KEY']);
    const large = await app.fetch('/v1/cache/k', { method: 'PUT', body: 'x'.repeat(70_000) });
    expect([large.status, (await jsonOf(large))['code']]).toEqual([413, 'ERR_BODY_TOO_LARGE']);
  });

  it('signs in, counts visits and signs out', async () => {
    const login = await app.post('/demo/session/login', { user: 'ada' });
    expect(await jsonOf(login)).toEqual({ user: 'ada', visits: 0 });
    const headers = { cookie: login.headers.get('set-cookie')?.split(';')[0] ?? '' };
    for (const visits of [1, 2]) {
      const visit = await app.fetch('/demo/session/visit', { method: 'POST', headers });
      expect(await jsonOf(visit)).toEqual({ user: 'ada', visits });
    }
    expect(await jsonOf(await app.fetch('/demo/session', { headers }))).toEqual({ user: 'ada', visits: 2 });
    expect((await app.fetch('/demo/session/logout', { method: 'POST', headers })).status).toBe(204);
    expect((await app.fetch('/demo/session', { headers })).status).toBe(401);
    expect((await app.fetch('/demo/session')).status).toBe(401);
  });

  it('refuses a job without a name, and a queue that cannot be named so', async () => {
    expect((await app.post('/v1/jobs/demo', { data: 1 })).status).toBe(400);
    expect((await app.post('/v1/jobs/a:b', { name: 'x' })).status).toBe(400);
    expect((await app.post('/v1/jobs/demo', [])).status).toBe(400);
  });

  it('lets sockets talk in rooms, and publishes to them over HTTP', async () => {
    const [ada, bob] = await Promise.all([connect(app.url), connect(app.url)]);
    try {
      for (const socket of [ada, bob]) expect(await socket.emitWithAck('join', { room: 'r' })).toEqual({ ok: true });
      const heard = next(bob, 'said');
      expect(await ada.emitWithAck('say', { room: 'r', id: 'm1', text: 'hello' })).toEqual({ ok: true });
      expect(await heard).toMatchObject({ room: 'r', id: 'm1', text: 'hello' });

      const published = next(bob, 'news');
      const answer = await app.post('/v1/sockets/publish', { room: 'r', event: 'news', data: { n: 1 } });
      expect(answer.status).toBe(202);
      expect(await published).toEqual({ n: 1 });
      expect((await app.post('/v1/sockets/publish', { room: 'r', event: 'disconnect' })).status).toBe(400);
    } finally {
      ada.disconnect();
      bob.disconnect();
    }
  });

  it('takes operator events and no others', async () => {
    expect((await app.post('/v1/machines/redis/events', { type: 'redis.lost' })).status).toBe(400);
    expect((await app.post('/v1/machines/none/events', { type: 'operator.isolate' })).status).toBe(404);
    const answer = await app.post('/v1/machines/redis/events', { type: 'operator.isolate' });
    expect(answer.status).toBe(202);
    await eventually(() => app.redoubt.machines.get('redis').state === 'degraded.isolated');
    expect((await app.post('/v1/machines/redis/events', { type: 'operator.release' })).status).toBe(202);
    await eventually(() => app.redoubt.machines.get('redis').state !== 'degraded.isolated');
  });

  it('serves metrics whose labels hold no address that a client made up', async () => {
    await app.fetch('/made-up-address');
    await app.fetch('/v1/cache/made-up-key');
    const answer = await app.fetch('/metrics');
    expect(answer.headers.get('content-type')).toContain('text/plain');
    const text = await answer.text();
    expect(text).toMatch(/redoubt_machine_state\{machine="redis",state="[\w.]+"\} 1/);
    expect(text).toContain('route="/v1/cache/:key"');
    expect(text).toContain('redoubt_cache_hits');
    expect(text).not.toContain('made-up');
  });

  it('answers what it cannot take with a problem, never with a stack', async () => {
    const answers = await Promise.all([
      app.fetch('/nowhere'),
      app.fetch('/v1/cache/%E0%A4%A'),
      app.fetch('/v1/jobs/demo', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{planted' }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([404, 400, 400]);
    for (const answer of answers) {
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
      const text = await answer.text();
      expect(JSON.parse(text)).toMatchObject({ type: 'about:blank', code: expect.stringMatching(/^ERR_/) });
      expect(text).not.toMatch(/planted|node_modules|\.[jt]s:\d/);
    }
  });

  it('serves a console that asks no other host and runs no inline script', async () => {
    const page = await app.fetch('/');
    expect(page.headers.get('content-security-policy')).toContain("default-src 'self'");
    const html = await page.text();
    expect(html).not.toMatch(/https?:\/\//);
    expect(html).not.toMatch(/<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=/);
    for (const path of ['/console.js', '/console.css']) expect((await app.fetch(path)).status).toBe(200);
  });
});

describe('/v1/jobs', () => {
  it('accepts a job with Redis, and the demo works it', async () => {
    await using backing = await startBacking('Redis and PostgreSQL');
    await using app = await startApp(backing.config);
    await eventually(() => app.redoubt.machines.get('redis').status === 'up', { withinMs: 15_000 });
    const answer = await app.post('/v1/jobs/demo', { name: 'rest', data: { a: 1 }, id: 'job-a' });
    expect(answer.status).toBe(202);
    expect(await jsonOf(answer)).toEqual({ id: 'job-a', backend: 'redis' });
    await eventually(async () => {
      const counts = await jsonOf(await app.fetch('/v1/jobs/demo'));
      expect(counts).toMatchObject({ completed: 1, stale: false });
    });
  });

  it('answers 503 with a code at once without Redis, and counts that say stale', async () => {
    await using app = await startApp(NOTHING);
    const answer = await app.post('/v1/jobs/demo', { name: 'rest' });
    expect(answer.status).toBe(503);
    expect(await jsonOf(answer)).toMatchObject({ code: 'ERR_JOBS_UNAVAILABLE' });
    expect(await jsonOf(await app.fetch('/v1/jobs/demo'))).toMatchObject({ stale: true });
  });
});

describe('/v1 with a token', () => {
  it('answers 401 without it, and shows it nowhere', async () => {
    const token = 'planted-token';
    await using app = await startApp({ ...NOTHING, server: { apiToken: token } });
    expect((await app.fetch('/v1/cache/a')).status).toBe(401);
    const headers = { Authorization: `Bearer ${token}` };
    expect((await app.fetch('/v1/cache/a', { method: 'PUT', body: 'x', headers })).status).toBe(204);
    expect((await app.fetch('/v1/cache/a', { headers })).status).toBe(200);
    const shown = await Promise.all(
      ['/health', '/metrics', '/health/machines/redis', '/nowhere', '/'].map(async (path) =>
        (await app.fetch(path)).text(),
      ),
    );
    expect([...shown, ...app.logged].join('\n')).not.toContain(token);
  });
});

describe('server.app', () => {
  it('adds the routes of a module before the errors are handled: the example works', async () => {
    await using app = await startApp({ ...NOTHING, server: { app: 'examples/app.ts' } });
    expect(await jsonOf(await app.fetch('/products/7'))).toEqual({ id: '7', name: 'Product 7' });
    expect((await app.post('/basket', { id: 'a' })).status).toBe(200);
    const order = await app.post('/orders/1', {});
    expect(order.status).toBe(503);
    expect(await jsonOf(order)).toMatchObject({ code: 'ERR_JOBS_UNAVAILABLE' });
  });

  it('stops the start with its own message when the module cannot be used', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'redoubt-app-'));
    try {
      writeFileSync(join(dir, 'none.js'), 'export const x = 1;');
      await expect(startApp({ ...NOTHING, server: { app: join(dir, 'none.js') } })).rejects.toThrow(
        /no default export that is a function/,
      );
      await expect(startApp({ ...NOTHING, server: { app: join(dir, 'absent.js') } })).rejects.toMatchObject({
        code: 'ERR_APP_MODULE',
      });
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

describe('the process', () => {
  const env = { REDIS_URL: NOTHING.redis.url, DATABASE_URL: 'none' };

  it('says where it listens, and fault 40: SIGTERM ends it with 0 while a stream and a socket are open', async () => {
    await using server = await startServer({ env });
    const stream = await server.fetch('/inspect/events', { headers: { Accept: 'text/event-stream' } });
    const socket = await connect(server.url);
    const hint = next(socket, 'redoubt:reconnect');
    server.signal('SIGTERM');
    expect(await hint).toEqual({ afterMs: expect.any(Number) });
    await stream.text().catch(() => 'cut');
    socket.disconnect();
    expect(await server.exited).toBe(0);
    expect(server.stdout).toContain(`listening on ${server.url}`);
    expect(server.stderr).toBe('');
  });

  it('answers ready with 503 for drainDelay before it refuses, and a second signal ends it at once', async () => {
    await using server = await startServer({ env: { ...env, REDOUBT_SERVER_DRAIN_DELAY: '9s' } });
    expect((await server.fetch('/health/ready')).status).toBe(200);
    server.signal('SIGTERM');
    await eventually(async () => (await server.fetch('/health/ready')).status === 503);
    expect((await server.fetch('/health/live')).status).toBe(200);
    server.signal('SIGTERM');
    expect(await server.exited).toBe(143);
  });

  it.each([
    ['a configuration', { REDOUBT_CACHE_TTL: 'soon' }, 'REDOUBT_CACHE_TTL'],
    ['a machine folder', { REDOUBT_MACHINES: '/nonexistent' }, 'no such folder'],
    ['a missing secret in production', { NODE_ENV: 'production' }, 'SESSION_SECRET'],
  ])('does not listen with %s that is wrong, and says why', async (_what, wrong, said) => {
    await expect(startServer({ env: { ...env, ...wrong } })).rejects.toThrow(said);
  });

  it('has neither the demo nor an open /v1 in production', async () => {
    await using server = await startServer({ env: { ...env, NODE_ENV: 'production', SESSION_SECRET: 's'.repeat(32) } });
    expect((await server.fetch('/demo/session/login', { method: 'POST' })).status).toBe(404);
    const off = await server.fetch('/v1/cache/a');
    expect([off.status, (await jsonOf(off))['code']]).toEqual([403, 'ERR_API_OFF']);
  });

  it('says which port is in use, and exits with 1', async () => {
    await using first = await startServer({ env });
    await using second = new TestServer(first.port, { env });
    expect(await second.exited).toBe(1);
    expect(second.stderr).toContain(`127.0.0.1:${first.port} is in use`);
  });

  it('is shown by redoubt status, which exits with 1 where nobody answers', async () => {
    await using server = await startServer({ env });
    const shown = await askStatus(server.url);
    expect(shown).toMatchObject({ code: 0, err: '' });
    expect(shown.out).toMatch(/^warn {2}Redis has been/);
    const json = await askStatus(server.url, '--json');
    expect(JSON.parse(json.out)).toMatchObject({ status: 'warn', machines: { redis: {} } });
    await server.stop();
    expect(await askStatus(server.url)).toMatchObject({ code: 1, err: expect.stringContaining('cannot be reached') });
  });
});

async function askStatus(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const context = { env: {}, cwd: '/', version: '0' };
  const write = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) };
  const code = await runCli(['status', ...args], { ...context, ...write });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

function connect(url: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = io(url, { transports: ['websocket'], forceNew: true, reconnection: false, ackTimeout: 5000 });
    socket.once('connect', () => resolve(socket));
    socket.once('connect_error', reject);
  });
}

function next(socket: Socket, event: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${event}`)), 5000);
    socket.once(event, (message: unknown) => {
      clearTimeout(timer);
      resolve(message);
    });
  });
}
