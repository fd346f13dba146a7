import { describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.ts';
import { startRedis } from '../support/redis.ts';
import { type Rig, logLines, startRig } from './rig.ts';

const MAX_ANSWER_MS = 1000;

/** Sends cache and session requests one after another for a while; each must be answered, below 500, in time. */
async function expectServedThroughout(rig: Rig, during: () => Promise<void>): Promise<void> {
  const user = rig.user();
  await user.login('grace');
  let visits = 0;
  const over = new AbortController();
  const loop = (async () => {
    for (let i = 0; !over.signal.aborted; i += 1) {
      const startedAt = performance.now();
      const put = await rig.server.fetch(`/v1/cache/k${i % 7}`, { method: 'PUT', body: `${i}` });
      expect(put.status).toBe(204);
      expect(performance.now() - startedAt).toBeLessThan(MAX_ANSWER_MS);
      expect(await (await rig.server.fetch(`/v1/cache/k${i % 7}`)).text()).toBe(`${i}`);
      visits += 1;
      expect(await user.visit()).toBe(visits);
    }
  })();
  await Promise.all([loop, during().finally(() => over.abort())]);
  expect(await user.whoAmI()).toEqual({ user: 'grace', visits });
}

describe('transport', () => {
  it('fault 5: frozen on established connections, each call ends by its deadline, then Redis recovers', async () => {
    await using rig = await startRig();
    await rig.becomes('available');
    await expectServedThroughout(rig, async () => {
      rig.redis.freeze();
      await rig.becomes('degraded.unreachable', 5000);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      rig.redis.thaw();
      await rig.becomes('available');
    });
    await rig.expectSound();
  });

  it('fault 6: killed under load and restarted empty, nothing is rejected and nobody is logged out', async () => {
    await using rig = await startRig();
    await rig.becomes('available');
    await expectServedThroughout(rig, async () => {
      await rig.redis.kill();
      await rig.becomes('degraded.unreachable', 3000);
      await rig.redis.restart({ empty: true });
      await rig.becomes('available');
    });
    await rig.expectSound();
  });

  it('fault 7: a hop that accepts and resets meets a growing backoff, and is used again when it passes', async () => {
    await using rig = await startRig();
    await rig.becomes('available');
    rig.hop.mode = 'reset';
    await rig.becomes('degraded.unreachable', 3000);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const before = rig.hop.accepted;
    await new Promise((resolve) => setTimeout(resolve, 3000));
    // With a bound of 1 s and full jitter about six probes are due; a tight loop makes hundreds.
    expect(rig.hop.accepted - before).toBeLessThan(30);
    rig.hop.mode = 'pass';
    await rig.becomes('available');
    await rig.expectSound();
  });

  it('fault 9: replies that trickle byte by byte are given up at the deadline', async () => {
    await using rig = await startRig();
    await rig.becomes('available');
    await expectServedThroughout(rig, async () => {
      rig.hop.mode = 'trickle';
      await rig.becomes('degraded', 5000);
      rig.hop.mode = 'pass';
      await rig.becomes('available');
    });
    await rig.expectSound();
  });

  it('fault 12: a link that is up and down five times a second is used and lost at most once or twice', async () => {
    await using rig = await startRig();
    await rig.becomes('available');
    const before = (await rig.health()).machines['redis']?.transitions.length ?? 0;
    const endsAt = performance.now() + 20_000;
    while (performance.now() < endsAt) {
      rig.hop.mode = rig.hop.mode === 'pass' ? 'refuse' : 'pass';
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    rig.hop.mode = 'pass';
    const { machines } = await rig.health();
    expect((machines['redis']?.transitions.length ?? 0) - before).toBeLessThanOrEqual(4);
    await rig.becomes('available', 30_000);
    await rig.expectSound();
  });

  it('fault 13: without room for clients it waits patiently and opens no further connections', async () => {
    await using rig = await startRig({ hopMode: 'refuse' });
    await rig.becomes('degraded.unreachable', 3000);
    const control = rig.redis.client();
    await control.config('SET', 'maxclients', '1');
    rig.hop.mode = 'pass';
    const report = await rig.becomes('degraded.refused');
    expect(report.machines['redis']?.reason.code).toBe('MAXCLIENTS');
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const before = rig.hop.accepted;
    await new Promise((resolve) => setTimeout(resolve, 3000));
    expect(rig.hop.accepted - before).toBeLessThanOrEqual(10);
    await rig.expectSound();
  });

  it('fault 14: a name that moves to another server is followed at the next attempt', async () => {
    await using rig = await startRig();
    await rig.becomes('available');
    await using other = await startRedis();
    rig.hop.to = other.port;
    await rig.redis.kill();
    rig.hop.cut();
    await eventually(async () => {
      const names = String(await other.client().client('LIST'));
      expect(names).toContain('redoubt-requests');
    });
    await rig.becomes('available');
    await rig.expectSound();
  });

  it('fault 15: a host name that does not exist is degraded and tried again', async () => {
    await using rig = await startRig({ redisUrl: () => 'redis://redis.invalid:6379' });
    const report = await rig.becomes('degraded.unreachable', 5000);
    expect(report.machines['redis']?.reason.code).toMatch(/ENOTFOUND|EAI_AGAIN/);
    await eventually(async () => expect((await rig.health()).machines['redis']?.nextProbeAt).not.toBeNull());
    expect(JSON.stringify(await rig.health())).not.toContain('redis.invalid');
    await rig.expectSound();
  });

  it('fault 41: a killed subscriber subscribes again and the cache is untouched', async () => {
    await using rig = await startRig();
    await rig.becomes('available');
    await rig.redis.client().call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await eventually(async () => {
      expect(String(await rig.redis.client().client('LIST'))).toContain('redoubt-subscriber');
    });
    expect((await rig.health()).machines['redis']?.state).toBe('available');
    await rig.expectSound();
  });

  it('logs each move of a service once, with its reason', async () => {
    await using rig = await startRig();
    await rig.becomes('available');
    // With PostgreSQL too: before the first verdict on both there is no move to tell.
    await eventually(async () => expect((await rig.health()).status).toBe('pass'));
    const before = logLines(rig.server).length;
    await rig.redis.kill();
    await rig.becomes('degraded');
    const movesOf = () =>
      logLines(rig.server)
        .slice(before)
        .filter((line) => 'service' in line && 'from' in line && 'to' in line);
    // The health answer may be here before the log has come through its pipe.
    await eventually(() => movesOf().length >= 4, { what: 'the moves in the log' });
    const moves = movesOf();
    expect(moves.map(({ service, to }) => `${String(service)} ${String(to)}`).toSorted()).toEqual([
      'cache memory',
      'jobs reject',
      'sessions postgres',
      'sockets local',
    ]);
    expect(moves.every(({ reason }) => typeof reason === 'string' && reason !== '')).toBe(true);
  });
});
