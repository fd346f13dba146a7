import { describe, expect, it } from 'vitest';

import { nextBackoffMs } from '../../../src/core/backoff.ts';
import { withDeadline } from '../../../src/core/deadline.ts';
import { RedoubtError } from '../../../src/core/errors.ts';
import { formatDuration, parseDuration, parseSize, suggest } from '../../../src/core/format.ts';
import {
  type HoldDownPolicy,
  NO_HOLD_DOWN,
  holdDownLeftMs,
  isFlapping,
  nextHoldDown,
} from '../../../src/core/hold-down.ts';
import { LoopLag } from '../../../src/core/loop-lag.ts';
import { SingleFlight } from '../../../src/core/single-flight.ts';
import { SlidingWindow } from '../../../src/core/window.ts';
import { SimulatedClock } from '../../support/clock.ts';

describe('durations and sizes', () => {
  it.each([
    ['250ms', 250],
    ['5s', 5000],
    ['1.5s', 1500],
    ['2m', 120_000],
    ['24h', 86_400_000],
    ['7d', 604_800_000],
  ])('reads %s', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(['', '5', 's', '5 parsecs', '-5s', '1e3ms'])('refuses %j as a duration', (text) =>
    expect(parseDuration(text)).toBeUndefined(),
  );

  it('reads sizes in powers of 1024', () => {
    expect(parseSize('64mb')).toBe(64 * 1024 ** 2);
    expect(parseSize('64')).toBeUndefined();
  });

  it.each([250, 1500, 5000, 300_000, 86_400_000])('writes %d so that it reads back', (ms) =>
    expect(parseDuration(formatDuration(ms))).toBe(ms),
  );

  it('suggests only what is near enough to be meant', () => {
    expect(suggest('degradet', ['available', 'degraded'])).toBe('degraded');
    expect(suggest('xyz', ['available', 'degraded'])).toBeUndefined();
  });
});

describe('backoff', () => {
  const backoff = { baseMs: 100, maxMs: 1000 };

  it('doubles its bound up to the greatest one', () => {
    const bounds = [0, 1, 2, 3, 4, 40].map((attempt) => nextBackoffMs(backoff, attempt, () => 0.999_999));
    expect(bounds.map(Math.round)).toEqual([100, 200, 400, 800, 1000, 1000]);
  });

  it('jitters over the whole range but never down to a tight loop', () => {
    expect(nextBackoffMs(backoff, 10, () => 0)).toBe(100);
    expect(nextBackoffMs(backoff, 10, () => 0.5)).toBe(500);
  });

  it('keeps to the upper quarter of its first bound for the steady waits', () => {
    const steady = { ...backoff, steady: 3 };
    const bounds = [0, 2, 3, 4, 40].map((attempt) => nextBackoffMs(steady, attempt, () => 0.999_999));
    expect(bounds.map(Math.round)).toEqual([100, 100, 100, 200, 1000]);
    expect(nextBackoffMs(steady, 2, () => 0)).toBe(75);
    expect(nextBackoffMs(steady, 3, () => 0)).toBe(10);
  });
});

describe('deadline', () => {
  it('answers the caller in time although the work never ends', async () => {
    const clock = new SimulatedClock();
    const answered = withDeadline(new Promise(() => undefined), 250, { clock, operation: 'get' }).catch(
      (error) => error,
    );
    await clock.advance(250);
    expect(await answered).toMatchObject({ code: 'ERR_DEADLINE', details: { deadlineMs: 250, late: false } });
    expect(clock.pending).toBe(0);
  });

  it('lets go of its timer when the work ends first', async () => {
    const clock = new SimulatedClock();
    expect(await withDeadline(Promise.resolve(7), 250, { clock })).toBe(7);
    expect(clock.pending).toBe(0);
  });

  it('takes an answer that was already there when our own blocked loop let the timer fire late', async () => {
    const blocked = { ...realClock(), now: () => performance.now() };
    const work = new Promise((resolve) => setTimeout(() => setImmediate(() => resolve('answer')), 20));
    const answered = withDeadline(work, 25, { clock: blocked });
    const until = performance.now() + 150;
    while (performance.now() < until); // the loop is ours and blocked
    expect(await answered).toBe('answer');
  });

  it('gives up at once when aborted', async () => {
    const clock = new SimulatedClock();
    const abort = new AbortController();
    const answered = withDeadline(new Promise(() => undefined), 250, { clock, signal: abort.signal }).catch(
      (error) => error,
    );
    abort.abort(new RedoubtError('ERR_CLOSED'));
    expect(await answered).toMatchObject({ code: 'ERR_CLOSED' });
    expect(clock.pending).toBe(0);
  });
});

function realClock() {
  return {
    wallNow: () => Date.now(),
    setTimeout: (fn: () => void, ms: number) => setTimeout(fn, ms),
    clearTimeout: (timer: unknown) => clearTimeout(timer as NodeJS.Timeout),
  };
}

describe('sliding window', () => {
  it('forgets what is older than itself', () => {
    const window = new SlidingWindow(1000);
    for (let now = 0; now < 1000; now += 100) window.add(now, true, false);
    expect(window.totals(950)).toEqual({ calls: 10, failed: 10, slow: 0 });
    expect(window.totals(1550).calls).toBe(4);
    expect(window.totals(5000).calls).toBe(0);
  });
});

describe('hold-down', () => {
  const policy: HoldDownPolicy = { dwellMs: 500, baseMs: 1000, maxMs: 60_000, halfLifeMs: 60_000 };

  it('asks only for the dwell time after a single trip', () => {
    const once = nextHoldDown(NO_HOLD_DOWN, policy, 0);
    expect(holdDownLeftMs(once, policy, 100)).toBe(400);
    expect(holdDownLeftMs(once, policy, 600)).toBe(0);
    expect(isFlapping(once, policy, 0)).toBe(false);
  });

  it('grows with each trip in short order, up to its bound', () => {
    let holdDown = NO_HOLD_DOWN;
    const held = Array.from({ length: 12 }, (_, i) => {
      holdDown = nextHoldDown(holdDown, policy, i * 100);
      return holdDownLeftMs(holdDown, policy, i * 100);
    });
    expect(held).toEqual(held.toSorted((a, b) => a - b));
    expect(held.at(-1)).toBe(60_000);
    expect(isFlapping(holdDown, policy, 1200)).toBe(true);
  });

  it('forgives with time', () => {
    let holdDown = NO_HOLD_DOWN;
    for (let i = 0; i < 4; i += 1) holdDown = nextHoldDown(holdDown, policy, i);
    expect(isFlapping(holdDown, policy, 120_000)).toBe(false);
    const later = nextHoldDown(holdDown, policy, 600_000);
    expect(holdDownLeftMs(later, policy, 600_000)).toBe(500);
  });
});

describe('loop lag', () => {
  it('knows a block that reached into the time asked for, and forgets none for the time before', async () => {
    const clock = new SimulatedClock();
    using lag = new LoopLag(clock);
    await clock.advance(200);
    expect(lag.since(0)).toBe(0);
    expect(clock.pending).toBe(1);
  });

  it('sees a block that still goes on', () => {
    const now = { value: 0 };
    const clock = { ...realClock(), now: () => now.value, setTimeout: () => 0, clearTimeout: () => undefined };
    using lag = new LoopLag(clock);
    now.value = 820;
    expect(lag.since(0)).toBe(800);
  });
});

describe('single flight', () => {
  it('fetches once for all concurrent callers and forgets a failure', async () => {
    const flight = new SingleFlight<number>();
    let fetched = 0;
    const fetch = async (): Promise<number> => {
      fetched += 1;
      if (fetched === 1) throw new Error('first');
      return fetched;
    };
    const first = await Promise.allSettled(Array.from({ length: 100 }, () => flight.run('k', fetch)));
    expect(first.every(({ status }) => status === 'rejected')).toBe(true);
    expect(fetched).toBe(1);
    expect(await flight.run('k', fetch)).toBe(2);
    expect(flight.size).toBe(0);
  });
});
