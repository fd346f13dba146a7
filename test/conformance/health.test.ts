import { describe, expect, it } from 'vitest';

import type { HealthReport } from '../../src/services/health/types.ts';
import { eventually } from '../support/eventually.ts';
import { type AppRig, jsonOf, startApp, startBacking } from './app-rig.ts';

const PASSWORD = 'planted-password';
const SECRET = 'planted-secret-planted-secret-planted';

async function reportOf(app: AppRig): Promise<HealthReport> {
  return (await jsonOf(await app.fetch('/health'))) as unknown as HealthReport;
}

describe('/health', () => {
  it('passes with Redis and PostgreSQL, warns while Redis is killed, and passes again by itself', async () => {
    await using backing = await startBacking('Redis and PostgreSQL');
    await using app = await startApp(backing.config);
    await eventually(async () => (await reportOf(app)).status === 'pass', { withinMs: 15_000 });
    expect((await reportOf(app)).machines).toMatchObject({ redis: { status: 'up' }, postgres: { status: 'up' } });

    await backing.redis?.kill();
    await eventually(async () => (await reportOf(app)).status === 'warn');
    const degraded = await reportOf(app);
    expect(degraded.machines['redis']).toMatchObject({ status: 'degraded', state: 'degraded.unreachable' });
    expect(degraded.summary).toMatch(/^Redis has been unreachable for \d+s: cache on memory, sessions on PostgreSQL/);
    expect(degraded.services.sessions).toMatchObject({ backend: 'postgres', scope: 'fleet' });
    expect((await app.fetch('/health/ready')).status).toBe(200);

    await backing.redis?.restart();
    await eventually(async () => (await reportOf(app)).status === 'pass', { withinMs: 15_000 });
  });

  it('is 200 and warn from its first answer with neither, and ready where no PostgreSQL is configured', async () => {
    await using backing = await startBacking('neither Redis nor PostgreSQL');
    await using app = await startApp(backing.config);
    const first = await app.fetch('/health');
    expect([first.status, first.headers.get('content-type'), first.headers.get('cache-control')]).toEqual([
      200,
      'application/health+json',
      'no-store',
    ]);
    expect(await jsonOf(first)).toMatchObject({ status: 'warn', fleet: [] });
    expect((await app.fetch('/health/ready')).status).toBe(200);
    expect((await app.fetch('/health/live')).status).toBe(200);
    await eventually(async () => (await app.fetch('/health/startup')).status === 200);
  });

  it('is not ready while a PostgreSQL that is configured cannot be reached', async () => {
    await using app = await startApp({
      redis: { url: 'redis://127.0.0.1:1' },
      postgres: { url: `postgres://user:${PASSWORD}@127.0.0.1:1/db` },
    });
    const answer = await app.fetch('/health/ready');
    expect(answer.status).toBe(503);
    expect(await jsonOf(answer)).toMatchObject({ notReady: ['postgres'] });
    expect((await app.fetch('/health')).status).toBe(200);
  });

  it('fails and is not ready while draining, but lives', async () => {
    await using app = await startApp((await startBacking('neither Redis nor PostgreSQL')).config);
    app.redoubt.drain();
    expect((await app.fetch('/health')).status).toBe(503);
    expect((await app.fetch('/health/ready')).status).toBe(503);
    expect((await app.fetch('/health/live')).status).toBe(200);
  });

  it('shows one machine: definition and snapshot; 404 for any other', async () => {
    await using app = await startApp((await startBacking('neither Redis nor PostgreSQL')).config);
    const machine = await jsonOf(await app.fetch('/health/machines/redis'));
    expect(machine).toMatchObject({ definition: { id: 'redis' }, snapshot: { value: expect.anything() } });
    const none = await app.fetch('/health/machines/none');
    expect([none.status, (await jsonOf(none))['code']]).toEqual([404, 'ERR_NOT_FOUND']);
  });

  it('shows only the status to callers without the token, where details need it', async () => {
    const backing = await startBacking('neither Redis nor PostgreSQL');
    await using app = await startApp({
      ...backing.config,
      health: { details: 'token' },
      server: { apiToken: 'planted-token' },
    });
    expect(await jsonOf(await app.fetch('/health'))).toEqual({ status: 'warn' });
    expect(await jsonOf(await app.fetch('/health/ready'))).toEqual({ status: 'pass' });
    expect((await app.fetch('/health/machines/redis')).status).toBe(401);
    const headers = { Authorization: 'Bearer planted-token' };
    expect(await jsonOf(await app.fetch('/health', { headers }))).toHaveProperty('machines.redis');
    expect((await app.fetch('/health/machines/redis', { headers })).status).toBe(200);
  });

  it('never shows a host, user, password or secret, in any answer, metric or log line', async () => {
    await using app = await startApp({
      redis: { url: `redis://planteduser:${PASSWORD}@planted-host.invalid:6379` },
      postgres: { url: `postgres://planteduser:${PASSWORD}@planted-host.invalid:5432/planted_db` },
      sessions: { secret: [SECRET] },
    });
    await eventually(() => app.redoubt.machines.all.every(({ status }) => status === 'degraded'));
    await app.post('/demo/session/login', { user: 'ada' });
    await app.fetch('/v1/cache/a');
    const paths = ['/health', '/health/ready', '/health/machines/redis', '/health/machines/postgres', '/metrics', '/'];
    const shown = await Promise.all(paths.map(async (path) => (await app.fetch(path)).text()));
    expect([...shown, ...app.logged].join('\n')).not.toMatch(/planted/);
  });
});
