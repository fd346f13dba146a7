import { setTimeout as delay } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.ts';
import { type Instance, TestFleet } from './sessions-rig.ts';

interface Seen {
  /** `X-Cache`: `hit`, `stale` or `miss`. */
  readonly cache: string | null;
  /** The value; `undefined` for a miss. */
  readonly value: string | undefined;
}

async function put({ server }: Instance, key: string, value: string): Promise<void> {
  const headers = { 'content-type': 'text/plain' };
  expect((await server.fetch(`/v1/cache/${key}`, { method: 'PUT', headers, body: value })).status).toBe(204);
}

async function remove({ server }: Instance, key: string): Promise<void> {
  expect((await server.fetch(`/v1/cache/${key}`, { method: 'DELETE' })).status).toBe(204);
}

async function see({ server }: Instance, key: string): Promise<Seen> {
  const answer = await server.fetch(`/v1/cache/${key}`);
  const body = await answer.text();
  expect([200, 404]).toContain(answer.status);
  return { cache: answer.headers.get('x-cache'), value: answer.status === 200 ? body : undefined };
}

/** Both have read `key` as `value`, so that it lies in the memory of each. */
async function known(instances: readonly Instance[], key: string, value: string): Promise<void> {
  await put(instances[0]!, key, value);
  for (const instance of instances) {
    await eventually(async () => expect(await see(instance, key)).toEqual({ cache: 'hit', value }));
  }
}

/** Within what an invalidation may take nobody shows `old` as a hit any more, and from then on nobody ever does. */
async function expectForgotten(instances: readonly Instance[], key: string, old: string): Promise<void> {
  await delay(250);
  for (let round = 0; round < 20; round += 1) {
    for (const instance of instances) {
      expect(await see(instance, key)).not.toEqual({ cache: 'hit', value: old });
    }
    await delay(25);
  }
}

describe('the cache of two servers', () => {
  it('fault 48: one that was paused for longer than its lease serves nothing old when it wakes', async () => {
    await using fleet = await TestFleet.start(2);
    const [a, b] = fleet.instances as [Instance, Instance];
    await known([a, b], 'set', 'v1');
    await known([a, b], 'deleted', 'v1');
    a.server.signal('SIGSTOP');
    let asked: Promise<Seen[]>;
    try {
      await put(b, 'set', 'v2');
      await remove(b, 'deleted');
      await delay(1500);
      // Asked while it still sleeps: these wait in its socket and are the first that it answers.
      asked = Promise.all([see(a, 'set'), see(a, 'deleted')]);
      await delay(100);
    } finally {
      a.server.signal('SIGCONT');
    }
    const [set, deleted] = await asked;
    expect(set).not.toEqual({ cache: 'hit', value: 'v1' });
    expect(deleted?.cache).toMatch(/^(stale|miss)$/);
    await eventually(async () => expect(await see(a, 'set')).toEqual({ cache: 'hit', value: 'v2' }));
    expect((await see(a, 'deleted')).cache).toBe('miss');
  });

  it.each(['refuse', 'blackhole'] as const)(
    'fault 46: where only one of them loses Redis (%s), no acknowledged change is unseen',
    async (mode) => {
      await using fleet = await TestFleet.start(2);
      const [a, b] = fleet.instances as [Instance, Instance];
      for (const key of ['by-a', 'gone-by-a', 'by-b', 'gone-by-b']) await known([a, b], key, 'v1');
      a.redisHop.mode = mode;
      // At once, before anybody has noticed, and each by the side that has Redis and the one that has not.
      await Promise.all([put(a, 'by-a', 'v2'), remove(a, 'gone-by-a'), put(b, 'by-b', 'v2'), remove(b, 'gone-by-b')]);
      expect(await see(a, 'by-a')).toMatchObject({ value: 'v2' });
      expect((await see(a, 'gone-by-a')).value).toBeUndefined();
      await Promise.all(['by-a', 'gone-by-a', 'by-b', 'gone-by-b'].map((key) => expectForgotten([a, b], key, 'v1')));
      await fleet.becomes(a, 'redis', 'degraded');
      await put(a, 'by-a', 'v3');
      await put(b, 'by-b', 'v3');
      await Promise.all(['by-a', 'by-b'].map((key) => expectForgotten([a, b], key, 'v2')));
      a.redisHop.mode = 'pass';
      await fleet.becomes(a, 'redis', 'available');
      for (const instance of [a, b]) {
        for (const key of ['by-a', 'by-b']) {
          await eventually(async () => expect(await see(instance, key)).toEqual({ cache: 'hit', value: 'v3' }));
        }
        for (const key of ['gone-by-a', 'gone-by-b']) expect((await see(instance, key)).value).toBeUndefined();
      }
    },
  );

  it('fault 10: writes that Redis executed without being heard are overtaken by nobody, and overtake nobody', async () => {
    await using fleet = await TestFleet.start(2);
    const [a, b] = fleet.instances as [Instance, Instance];
    for (const key of ['unheard', 'overwritten']) await known([a, b], key, 'v1');
    a.redisHop.mode = 'mute';
    await Promise.all([put(a, 'unheard', 'v2'), put(a, 'overwritten', 'v2')]);
    expect(await see(a, 'unheard')).toMatchObject({ value: 'v2' });
    await fleet.becomes(a, 'redis', 'degraded');
    await put(b, 'overwritten', 'v3');
    await expectForgotten([a, b], 'overwritten', 'v2');
    a.redisHop.mode = 'pass';
    await fleet.becomes(a, 'redis', 'available');
    for (const instance of [a, b]) {
      await eventually(async () => expect(await see(instance, 'unheard')).toEqual({ cache: 'hit', value: 'v2' }));
      await eventually(async () => expect(await see(instance, 'overwritten')).toEqual({ cache: 'hit', value: 'v3' }));
    }
  });
});
