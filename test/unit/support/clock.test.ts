import { describe, expect, it } from 'vitest';

import { sleep } from '../../../src/core/clock.ts';
import { SimulatedClock } from '../../support/clock.ts';

describe('SimulatedClock', () => {
  it('fires timers in the order in which they are due, each at its own instant', async () => {
    const clock = new SimulatedClock();
    const fired: [string, number][] = [];
    const note = (name: string) => () => void fired.push([name, clock.now()]);
    clock.setTimeout(note('late'), 30);
    clock.setTimeout(note('first of two'), 20);
    clock.setTimeout(note('second of two'), 20);
    clock.setTimeout(note('never'), 31);
    await clock.advance(30);

    expect(fired).toEqual([
      ['first of two', 20],
      ['second of two', 20],
      ['late', 30],
    ]);
    expect(clock.pending).toBe(1);
  });

  it('runs the promise jobs of one timer before the next timer, and fires what they set on the way', async () => {
    const clock = new SimulatedClock();
    const seen: number[] = [];
    const walk = async () => {
      for (let step = 0; step < 3; step++) {
        await sleep(clock, 10);
        seen.push(clock.now());
      }
    };
    const walking = walk();
    await clock.advance(30);
    await walking;

    expect(seen).toEqual([10, 20, 30]);
  });

  it('forgets a cleared timer', async () => {
    const clock = new SimulatedClock();
    let fired = false;
    clock.clearTimeout(clock.setTimeout(() => (fired = true), 5));
    await clock.advance(10);

    expect(fired).toBe(false);
    expect(clock.pending).toBe(0);
  });

  it('lets the date jump without touching timers', async () => {
    const clock = new SimulatedClock(1_000_000);
    let firedAt = 0;
    clock.setTimeout(() => (firedAt = clock.now()), 50);
    clock.jumpWall(-3_600_000);
    await clock.advance(50);

    expect(firedAt).toBe(50);
    expect(clock.wallNow()).toBe(1_000_000 - 3_600_000 + 50);
  });

  it('fires a timer late after oversleeping, as a blocked event loop does', async () => {
    const clock = new SimulatedClock();
    let firedAt = 0;
    clock.setTimeout(() => (firedAt = clock.now()), 50);
    await clock.oversleep(800);

    expect(firedAt).toBe(800);
  });

  it('does not hang on a timer that re-arms itself with zero', async () => {
    const clock = new SimulatedClock();
    const again = (): void => void clock.setTimeout(again, 0);
    again();

    await expect(clock.advance(1)).rejects.toThrow('without end at 0 ms');
  });

  it('hands on what a timer throws', async () => {
    const clock = new SimulatedClock();
    clock.setTimeout(() => {
      throw new Error('from the timer');
    }, 1);

    await expect(clock.advance(1)).rejects.toThrow('from the timer');
  });
});
