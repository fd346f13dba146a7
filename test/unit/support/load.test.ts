import { describe, expect, it } from 'vitest';

import { eventually } from '../../support/eventually.ts';
import { startLoad } from '../../support/load.ts';

describe('startLoad', () => {
  it('goes on sending while nothing is answered, and reports what never settled', async () => {
    await using load = startLoad({ ratePerSecond: 2_000, request: () => new Promise(() => undefined) });
    await eventually(() => load.inFlight >= 10);
    const summary = await load.stop(0);

    expect(summary.count).toBeGreaterThanOrEqual(10);
    expect(summary.unsettled).toBe(summary.count);
    expect(summary.failures).toBe(summary.count);
  });

  it('counts rejections and answers that mean failure', async () => {
    const answers = [200, 503, 'reject', 200];
    await using load = startLoad({
      ratePerSecond: 5_000,
      maxRequests: answers.length,
      request: async (index) => {
        if (answers[index] === 'reject') throw new Error('refused');
        return answers[index];
      },
      failed: (status) => Number(status) >= 500,
    });
    await eventually(() => load.peek().count === answers.length);
    const summary = await load.stop();

    expect(summary).toMatchObject({ count: 4, failures: 2, unsettled: 0 });
    expect(summary.samples.map(({ failed }) => failed)).toEqual([false, true, true, false]);
    expect(summary.over(-1)).toBe(4);
  });

  it('sheds beyond its bound instead of piling up', async () => {
    await using load = startLoad({ ratePerSecond: 5_000, maxInFlight: 3, request: () => new Promise(() => undefined) });
    await eventually(() => load.inFlight === 3);
    await eventually(() => load.peek().shed > 0);

    expect((await load.stop(0)).count).toBe(3);
  });
});
