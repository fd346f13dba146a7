import { describe, expect, it } from 'vitest';

import { FAULT_KINDS, LINKS, createSchedule, describeFault } from './schedule.ts';

const OPTIONS = { seed: 7, durationMs: 120_000, instances: 3, kinds: FAULT_KINDS, links: LINKS };

describe('the schedule of the nemesis', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(createSchedule(OPTIONS)).toEqual(createSchedule(OPTIONS));
    expect(createSchedule(OPTIONS)).not.toEqual(createSchedule({ ...OPTIONS, seed: 8 }));
  });

  it('draws every kind of fault before any comes again', () => {
    const kinds = createSchedule(OPTIONS).map(({ kind }) => kind);
    expect(new Set(kinds.slice(0, FAULT_KINDS.length))).toEqual(new Set(FAULT_KINDS));
  });

  it('ends each fault before the next begins, and all before the run ends', () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const faults = createSchedule({ ...OPTIONS, seed });
      for (const [i, { atMs, forMs }] of faults.entries()) {
        expect(atMs + forMs).toBeLessThan(faults[i + 1]?.atMs ?? OPTIONS.durationMs);
      }
    }
  });

  it('writes a line that says what, where and when', () => {
    expect(describeFault({ atMs: 2_000, forMs: 1_500, kind: 'cut', link: 'redis', instances: [1] })).toBe(
      '   2.0 s  for 1.5 s  cut (redis, instances 1)',
    );
  });
});
