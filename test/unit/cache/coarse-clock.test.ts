import { describe, expect, it } from 'vitest';

import { CoarseClock } from '../../../src/services/cache/coarse-clock.ts';
import { SimulatedClock } from '../../support/clock.ts';

function countingClock() {
  const clock = new SimulatedClock();
  let looks = 0;
  return {
    wallNow: () => clock.wallNow(),
    setTimeout: clock.setTimeout.bind(clock),
    clearTimeout: clock.clearTimeout.bind(clock),
    now: () => (looks += 1),
  };
}

describe('the coarse clock', () => {
  it('looks once for many uses in one callback, microtasks included', async () => {
    const coarse = new CoarseClock(countingClock());
    expect([coarse.now(), coarse.now()]).toEqual([1, 1]);
    await Promise.resolve();
    expect(coarse.now()).toBe(1);
  });

  it('looks again in every callback, and after a bounded number of uses', async () => {
    const coarse = new CoarseClock(countingClock());
    expect(coarse.now()).toBe(1);
    await new Promise(setImmediate);
    expect(coarse.now()).toBe(2);
    for (let uses = 0; uses < 64; uses += 1) coarse.now();
    expect(coarse.now()).toBe(3);
  });
});
