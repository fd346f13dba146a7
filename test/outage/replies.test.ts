import { describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/ports.ts';
import { logLines, startRig } from './rig.ts';

const PASSWORD = 'planted-redis-password';

describe('replies', () => {
  it('fault 24: a wrong password is refused, retried slowly, and leaks nowhere', async () => {
    await using rig = await startRig({
      redisUrl: (hop) => hop.url().replace('//', `//default:${PASSWORD}@`),
      hopMode: 'refuse',
    });
    await rig.redis.client().config('SET', 'requirepass', 'quite-another-one');
    rig.hop.mode = 'pass';
    const report = await rig.becomes('degraded.refused');
    expect(report.machines['redis']?.reason.code).toBe('WRONGPASS');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const before = rig.hop.accepted;
    await new Promise((resolve) => setTimeout(resolve, 3000));
    expect(rig.hop.accepted - before).toBeLessThanOrEqual(8);
    for (const path of ['/health', '/metrics', '/health/machines/redis', '/']) {
      expect(await (await rig.server.fetch(path)).text()).not.toContain(PASSWORD);
    }
    expect(rig.server.stdout + rig.server.stderr).not.toContain(PASSWORD);
    await rig.expectSound();
  });

  it('fault 17, 18, 19: a Redis that refuses writes is read-only, says so, and is used again afterwards', async () => {
    await using rig = await startRig();
    await rig.becomes('available');
    const control = rig.redis.client();
    await control.config('SET', 'maxmemory', '1');
    const report = await rig.becomes('degraded.readOnly');
    expect(report.machines['redis']?.reason.code).toBe('OOM');
    const user = rig.user();
    await user.login('ada');
    expect(await user.visit()).toBe(1);
    await control.config('SET', 'maxmemory', '0');
    await rig.becomes('available');
    await control.replicaof('127.0.0.1', 1);
    await rig.becomes('degraded.readOnly');
    expect(await user.visit()).toBe(2);
    await control.replicaof('NO', 'ONE');
    await rig.becomes('available', 20_000);
    expect(await user.visit()).toBe(3);
    await rig.expectSound();
  });

  it('fault 23: a Cluster without slots is degraded although PING works, and one with slots is refused in words', async () => {
    // The bus is 10,000 above the port by default, where there may be none; a master waits for the node timeout
    // before it serves again.
    const cluster = { 'cluster-enabled': 'yes', 'cluster-port': await freePort(), 'cluster-node-timeout': 500 };
    const redisArgs = Object.entries(cluster).flatMap(([name, value]) => [`--${name}`, String(value)]);
    await using rig = await startRig({ redisArgs });
    const control = rig.redis.client();
    expect(await control.ping()).toBe('PONG');
    expect((await rig.becomes('degraded.unreachable')).machines['redis']?.reason.code).toBe('CLUSTERDOWN');
    const user = rig.user();
    await user.login('ada');
    await control.cluster('ADDSLOTSRANGE', 0, 16_383);
    // Single keys it takes: had the probe asked for no more, each command of the services would fail from now on.
    await eventually(async () => expect(await control.set('a', '1')).toBe('OK'));
    const report = await rig.becomes('degraded.refused');
    expect(report.machines['redis']?.reason).toMatchObject({
      code: 'CROSSSLOT',
      message: expect.stringContaining('Redis Cluster'),
    });
    expect(await user.visit()).toBe(1);
    await rig.server.fetch('/v1/cache/greeting', { method: 'PUT', body: 'hello' });
    expect(await (await rig.server.fetch('/v1/cache/greeting')).text()).toContain('hello');
    await rig.expectSound();
  });

  it('fault 27: a flood of WRONGTYPE replies never trips', async () => {
    await using rig = await startRig();
    await rig.becomes('available');
    const before = (await rig.health()).machines['redis']?.transitions;
    const control = rig.redis.client();
    await rig.server.fetch('/v1/cache/victim', { method: 'PUT', body: 'v' });
    // Every key that the cache may use for it is made a list, behind its back.
    for (const key of await control.keys('*victim*')) await control.multi().del(key).lpush(key, 'x').exec();
    await Promise.all(Array.from({ length: 300 }, () => rig.server.fetch('/v1/cache/victim')));
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect((await rig.health()).machines['redis']?.transitions).toEqual(before);
    await rig.expectSound();
  });

  it('jobs are accepted, run, and refused with a clear error while Redis is gone', async () => {
    await using rig = await startRig();
    await rig.becomes('available');
    const add = (): Promise<Response> =>
      rig.server.fetch('/v1/jobs/demo', {
        method: 'POST',
        body: JSON.stringify({ name: 'greet', data: { to: 'ada' } }),
        headers: { 'content-type': 'application/json' },
      });
    const accepted = await add();
    expect(accepted.status).toBe(202);
    expect(await accepted.json()).toMatchObject({ backend: 'redis' });
    const counts = async (): Promise<Record<string, unknown>> =>
      (await rig.server.fetch('/v1/jobs/demo')).json() as never;
    await eventually(async () => expect(await counts()).toMatchObject({ completed: 1, stale: false }));
    await rig.redis.kill();
    await rig.becomes('degraded');
    const refused = await add();
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(await refused.json()).toMatchObject({ code: 'ERR_JOBS_UNAVAILABLE' });
    expect(await counts()).toMatchObject({ stale: true });
    await rig.redis.restart({ empty: true });
    await rig.becomes('available');
    expect((await add()).status).toBe(202);
    await eventually(async () => expect(await counts()).toMatchObject({ completed: 1, stale: false }));
    expect(logLines(rig.server).length).toBeGreaterThan(0);
    await rig.expectSound();
  });
});
