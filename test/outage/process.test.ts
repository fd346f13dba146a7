import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.ts';
import { sharedDatabase, startPostgres } from '../support/postgres.ts';
import { startRig } from './rig.ts';

const BLOCKING_APP = fileURLToPath(new URL('fixtures/blocking-app.ts', import.meta.url));

describe('our own process', () => {
  it('fault 33: blocked for 800 ms, ten times, under load, it blames nobody', async () => {
    await using rig = await startRig({ env: { REDOUBT_SERVER_APP: BLOCKING_APP } });
    await rig.becomes('available');
    await eventually(async () => expect((await rig.health()).machines['postgres']?.state).toBe('available'));
    const before = (await rig.health()).machines;
    for (let i = 0; i < 10; i += 1) {
      const load = Array.from({ length: 20 }, (_, n) => rig.server.fetch(`/v1/cache/k${n}`));
      const blocked = rig.server.fetch('/block/800');
      await Promise.all([blocked, ...load]);
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
    const after = (await rig.health()).machines;
    for (const id of ['redis', 'postgres']) {
      expect(after[id]?.transitions).toEqual(before[id]?.transitions);
    }
    await rig.expectSound();
  });

  it('fault 35: with Redis and PostgreSQL both down, sessions live on in sealed memory and health says what may be lost', async () => {
    await using postgres = await startPostgres();
    await using rig = await startRig({ databaseUrl: await postgres.database() });
    await rig.becomes('available');
    await eventually(async () => expect((await rig.health()).status).toBe('pass'));
    const known = rig.user();
    await known.login('ada');
    await known.visit();
    const stranger = rig.user();
    await stranger.login('eve');

    await rig.redis.kill();
    await postgres.stop();
    await rig.becomes('degraded.unreachable');
    await eventually(async () => expect((await rig.health()).machines['postgres']?.state).toMatch(/^degraded/));

    expect(await known.visit()).toBe(2);
    const { sessions } = (await rig.health()).services;
    expect(sessions.backend).toBe('memory');
    expect(sessions.notice).toMatch(/lost/);
    expect((await rig.server.fetch('/health/ready')).status).toBe(503);
    const unknown = await rig.server.fetch('/demo/session', { headers: { cookie: forged(known.cookie) } });
    expect([401, 503]).toContain(unknown.status);

    await postgres.start();
    await rig.redis.restart({ empty: true });
    await rig.becomes('available');
    await eventually(async () => expect((await rig.health()).status).toBe('pass'));
    expect(await known.whoAmI()).toEqual({ user: 'ada', visits: 2 });
    expect(await stranger.whoAmI()).toEqual({ user: 'eve', visits: 0 });
    await rig.expectSound();
  });

  it('only PostgreSQL down: sessions go on through Redis and nothing is answered with an error', async () => {
    await using postgres = await startPostgres();
    await using rig = await startRig({ databaseUrl: await postgres.database() });
    await rig.becomes('available');
    await eventually(async () => expect((await rig.health()).status).toBe('pass'));
    const user = rig.user();
    await user.login('ada');
    await postgres.stop();
    for (let i = 1; i <= 20; i += 1) expect(await user.visit()).toBe(i);
    await eventually(async () => expect((await rig.health()).machines['postgres']?.state).toMatch(/^degraded/));
    expect(await user.visit()).toBe(21);
    await postgres.start();
    await eventually(async () => expect((await rig.health()).status).toBe('pass'));
    await rig.redis.restart({ empty: true });
    await eventually(async () => expect(await user.whoAmI()).toEqual({ user: 'ada', visits: 21 }));
    await rig.expectSound();
  });

  it.each(['connecting', 'available', 'degraded', 'recovering'] as const)(
    'fault 40: SIGTERM while Redis is %s ends the process in time, with what was acknowledged in PostgreSQL',
    async (state) => {
      const databaseUrl = await sharedDatabase();
      const hopMode = ({ connecting: 'blackhole', available: 'pass' } as const)[state as string] ?? 'refuse';
      await using rig = await startRig({
        databaseUrl,
        hopMode,
        env: {
          REDOUBT_REDIS_DELAYS_CONNECT_TIMEOUT: '20s',
          REDOUBT_REDIS_PROBE_DEADLINE: '10s',
          REDOUBT_REDIS_DETECT_SLOW_CALL: '5s',
        },
      });
      await eventually(async () => expect((await rig.health()).machines['postgres']?.state).toBe('available'));
      // Each reply of Redis takes so long that connecting the clients, which is a part of recovering, is caught.
      rig.hop.delayMs = 600;
      if (state === 'recovering') rig.hop.mode = 'slow';
      await rig.becomes(state);
      const user = rig.user();
      await user.login('ada');
      const startedAt = performance.now();
      expect(await rig.server.stop('SIGTERM')).toBe(0);
      expect(performance.now() - startedAt).toBeLessThan(11_000);
      expect(rig.server.stderr).toBe('');

      await using next = await startRig({ databaseUrl, hopMode: 'refuse' });
      await eventually(async () => expect((await next.health()).machines['postgres']?.state).toBe('available'));
      const again = next.user();
      again.cookie = user.cookie;
      expect(await again.whoAmI()).toEqual({ user: 'ada', visits: 0 });
    },
  );

  it('fault 42: a recovery probe that hangs leads back to degraded', async () => {
    await using rig = await startRig();
    await rig.becomes('available');
    rig.hop.mode = 'refuse';
    await rig.becomes('degraded.unreachable');
    rig.hop.mode = 'blackhole';
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const { machines } = await rig.health();
    expect(machines['redis']?.state).toBe('degraded.unreachable');
    expect(machines['redis']?.reason.code).toMatch(/ECONNREFUSED|TIMEOUT|CONNECTION_CLOSED/);
    rig.hop.mode = 'pass';
    await rig.becomes('available');
    await rig.expectSound();
  });
});

/** A cookie of the right form that no session belongs to and no secret signed. */
function forged(cookie: string): string {
  const [name] = cookie.split('=');
  return `${name}=s%3Aunknown-session-id.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA`;
}
