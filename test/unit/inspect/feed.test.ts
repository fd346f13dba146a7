import { beforeEach, describe, expect, it } from 'vitest';

import { silentLogger } from '../../../src/observe/log.ts';
import { Feed } from '../../../src/server/inspect/feed.ts';
import { SimulatedClock } from '../../support/clock.ts';
import { FakeMachine, FakeMachines, fakeHealth } from './fakes.ts';
import { redisLike } from './machines.ts';

class TestSink {
  writableLength = 0;
  text = '';
  ended = false;
  destroyed = false;

  write(chunk: string): void {
    this.text += chunk;
  }

  end(): void {
    this.ended = true;
  }

  destroy(): void {
    this.destroyed = true;
  }

  get events(): { event: string; id: string | undefined; data: Record<string, unknown> }[] {
    return this.text.split('\n\n').flatMap((block) => {
      const field = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1];
      const [event, data] = [field('event'), field('data')];
      return event === undefined || data === undefined ? [] : [{ event, id: field('id'), data: JSON.parse(data) }];
    });
  }

  get names(): string[] {
    return this.events.map(({ event }) => event);
  }
}

let clock: SimulatedClock;
let machines: FakeMachines;
let feed: Feed;

function createFeed(): Feed {
  return new Feed({ machines, health: () => fakeHealth('pass', 'redis'), page: 'v1', log: silentLogger, clock });
}

beforeEach(() => {
  clock = new SimulatedClock();
  machines = new FakeMachines(new FakeMachine(redisLike, 'connecting'));
  feed = createFeed();
});

const go = (to: string, event = 'redis.lost'): void => machines.go('redis', to, event, 'degraded', clock.wallNow());

describe('the event stream of /inspect', () => {
  it('begins with a snapshot of every machine, every service and the last transitions', () => {
    go('recovering', 'probe.passed');
    const sink = new TestSink();
    feed.open(sink);
    const [first] = sink.events;
    expect(sink.text.startsWith('retry: ')).toBe(true);
    expect(first?.event).toBe('snapshot');
    expect(first?.data).toMatchObject({
      page: 'v1',
      resumed: false,
      status: 'pass',
      machines: [{ id: 'redis', state: 'recovering', status: 'degraded', reason: { code: 'PROBE_PASSED' } }],
      services: { cache: { backend: 'redis', scope: 'fleet' } },
      transitions: [{ from: 'connecting', to: 'recovering', event: 'probe.passed' }],
    });
  });

  it('tells transitions that happened before it was made', () => {
    go('recovering', 'probe.passed');
    const sink = new TestSink();
    createFeed().open(sink);
    expect(sink.events[0]?.data['transitions']).toHaveLength(1);
  });

  it('sends each transition at once, under an id, with the machine as it is now', () => {
    const sink = new TestSink();
    feed.open(sink);
    go('degraded.unreachable');
    const event = sink.events.at(-1);
    expect(event).toMatchObject({
      event: 'transition',
      data: {
        transition: { to: 'degraded.unreachable', event: 'redis.lost' },
        machine: { state: 'degraded.unreachable' },
      },
    });
    expect(event?.data['transition']).toMatchObject({ id: event?.id });
  });

  it('goes on after the last id that the reader had, without gap or repetition', () => {
    const first = new TestSink();
    feed.open(first);
    go('recovering');
    const seen = first.events.at(-1)?.id;
    feed.leave(first);
    go('available');
    go('degraded.slow');
    const second = new TestSink();
    feed.open(second, seen);
    expect(second.events[0]?.data).toMatchObject({ resumed: true, transitions: [] });
    const told = second.events.slice(1).map(({ data }) => (data['transition'] as { to: string }).to);
    expect(told).toEqual(['available', 'degraded.slow']);
  });

  it('can be resumed after the snapshot alone', () => {
    go('recovering');
    const first = new TestSink();
    feed.open(first);
    const second = new TestSink();
    feed.open(second, first.events[0]?.id);
    expect(second.events).toHaveLength(1);
    expect(second.events[0]?.data).toMatchObject({ resumed: true });
  });

  it('starts afresh after an id of another process or one long forgotten', async () => {
    const early = new TestSink();
    feed.open(early);
    go('recovering');
    const old = early.events.at(-1)?.id;
    for (let round = 0; round < 200; round += 1) go(round % 2 === 0 ? 'available' : 'degraded.slow');
    await clock.advance(10);
    for (const id of [old, 'other-1', '']) {
      const sink = new TestSink();
      feed.open(sink, id);
      expect(sink.events[0]?.data).toMatchObject({ resumed: false });
      expect(sink.events[0]?.data['transitions']).toHaveLength(40);
    }
  });

  it('says how everything is once a second, and sends a heartbeat every 15 s', async () => {
    const sink = new TestSink();
    feed.open(sink);
    await clock.advance(15_000);
    expect(sink.names.filter((name) => name === 'health')).toHaveLength(15);
    expect(sink.text.match(/^: heartbeat$/gm)).toHaveLength(1);
  });

  it('rests while nobody watches', async () => {
    let asked = 0;
    const health = () => {
      asked += 1;
      return fakeHealth('pass', 'redis');
    };
    feed = new Feed({ machines, health, page: 'v1', log: silentLogger, clock });
    const sink = new TestSink();
    feed.open(sink);
    feed.leave(sink);
    await clock.advance(60_000);
    expect(asked).toBe(1);
  });

  it('goes on when a health report fails', async () => {
    let broken = false;
    const health = () => {
      if (broken) throw new Error('planted');
      return fakeHealth('pass', 'redis');
    };
    feed = new Feed({ machines, health, page: 'v1', log: silentLogger, clock });
    const sink = new TestSink();
    feed.open(sink);
    broken = true;
    await clock.advance(2000);
    broken = false;
    await clock.advance(1000);
    expect(sink.names).toEqual(['snapshot', 'health']);
  });

  it('refuses the 51st reader with ERR_BACKPRESSURE and takes another once one has left', () => {
    const sinks = Array.from({ length: 50 }, () => new TestSink());
    for (const sink of sinks) feed.open(sink);
    expect(() => feed.open(new TestSink())).toThrow(expect.objectContaining({ code: 'ERR_BACKPRESSURE', status: 503 }));
    feed.leave(sinks[7] as TestSink);
    feed.open(new TestSink());
    expect(feed.size).toBe(50);
  });

  it('drops a reader that does not read, and keeps the others', () => {
    const [slow, fast] = [new TestSink(), new TestSink()];
    feed.open(slow);
    feed.open(fast);
    slow.writableLength = 1024 * 1024;
    go('degraded.slow');
    expect(slow.destroyed).toBe(true);
    expect(fast.names.at(-1)).toBe('transition');
    expect(feed.size).toBe(1);
  });

  it('ends every stream and lets go of machines and timers on close', async () => {
    const sink = new TestSink();
    feed.open(sink);
    feed.close();
    expect(sink.ended).toBe(true);
    expect(machines.listeners).toBe(0);
    const before = sink.text;
    await clock.advance(5000);
    expect(sink.text).toBe(before);
    expect(() => feed.open(new TestSink())).toThrow(expect.objectContaining({ code: 'ERR_CLOSED' }));
  });
});
