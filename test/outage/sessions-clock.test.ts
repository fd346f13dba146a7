import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { Client } from 'pg';
import { describe, expect, it } from 'vitest';

import { User } from './rig.ts';
import { type Instance, TestFleet } from './sessions-rig.ts';

const CLOCK_APP = fileURLToPath(new URL('../support/clock-app.ts', import.meta.url));
const HOUR_MS = 3_600_000;
/** Shorter than the jump, so that whoever reckons with the wall clock ends every session. */
const TTL_S = 30 * 60;

/** Seconds that each living row has left, by PostgreSQL's own clock. */
async function livesOf({ databaseUrl }: TestFleet): Promise<number[]> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ life: number }>(
      'select extract(epoch from expire - now()::timestamp)::float8 as life from session where not dead',
    );
    return rows.map(({ life }) => life);
  } finally {
    await client.end();
  }
}

async function jump({ server }: Instance, ms: number): Promise<void> {
  const before = Date.now();
  const answer = await server.fetch(`/clock/${ms}`, { method: 'POST' });
  const { now } = (await answer.json()) as { now: number };
  expect(Math.abs(now - before - ms)).toBeLessThan(60_000);
}

describe('sessions of two instances when the wall clock of one of them jumps', () => {
  it.each([HOUR_MS, -HOUR_MS])(
    'fault 45: by %i ms, sessions, versions and leases do not notice, Redis there or not',
    async (ms) => {
      await using fleet = await TestFleet.start(2, {
        env: { REDOUBT_SERVER_APP: CLOCK_APP, REDOUBT_SESSIONS_TTL: `${TTL_S}s` },
      });
      const [a, b] = fleet.instances as [Instance, Instance];
      const [ann, leaving] = [new User(a.server), new User(a.server)];
      await ann.login('ann');
      expect(await ann.visit()).toBe(1);
      await leaving.login('leaving');
      const { cookie } = leaving;
      await leaving.send('POST', '/demo/session/logout');
      const transitions = async (): Promise<unknown[]> =>
        Object.values((await a.report()).machines).map((machine) => machine.transitions);
      const [before, { fleet: peers }] = [await transitions(), await a.report()];

      await jump(a, ms);
      await delay(1500);
      expect(await transitions()).toEqual(before);
      expect((await a.report()).fleet).toMatchObject(peers.map(({ instance, blind }) => ({ instance, blind })));
      let visits = 1;
      const expectVisits = async (): Promise<void> => {
        for (const instance of [a, b, a]) {
          expect(await instance.visitor(ann).whoAmI()).toEqual({ user: 'ann', visits });
          expect(await instance.visitor(ann).visit()).toBe((visits += 1));
          expect(await Object.assign(new User(instance.server), { cookie }).whoAmI()).toBeNull();
        }
      };
      await expectVisits();
      const { leaseMs } = (await a.report()).services.sessions.counters;
      expect(leaseMs).toBeGreaterThan(0);
      expect(leaseMs).toBeLessThanOrEqual(600);

      await fleet.expectCoherent(async () => {
        a.redisHop.mode = 'refuse';
        await fleet.becomes(a, 'redis', 'degraded');
        await expectVisits();
        // And back, as when somebody corrects it.
        await jump(a, 0);
        await expectVisits();
        await jump(a, ms);
        a.redisHop.mode = 'pass';
        await fleet.becomes(a, 'redis', 'available');
        await delay(1500);
      });
      await expectVisits();
      // What it has only read, it knows for as long as the session lives, and not by its own calendar.
      expect(await b.visitor(ann).visit()).toBe((visits += 1));
      expect(await a.visitor(ann).whoAmI()).toEqual({ user: 'ann', visits });
      a.redisHop.mode = 'refuse';
      a.postgresHop.mode = 'refuse';
      await fleet.becomes(a, 'redis', 'degraded');
      await fleet.becomes(a, 'postgres', 'degraded');
      expect(await a.visitor(ann).whoAmI()).toEqual({ user: 'ann', visits });
      for (const life of await livesOf(fleet)) {
        expect(life).toBeGreaterThan(TTL_S - 60);
        expect(life).toBeLessThanOrEqual(TTL_S + 1);
      }
    },
  );
});
