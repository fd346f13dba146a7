import { describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.ts';
import { unanswered } from '../support/hop.ts';
import { startPostgres } from '../support/postgres.ts';
import { TestServer } from '../support/server.ts';
import { type Rig, startRig } from './rig.ts';

async function expectEverythingServes(rig: Rig): Promise<void> {
  const user = rig.user();
  await user.login('ada');
  expect(await user.visit()).toBe(1);
  const put = await rig.server.fetch('/v1/cache/k', {
    method: 'PUT',
    body: 'v',
    headers: { 'content-type': 'text/plain' },
  });
  expect(put.status).toBe(204);
  const got = await rig.server.fetch('/v1/cache/k');
  expect(await got.text()).toBe('v');
  expect(got.headers.get('x-backend')).toBe('memory');
  expect((await rig.server.fetch('/v1/jobs/demo')).status).toBe(200);
  const job = await rig.server.fetch('/v1/jobs/demo', {
    method: 'POST',
    body: JSON.stringify({ name: 'x', data: {} }),
    headers: { 'content-type': 'application/json' },
  });
  expect(job.status).toBe(503);
  expect(await job.json()).toMatchObject({ code: 'ERR_JOBS_UNAVAILABLE' });
}

describe('boot', () => {
  it('fault 1: with the Redis port refused it listens, degraded, and every service serves', async () => {
    await using rig = await startRig({ hopMode: 'refuse' });
    const report = await rig.becomes('degraded.unreachable', 3000);
    expect(report.status).toBe('warn');
    expect(report.machines['redis']?.reason.code).toBe('ECONNREFUSED');
    await eventually(async () => expect((await rig.health()).services.sessions.backend).toBe('postgres'));
    await expectEverythingServes(rig);
    rig.hop.mode = 'pass';
    await rig.becomes('available');
    await rig.expectSound();
  });

  it('fault 2: with connection attempts unanswered it listens, degraded, and every service serves', async () => {
    await using hole = await unanswered();
    await using rig = await startRig({ redisUrl: () => `redis://127.0.0.1:${hole.port}` });
    await rig.becomes('degraded.unreachable', 5000);
    await eventually(async () => expect((await rig.health()).services.sessions.backend).toBe('postgres'));
    await expectEverythingServes(rig);
    await rig.expectSound();
  });

  it('fault 3: with TCP accepted and silent it never stays in connecting', async () => {
    await using rig = await startRig({ hopMode: 'blackhole' });
    await rig.becomes('degraded.unreachable', 5000);
    await expectEverythingServes(rig);
    rig.hop.mode = 'pass';
    await rig.becomes('available');
    await rig.expectSound();
  });

  it('fault 4: with PostgreSQL absent too it starts on memory, says so, and picks both up later', async () => {
    await using postgres = await startPostgres();
    const databaseUrl = await postgres.database();
    await postgres.stop();
    await using rig = await startRig({ hopMode: 'refuse', databaseUrl });
    await rig.becomes('degraded.unreachable', 3000);
    await eventually(async () => expect((await rig.health()).machines['postgres']?.state).toMatch(/^degraded/));
    const { sessions } = (await rig.health()).services;
    expect(sessions).toMatchObject({ backend: 'memory', scope: 'instance' });
    expect(sessions.notice).toMatch(/lost/);
    await expectEverythingServes(rig);
    await postgres.start();
    rig.hop.mode = 'pass';
    await rig.becomes('available');
    await eventually(async () => expect((await rig.health()).machines['postgres']?.state).toBe('available'));
    expect((await rig.health()).status).toBe('pass');
    await rig.expectSound();
  });

  it('a port in use stops the start with one clear line', async () => {
    await using rig = await startRig();
    const env = { PORT: `${rig.server.port}`, DATABASE_URL: 'none' };
    await using second = new TestServer(rig.server.port, { env });
    expect(await second.exited).toBe(1);
    expect(second.stderr).toMatch(/EADDRINUSE|in use/);
    expect(rig.server.running).toBe(true);
  });
});
