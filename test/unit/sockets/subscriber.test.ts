import { describe, expect, it } from 'vitest';

import { Subscriber } from '../../../src/services/sockets/subscriber.ts';

function startSubscriber() {
  const commands: string[] = [];
  const failures: unknown[] = [];
  const subscriber = new Subscriber({
    changed: (command, names) => void commands.push(`${command} ${names.join(' ')}`),
    failed: (error) => void failures.push(error),
  });
  return { subscriber, commands, failures };
}

describe('a subscriber', () => {
  it('records what is subscribed to until it is unsubscribed from', () => {
    const { subscriber, commands } = startSubscriber();

    subscriber.subscribe(['a', 'b']);
    subscriber.psubscribe('p*');
    subscriber.unsubscribe(['a']);
    subscriber.punsubscribe('p*');

    expect([...subscriber.channels]).toEqual(['b']);
    expect(subscriber.patterns.size).toBe(0);
    expect(commands).toEqual(['subscribe a b', 'psubscribe p*', 'unsubscribe a', 'punsubscribe p*']);
  });

  it('keeps what a listener throws or rejects away from the Redis client', async () => {
    const { subscriber, failures } = startSubscriber();
    subscriber.on('messageBuffer', () => {
      throw new Error('thrown');
    });
    subscriber.on('messageBuffer', () => Promise.reject(new Error('rejected')));
    let reached = 0;
    subscriber.on('messageBuffer', () => (reached += 1));

    subscriber.deliver('messageBuffer', Buffer.from('a'), Buffer.from('{}'));
    await Promise.resolve();

    expect(failures.map((error) => (error as Error).message)).toEqual(['thrown', 'rejected']);
    expect(reached).toBe(1);
  });

  it('hands on nothing that is to be ignored', () => {
    const { subscriber } = startSubscriber();
    const got: string[] = [];
    subscriber.on('messageBuffer', (_channel: Buffer, message: Buffer) => got.push(message.toString()));
    subscriber.ignore = (_channel, message) => message.toString() === 'own';

    for (const text of ['own', 'other']) subscriber.deliver('messageBuffer', Buffer.from('a'), Buffer.from(text));

    expect(got).toEqual(['other']);
  });
});
