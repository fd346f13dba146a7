import { describe, expect, it } from 'vitest';

import { VersionClock } from '../../../src/services/cache/version.ts';
import { SimulatedClock } from '../../support/clock.ts';

describe('versions of cache writes', () => {
  it('grow with every write, also within one instant', () => {
    const versions = new VersionClock(new SimulatedClock(), () => 0.5);
    const given = Array.from({ length: 1000 }, () => versions.next());
    expect(given.toSorted()).toEqual(given);
    expect(new Set(given).size).toBe(1000);
  });

  it.each([-3_600_000, 3_600_000])('fault 45: keep their order when the wall clock jumps by %i ms', async (jump) => {
    const clock = new SimulatedClock();
    const versions = new VersionClock(clock, () => 0.5);
    const before = versions.next();
    clock.jumpWall(jump);
    await clock.advance(10);
    const after = versions.next();
    expect(after > before).toBe(true);
    expect(Number(after.slice(0, 16)) - Number(before.slice(0, 16))).toBe(10_000);
  });

  it('follow Redis time, whatever the date here', async () => {
    const clock = new SimulatedClock();
    const [ours, theirs] = [new VersionClock(clock, () => 0.1), new VersionClock(clock, () => 0.9)];
    await clock.advance(4);
    for (const versions of [ours, theirs]) versions.synchronise(1_900_000_000_000, 2);
    expect(ours.redisNow()).toBe(1_900_000_000_002);
    expect(theirs.next() > ours.next()).toBe(true);
  });

  it('grow even when Redis time goes back', () => {
    const clock = new SimulatedClock();
    const versions = new VersionClock(clock, () => 0.5);
    const before = versions.next();
    versions.synchronise(1_000_000, clock.now());
    expect(versions.next() > before).toBe(true);
  });

  it('outdo every version that was seen', () => {
    const versions = new VersionClock(new SimulatedClock(), () => 0);
    const seen = '19999999999999999999';
    versions.observe(seen);
    expect(versions.next() > seen).toBe(true);
  });
});
