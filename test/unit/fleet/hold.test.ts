import { describe, expect, it } from 'vitest';

import { NO_HOLD, holdOf } from '../../../src/fleet/hold.ts';

const LEASE_MS = 600;
const LEFT_MS = 1600;

/** Two instances that were told of the same hold, one by a slow heartbeat. PostgreSQL answered both at 1,000 ms. */
const quick = holdOf(LEFT_MS, 998, 1_002, LEASE_MS);
const slow = holdOf(LEFT_MS, 900, 1_100, LEASE_MS);
const END_MS = 1_000 + LEFT_MS;

describe('the hold of a new epoch, as an instance knows it', () => {
  it('is over for nobody before it is over in PostgreSQL', () => {
    for (const { trustFrom } of [quick, slow]) expect(trustFrom).toBeGreaterThanOrEqual(END_MS);
  });

  it('is no longer called certain when another instance may think that it is over', () => {
    for (const { surelyUntil } of [quick, slow])
      expect(surelyUntil).toBeLessThan(Math.min(quick.trustFrom, slow.trustFrom));
  });

  it('lets Redis be filled only in its last lease, when no statement from before it is left', () => {
    for (const { fillFrom } of [quick, slow]) {
      expect(fillFrom).toBeGreaterThanOrEqual(END_MS - LEASE_MS);
      expect(fillFrom).toBeLessThan(END_MS);
    }
  });

  it('leaves a gap where a heartbeat was too slow to tell: there the instance has to ask again', () => {
    expect(slow.surelyUntil).toBeLessThan(slow.fillFrom);
  });

  it('is none where nothing is left of it', () => {
    expect(holdOf(0, 998, 1_002, LEASE_MS)).toBe(NO_HOLD);
  });
});
