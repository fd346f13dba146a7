import { describe, expect, it } from 'vitest';

import type { RedisBackend } from '../../../src/backends/types.ts';
import { PublishQueue } from '../../../src/services/sockets/publish-queue.ts';
import { SimulatedClock } from '../../support/clock.ts';

type Reply = [Error | null, number];

/** A Redis that records what is published and answers as told. */
function fakeRedis(
  replies: (count: number) => Reply[] | Error = (count) => Array.from({ length: count }, () => [null, 0]),
) {
  const calls: string[][] = [];
  const take = (names: string[]): Reply[] => {
    calls.push(names);
    const answer = replies(names.length);
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const client = {
    publish: (channel: string) => Promise.resolve().then(() => take([channel])),
    pipeline: () => {
      const names: string[] = [];
      return {
        publish: (channel: string) => names.push(channel),
        exec: () => Promise.resolve().then(() => take(names)),
      };
    },
  };
  const redis = { call: (work: (on: unknown) => Promise<unknown>) => work(client) } as unknown as RedisBackend;
  return { redis, calls };
}

describe('the publish queue', () => {
  it('sends all messages of one turn in one call, in order', async () => {
    const { redis, calls } = fakeRedis();
    const queue = new PublishQueue(redis, 250);
    queue.open = true;

    for (const channel of ['a', 'b', 'c']) queue.push(channel, '');
    await new SimulatedClock().settle();
    queue.push('d', '');
    await new SimulatedClock().settle();

    expect(calls).toEqual([['a', 'b', 'c'], ['d']]);
    expect(queue.counters).toEqual({ published: 4, publishFailures: 0, droppedPublishes: 0 });
  });

  it('drops and counts while it is closed, also what waits in the turn in which it closes', async () => {
    const { redis, calls } = fakeRedis();
    const queue = new PublishQueue(redis, 250);

    queue.push('a', '');
    queue.open = true;
    queue.push('b', '');
    queue.open = false;
    await new SimulatedClock().settle();

    expect(calls).toEqual([]);
    expect(queue.counters).toEqual({ published: 0, publishFailures: 0, droppedPublishes: 2 });
  });

  it('counts what Redis refuses, a part of a batch as well as all of it', async () => {
    const refused: Reply = [new Error('OOM'), 0];
    const { redis } = fakeRedis((count) => (count === 3 ? [[null, 1], refused, [null, 1]] : new Error('lost')));
    const queue = new PublishQueue(redis, 250);
    queue.open = true;

    for (const channel of ['a', 'b', 'c']) queue.push(channel, '');
    await new SimulatedClock().settle();
    queue.push('d', '');
    await new SimulatedClock().settle();

    expect(queue.counters).toEqual({ published: 2, publishFailures: 2, droppedPublishes: 0 });
    expect(queue.lost).toBe(2);
  });

  it('holds a bounded number of messages for a Redis that does not answer', async () => {
    const redis = { call: () => new Promise(() => undefined) } as unknown as RedisBackend;
    const queue = new PublishQueue(redis, 250);
    queue.open = true;

    for (let n = 0; n < 10_005; n += 1) queue.push('a', '');
    await new SimulatedClock().settle();
    queue.push('a', '');

    expect(queue.counters.droppedPublishes).toBe(6);
  });
});
