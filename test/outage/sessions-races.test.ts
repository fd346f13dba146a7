import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import type { TestServer } from '../support/server.ts';
import { User } from './rig.ts';
import { TestFleet } from './sessions-rig.ts';

const SLOW_APP = fileURLToPath(new URL('fixtures/slow-session-app.ts', import.meta.url));
const RACES = 1000;
const ABREAST = 25;
const HOLD_MS = 15;

/** Whoever is logged in with this cookie, at another server. */
const at = (server: TestServer, { cookie }: User): User => Object.assign(new User(server), { cookie });

interface Race {
  /** The logout was acknowledged while the slow request held what it had read. */
  readonly met: boolean;
  readonly undone: boolean;
  readonly status: number;
}

/** A slow visit at one, and at some time around it a logout at the other. */
async function race(i: number, servers: readonly TestServer[]): Promise<Race> {
  const [here, there] = i % 2 === 0 ? servers : servers.toReversed();
  const user = new User(here!);
  await user.login(`racer${i}`);
  const { cookie } = user;
  let over = false;
  const slow = at(here!, user)
    .send('POST', `/slow-visit/${HOLD_MS}`)
    .then(async ({ status, body }) => {
      over = true;
      await body?.cancel();
      return status;
    });
  // From before its read to after its save.
  await delay(i % (2 * HOLD_MS));
  const { status: ended } = await at(there!, user).send('POST', '/demo/session/logout');
  const wasUnderWay = !over;
  const status = await slow;
  expect(ended).toBe(204);
  const seen = await Promise.all(servers.map((server) => Object.assign(new User(server), { cookie }).whoAmI()));
  return { met: wasUnderWay && status !== 401, undone: seen.some((found) => found !== null), status };
}

describe.each([
  ['Redis and PostgreSQL', true],
  ['PostgreSQL alone', false],
])('concurrent requests of one session, over HTTP, at two instances on %s', (_, withRedis) => {
  const startFleet = async (): Promise<TestFleet> => {
    const fleet = await TestFleet.start(2, {
      env: { REDOUBT_SERVER_APP: SLOW_APP, REDOUBT_SESSIONS_CONFLICT: 'merge' },
    });
    if (withRedis) return fleet;
    for (const instance of fleet.instances) instance.redisHop.mode = 'refuse';
    for (const instance of fleet.instances) await fleet.becomes(instance, 'redis', 'degraded');
    return fleet;
  };

  it('a logout beats a slow request that had read the session before, 1,000 times out of 1,000', async () => {
    await using fleet = await startFleet();
    const servers = fleet.instances.map(({ server }) => server);
    const races: Race[] = [];
    const indexes = Array.from({ length: RACES }, (__, i) => i).values();
    await Promise.all(
      Array.from({ length: ABREAST }, async () => {
        for (const i of indexes) races.push(await race(i, servers));
      }),
    );
    expect(races.filter(({ undone }) => undone)).toHaveLength(0);
    expect(races).toHaveLength(RACES);
    // Acknowledged before the logout, refused since it came after, or never let in.
    expect(races.filter(({ status }) => ![200, 401, 409].includes(status))).toEqual([]);
    // Otherwise nothing would have been tried.
    expect(races.filter(({ met }) => met).length).toBeGreaterThan(RACES / 10);
  });

  it('ten parallel increments end at 11, or those that are missing were answered 409', async () => {
    await using fleet = await startFleet();
    const servers = fleet.instances.map(({ server }) => server);
    let refusals = 0;
    for (let round = 0; round < 20; round += 1) {
      const user = new User(servers[round % 2]!);
      await user.login(`counter${round}`);
      expect(await user.visit()).toBe(1);
      const answers = await Promise.all(
        Array.from({ length: 10 }, (__, i) => at(servers[i % 2]!, user).send('POST', `/slow-visit/${HOLD_MS}`)),
      );
      const refused = answers.filter(({ status }) => status !== 200);
      for (const answer of refused) {
        expect(answer.status).toBe(409);
        expect(await answer.json()).toMatchObject({ code: 'ERR_SESSION_CONFLICT' });
      }
      for (const server of servers) {
        expect(await at(server, user).whoAmI()).toMatchObject({ visits: 11 - refused.length });
      }
      refusals += refused.length;
    }
    // Requests that never met would prove nothing.
    expect(refusals).toBeGreaterThan(20);
  });
});
