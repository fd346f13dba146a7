import { describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.ts';
import { startPostgres } from '../support/postgres.ts';
import type { TestServer } from '../support/server.ts';
import { User } from './rig.ts';
import { type Instance, TestFleet } from './sessions-rig.ts';

const withCookie = (server: TestServer, cookie: string): User => Object.assign(new User(server), { cookie });

describe('sessions when nothing is left', () => {
  it('fault 35: with Redis and PostgreSQL both down, what an instance knows lives on, what it does not know is never a new session', async () => {
    await using postgres = await startPostgres();
    await using fleet = await TestFleet.start(2, { databaseUrl: await postgres.database() });
    const [a, b] = fleet.instances as [Instance, Instance];
    const [ann, leaving, newcomer, eve] = [a, a, a, b].map(({ server }) => new User(server)) as [
      User,
      User,
      User,
      User,
    ];
    await ann.login('ann');
    expect(await ann.visit()).toBe(1);
    await leaving.login('leaving');
    // The other instance alone has seen this one.
    await eve.login('eve');
    expect(await eve.visit()).toBe(1);

    await Promise.all([fleet.redis.kill(), postgres.stop()]);
    for (const instance of [a, b]) {
      await fleet.becomes(instance, 'redis', 'degraded');
      await fleet.becomes(instance, 'postgres', 'degraded');
    }
    expect(await ann.visit()).toBe(2);
    await newcomer.login('new');
    const { cookie: ended } = leaving;
    expect((await leaving.send('POST', '/demo/session/logout')).status).toBe(204);
    expect(await withCookie(a.server, ended).whoAmI()).toBeNull();
    for (const [method, path] of [
      ['GET', '/demo/session'],
      ['POST', '/demo/session/visit'],
      ['POST', '/demo/session/logout'],
    ] as const) {
      const refused = await withCookie(a.server, eve.cookie).send(method, path);
      expect(refused.status).toBe(503);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(refused.headers.getSetCookie()).toEqual([]);
      expect(refused.headers.get('content-type')).toMatch('application/problem+json');
      expect(await refused.json()).toMatchObject({ code: 'ERR_SESSION_UNKNOWN' });
    }

    const { status, body } = await a.server.health();
    expect([status, body['status']]).toEqual([200, 'warn']);
    const { sessions } = (await a.report()).services;
    expect(sessions).toMatchObject({ backend: 'memory', scope: 'instance' });
    // A visit, a login and a logout at least; a login may also end the empty session that it began with.
    expect(sessions.counters['journal']).toBeGreaterThanOrEqual(3);
    expect(sessions.notice).toContain(`${sessions.counters['journal']} changed ones are lost if it ends`);
    expect(sessions.notice).toContain('503');
    expect((await a.server.fetch('/health/ready')).status).toBe(503);

    await Promise.all([fleet.redis.restart({ empty: true }), postgres.start()]);
    for (const instance of [a, b]) {
      await fleet.becomes(instance, 'redis', 'available');
      await fleet.becomes(instance, 'postgres', 'available');
    }
    await eventually(async () => expect((await a.report()).services.sessions.counters).toMatchObject({ journal: 0 }));
    for (const instance of [a, b]) {
      expect(await instance.visitor(ann).whoAmI()).toEqual({ user: 'ann', visits: 2 });
      expect(await instance.visitor(eve).whoAmI()).toEqual({ user: 'eve', visits: 1 });
      expect(await instance.visitor(newcomer).whoAmI()).toEqual({ user: 'new', visits: 0 });
      expect(await withCookie(instance.server, ended).whoAmI()).toBeNull();
    }
  });

  it('fault 36: what a slow PostgreSQL cannot take is refused with a code, on bounded connections, and what was taken stays', async () => {
    const [waitingMax, poolMax, count, delayMs] = [20, 4, 200, 500];
    await using fleet = await TestFleet.start(1, {
      env: { REDOUBT_SESSIONS_MEMORY_MAX: `${waitingMax}`, REDOUBT_POSTGRES_POOL_MAX: `${poolMax}` },
    });
    const [a] = fleet.instances as [Instance];
    const users: User[] = [];
    while (users.length < count) {
      const user = new User(a.server);
      await user.login('ann');
      users.push(user);
    }
    a.redisHop.mode = 'refuse';
    await fleet.becomes(a, 'redis', 'degraded');
    a.postgresHop.delayMs = delayMs;
    a.postgresHop.mode = 'slow';
    let mostConnections = 0;
    const watching = setInterval(() => (mostConnections = Math.max(mostConnections, a.postgresHop.connections)), 5);
    const answers = await Promise.all(
      users.map(async (user) => {
        const startedAt = performance.now();
        const answer = await user.send('POST', '/demo/session/visit');
        const ms = performance.now() - startedAt;
        return { user, status: answer.status, headers: answer.headers, body: (await answer.json()) as object, ms };
      }),
    );
    clearInterval(watching);
    const refused = answers.filter(({ status }) => status !== 200);
    for (const { status, headers, body } of refused) {
      expect(status).toBe(503);
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
      expect(body).toMatchObject({ code: expect.stringMatching(/^ERR_/) as string });
    }
    // Before PostgreSQL can have answered anybody: those did not stand in line.
    expect(refused.filter(({ ms }) => ms < delayMs).length).toBeGreaterThan(count / 4);
    expect(answers.length - refused.length).toBeGreaterThan(0);
    // A read, the lease wait and a write, each with the deadline of PostgreSQL: nobody waits in line behind others.
    expect(Math.max(...answers.map(({ ms }) => ms))).toBeLessThan(4000);
    // Besides the pool: the probe, and the heartbeat's listener.
    expect(mostConnections).toBeLessThanOrEqual(poolMax + 2);

    a.postgresHop.mode = 'pass';
    await fleet.becomes(a, 'postgres', 'available');
    await eventually(async () => expect((await a.report()).services.sessions.counters).toMatchObject({ journal: 0 }));
    for (const { user, status } of answers) {
      const { visits } = (await user.whoAmI())!;
      // A refusal may come after the write has been sent: it is done or not, and nobody is logged out.
      expect(visits).toBeGreaterThanOrEqual(status === 200 ? 1 : 0);
      expect(visits).toBeLessThanOrEqual(1);
    }
  });
});
