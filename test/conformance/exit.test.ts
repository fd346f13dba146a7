import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type Hop, startHop } from '../support/hop.ts';
import { sharedDatabase } from '../support/postgres.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';

// A library must not keep a process alive whose own work is done, and must not let it end while somebody awaits a call:
// Node ends a module that still awaits with exit code 13.

const INDEX = fileURLToPath(new URL('../../src/index.ts', import.meta.url));
/** Far more than any deadline: a process that is held is held for ever. */
const HELD_MS = 30_000;
/** Where nothing listens. */
const NOTHING = '127.0.0.1:1';

let redis: TestRedis;
let silent: Hop;
let database: string;
beforeAll(async () => {
  redis = await startRedis();
  silent = await startHop({ to: redis.port });
  silent.mode = 'blackhole';
  database = await sharedDatabase();
});
afterAll(async () => {
  await silent[Symbol.asyncDispose]();
  await redis[Symbol.asyncDispose]();
});

/** Runs a module of a user's to its own end. */
async function run(
  source: string,
  env: NodeJS.ProcessEnv,
): Promise<{ readonly code: number | null; readonly out: string }> {
  const text = `import { createRedoubt } from ${JSON.stringify(INDEX)};\n${source}`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', text], {
    env: {
      PATH: process.env['PATH'],
      NODE_ENV: 'test',
      REDOUBT_LOG_LEVEL: 'silent',
      SESSION_SECRET: 's'.repeat(32),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  const held = setTimeout(() => child.kill('SIGKILL'), HELD_MS);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearTimeout(held);
  return { code, out: out.trim() };
}

const USE = `
  const redoubt = await createRedoubt();
  await redoubt.cache.set('key', 1);
  await redoubt.cache.getOrSet('other', () => new Promise((loaded) => setTimeout(() => loaded(2), 300)));
  console.log(redoubt.machines.get('redis').state, await redoubt.cache.get('key'));
`;

describe('a process that never closes Redoubt', () => {
  it.each([
    ['with Redis and PostgreSQL', () => ({ REDIS_URL: redis.url, DATABASE_URL: database }), 'available 1'],
    ['with Redis alone', () => ({ REDIS_URL: redis.url, DATABASE_URL: 'none' }), 'available 1'],
    ['with neither', () => ({ REDIS_URL: 'none', DATABASE_URL: 'none' }), 'disabled 1'],
    [
      'while both refuse',
      () => ({ REDIS_URL: `redis://${NOTHING}`, DATABASE_URL: `postgres://${NOTHING}/db` }),
      'degraded.unreachable 1',
    ],
    ['while Redis is silent', () => ({ REDIS_URL: silent.url(), DATABASE_URL: 'none' }), 'degraded.unreachable 1'],
  ])('ends by itself %s, after its last call', async (_name, env, said) => {
    expect(await run(USE, env())).toEqual({ code: 0, out: said });
  });

  it('ends after server.close(), with sessions and an adapter in use', async () => {
    const source = `
      import { createServer } from 'node:http';
      import express from 'express';
      import { Server } from 'socket.io';
      const redoubt = await createRedoubt();
      const app = express();
      app.use(redoubt.sessions.middleware());
      app.get('/', (request, response) => { request.session.user = 'ada'; response.json('hello'); });
      const server = createServer(app).listen(0, '127.0.0.1');
      const io = new Server(server, { adapter: redoubt.sockets.adapter });
      await new Promise((resolve) => server.once('listening', resolve));
      console.log(await (await fetch('http://127.0.0.1:' + server.address().port)).json());
      io.close();
      server.close();
    `;
    expect(await run(source, { REDIS_URL: redis.url, DATABASE_URL: database })).toEqual({ code: 0, out: 'hello' });
  });

  it('ends after close(), which it may await', async () => {
    const source = `${USE} await redoubt.close(); console.log('closed');`;
    const { code, out } = await run(source, { REDIS_URL: redis.url, DATABASE_URL: database });
    expect([code, out.split('\n').at(-1)]).toEqual([0, 'closed']);
  });

  it('lives for its jobs while Redis is gone, and ends when their worker is closed', async () => {
    const source = `
      const redoubt = await createRedoubt();
      const worker = redoubt.jobs.work('exit', () => undefined);
      setTimeout(() => { console.log('alive'); void worker.close(); }, 3_000).unref();
    `;
    expect(await run(source, { REDIS_URL: `redis://${NOTHING}`, DATABASE_URL: 'none' })).toEqual({
      code: 0,
      out: 'alive',
    });
  });

  it('goes on working jobs, as BullMQ does', async () => {
    const source = `
      const redoubt = await createRedoubt();
      redoubt.jobs.work('exit', ({ data }) => {
        console.log('worked', data);
        // Not here: BullMQ still has to hear of the end.
        setTimeout(() => process.exit(0), 100);
      });
      // Long after everything else is done.
      setTimeout(() => redoubt.jobs.queue('exit').add('job', 7), 2_000).unref();
    `;
    expect(await run(source, { REDIS_URL: redis.url, DATABASE_URL: 'none' })).toEqual({ code: 0, out: 'worked 7' });
  });
});
