import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import express, { type Request } from 'express';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Redoubt } from '../../src/api.ts';
import { silentLogger } from '../../src/observe/log.ts';
import { createRedoubt } from '../../src/redoubt.ts';
import { eventually } from '../support/eventually.ts';
import { sharedDatabase } from '../support/postgres.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';

// REDIS_URL=none, DATABASE_URL=none and an unset DATABASE_URL are choices: everything works on what there is, and
// health misses nothing.

let redis: TestRedis;
let database: string;
beforeAll(async () => {
  redis = await startRedis();
  database = await sharedDatabase();
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

/** A small application in this process. */
async function startApp(urls: { readonly redis: string; readonly postgres: string }) {
  const redoubt = await createRedoubt({
    config: { redis: { url: urls.redis }, postgres: { url: urls.postgres } },
    logger: silentLogger,
  });
  const app = express();
  app.use('/health', redoubt.health.router());
  app.use(redoubt.sessions.middleware());
  app.get('/', (request: Request, response) => {
    const session = request.session as unknown as { visits?: number };
    session.visits = (session.visits ?? 0) + 1;
    response.json(session.visits);
  });
  const server = createServer(app).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await redoubt.close();
  };
  return { redoubt, url, [Symbol.asyncDispose]: close };
}

const backendsOf = (redoubt: Redoubt) => {
  const { cache, sessions, sockets, jobs } = redoubt.health.report().services;
  return [cache.backend, sessions.backend, sockets.backend, jobs.backend];
};

const all = () => ({ redis: redis.url, postgres: database });
const choices = [
  ['Redis alone', () => ({ ...all(), postgres: 'none' }), ['redis', 'redis', 'redis', 'redis']],
  ['Redis alone, DATABASE_URL unset', () => ({ ...all(), postgres: '' }), ['redis', 'redis', 'redis', 'redis']],
  ['PostgreSQL alone', () => ({ ...all(), redis: 'none' }), ['memory', 'postgres', 'local', 'reject']],
  ['neither', () => ({ redis: 'none', postgres: 'none' }), ['memory', 'memory', 'local', 'reject']],
] as const;

describe.each(choices)('%s', (_name, urls, backends) => {
  it('is a choice: health passes, readiness too, and nothing is to be noticed', async () => {
    await using app = await startApp(urls());
    const report = app.redoubt.health.report();
    expect(backendsOf(app.redoubt)).toEqual(backends);
    expect(report.status).toBe('pass');
    expect(Object.values(report.services).map(({ notice }) => notice)).toEqual(backends.map(() => undefined));
    expect((await fetch(`${app.url}/health/ready`)).status).toBe(200);
    expect((await fetch(`${app.url}/health/startup`)).status).toBe(200);
    expect((await fetch(`${app.url}/health`)).status).toBe(200);
  });

  it('serves the cache and sessions, a cookie of nobody included', async () => {
    await using app = await startApp(urls());
    await app.redoubt.cache.set('key', { a: 1 });
    expect(await app.redoubt.cache.get('key')).toEqual({ a: 1 });
    expect(await app.redoubt.cache.lookup('unknown')).toMatchObject({ status: 'miss' });

    const first = await fetch(app.url);
    const cookie = first.headers.getSetCookie()[0]?.split(';')[0] ?? '';
    expect([first.status, await first.json()]).toEqual([200, 1]);
    const second = await fetch(app.url, { headers: { cookie } });
    expect([second.status, await second.json()]).toEqual([200, 2]);
    const stranger = await fetch(app.url, { headers: { cookie: 'connect.sid=s%3Aof-nobody.signature' } });
    expect([stranger.status, await stranger.json()]).toEqual([200, 1]);
    // Nothing piles up that would have to be replayed to somebody who is not there.
    await eventually(() => expect(app.redoubt.health.report().status).toBe('pass'));
  });
});

describe('REDIS_URL=none', () => {
  it('refuses jobs at once and probes nobody', async () => {
    await using app = await startApp({ redis: 'none', postgres: 'none' });
    await expect(app.redoubt.jobs.queue('mail').add('welcome', {})).rejects.toMatchObject({
      code: 'ERR_JOBS_UNAVAILABLE',
    });
    const { redis: machine, postgres } = app.redoubt.health.report().machines;
    expect([machine?.state, machine?.nextProbeAt, machine?.reason.code]).toEqual(['disabled', null, 'disabled']);
    expect([postgres?.state, postgres?.nextProbeAt]).toEqual(['disabled', null]);
  });
});
