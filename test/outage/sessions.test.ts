import { describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.ts';
import type { HopMode } from '../support/hop.ts';
import { User } from './rig.ts';
import { TestFleet } from './sessions-rig.ts';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('sessions of two instances without stickiness', () => {
  it.each<HopMode>(['refuse', 'blackhole'])(
    'fault 46: one of them loses Redis (%s), and nobody reads what is stale',
    async (mode) => {
      await using fleet = await TestFleet.start(2);
      const [a, b] = fleet.instances as [TestFleet['instances'][0], TestFleet['instances'][0]];
      await fleet.expectCoherent(async () => {
        await pause(500);
        a.redisHop.mode = mode;
        await fleet.becomes(a, 'redis', 'degraded');
        await eventually(async () => expect((await b.report()).fleet).toMatchObject([{ blind: true }]));
        await pause(1500);
        a.redisHop.mode = 'pass';
        await fleet.becomes(a, 'redis', 'available');
        await eventually(async () => expect((await b.report()).fleet).toMatchObject([{ blind: false }]));
        await pause(2500);
      });
    },
  );

  it.each<HopMode>(['refuse', 'blackhole'])(
    'fault 47: one of them loses PostgreSQL (%s), and nobody reads what is stale',
    async (mode) => {
      await using fleet = await TestFleet.start(2);
      const [a] = fleet.instances as [TestFleet['instances'][0]];
      await fleet.expectCoherent(async () => {
        await pause(500);
        a.postgresHop.mode = mode;
        await fleet.becomes(a, 'postgres', 'degraded');
        expect((await a.report()).services.sessions.backend).toBe('redis');
        await pause(1500);
        a.postgresHop.mode = 'pass';
        await fleet.becomes(a, 'postgres', 'available');
        await pause(2500);
      });
    },
  );

  it('fault 48: one that was paused longer than its lease serves nothing stale when it wakes', async () => {
    await using fleet = await TestFleet.start(2);
    const [a, b] = fleet.instances as [TestFleet['instances'][0], TestFleet['instances'][0]];
    const users = Array.from({ length: 20 }, () => new User(b.server));
    const leaving = new User(b.server);
    await Promise.all(users.map((user, i) => user.login(`user${i}`)));
    for (const user of users) expect(await b.visitor(user).visit()).toBe(1);
    await leaving.login('leaving');
    const { cookie } = leaving;
    b.server.signal('SIGSTOP');
    // What the other writes meanwhile reaches PostgreSQL alone; Redis keeps what it had.
    a.redisHop.mode = 'refuse';
    await fleet.becomes(a, 'redis', 'degraded');
    for (const user of users) expect(await a.visitor(user).visit()).toBe(2);
    expect((await a.visitor(leaving).send('POST', '/demo/session/logout')).status).toBe(204);
    await pause(1500);
    // Waiting at its door, so that it answers them before it has heard anything new.
    const ghost = Object.assign(new User(b.server), { cookie });
    const asked = [ghost, ...users].map((user) => b.visitor(user).whoAmI());
    b.server.signal('SIGCONT');
    expect(await Promise.all(asked)).toEqual([null, ...users.map((_, i) => ({ user: `user${i}`, visits: 2 }))]);
    expect(await ghost.whoAmI()).toBeNull();
  });

  it('fault 49: one dies while degraded, and nothing that it acknowledged is lost or undone', async () => {
    await using fleet = await TestFleet.start(3);
    const [a, b, c] = fleet.instances as TestFleet['instances'] & { length: 3 };
    const [ann, bea, cid] = [new User(a!.server), new User(a!.server), new User(a!.server)];
    for (const user of [ann, bea, cid]) await user.login('user');
    // One has only PostgreSQL, the other only Redis, and both are killed.
    a!.redisHop.mode = 'refuse';
    await fleet.becomes(a!, 'redis', 'degraded');
    expect(await a!.visitor(ann).visit()).toBe(1);
    await a!.server.stop('SIGKILL');
    b!.postgresHop.mode = 'refuse';
    await fleet.becomes(b!, 'postgres', 'degraded');
    expect(await b!.visitor(bea).visit()).toBe(1);
    expect((await b!.visitor(cid).send('POST', '/demo/session/logout')).status).toBe(204);
    await b!.server.stop('SIGKILL');
    const check = async (): Promise<void> => {
      expect(await c!.visitor(ann).whoAmI()).toEqual({ user: 'user', visits: 1 });
      expect(await c!.visitor(bea).whoAmI()).toEqual({ user: 'user', visits: 1 });
      expect(await c!.visitor(cid).whoAmI()).toBeNull();
    };
    await eventually(check, { withinMs: 4000 });
    // The blind one's listing has run out and was ended with a raise; what only Redis had is in PostgreSQL.
    await eventually(async () => expect((await c!.report()).fleet).toEqual([]), { withinMs: 10_000 });
    await fleet.redis.client().flushall();
    await check();
  });

  it('fault 50: one that joins during the outage is right from its first answer', async () => {
    await using fleet = await TestFleet.start(1);
    const [a] = fleet.instances as [TestFleet['instances'][0]];
    const [user, leaving] = [new User(a.server), new User(a.server)];
    await user.login('ann');
    await leaving.login('leaving');
    const { cookie } = leaving;
    a.redisHop.mode = 'refuse';
    await fleet.becomes(a, 'redis', 'degraded');
    expect(await user.visit()).toBe(1);
    await leaving.send('POST', '/demo/session/logout');
    // Its own way to Redis is open, where the old records lie.
    const b = await fleet.join();
    expect(await b.visitor(user).whoAmI()).toEqual({ user: 'ann', visits: 1 });
    expect(await Object.assign(new User(b.server), { cookie }).whoAmI()).toBeNull();
  });
});

describe('sessions when Redis loses its data', () => {
  it('fault 34: an old snapshot is recognised, and FLUSHALL: nothing old is read, nobody is logged out', async () => {
    await using fleet = await TestFleet.start(2);
    const [a, b] = fleet.instances as [TestFleet['instances'][0], TestFleet['instances'][0]];
    const [user, leaving] = [new User(a.server), new User(a.server)];
    await user.login('ann');
    await leaving.login('leaving');
    const { cookie } = leaving;
    expect(await b.visitor(leaving).whoAmI()).not.toBeNull();
    await fleet.redis.client().save();
    expect(await a.visitor(user).visit()).toBe(1);
    await leaving.send('POST', '/demo/session/logout');
    await fleet.redis.restart();
    const ghost = Object.assign(new User(b.server), { cookie });
    const until = performance.now() + 4000;
    for (let visits = 2; performance.now() < until; visits += 1) {
      expect(await ghost.whoAmI()).toBeNull();
      expect(await b.visitor(user).whoAmI()).toEqual({ user: 'ann', visits: visits - 1 });
      expect(await a.visitor(user).visit()).toBe(visits);
      if (visits % 100 === 0) await fleet.redis.client().flushall();
    }
  });
});
