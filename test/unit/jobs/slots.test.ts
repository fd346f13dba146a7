import { describe, expect, it } from 'vitest';

import { Slots } from '../../../src/services/jobs/slots.ts';
import { SimulatedClock } from '../../support/clock.ts';
import { sleep } from '../../../src/core/clock.ts';

describe('the slots of a worker', () => {
  it('let no more run at once than there are, and all in the end', async () => {
    const clock = new SimulatedClock();
    const slots = new Slots(2);
    let [now, most, done] = [0, 0, 0];
    for (let n = 0; n < 5; n += 1) {
      void slots.run(async () => {
        most = Math.max(most, (now += 1));
        await sleep(clock, 10);
        now -= 1;
        done += 1;
      });
    }
    let idle = false;
    void slots.idle().then(() => (idle = true));

    await clock.advance(20);
    expect([most, done, idle]).toEqual([2, 4, false]);
    await clock.advance(10);
    expect([most, done, idle]).toEqual([2, 5, true]);
  });

  it('give the slot of a failed run to the next', async () => {
    const slots = new Slots(1);
    const failed = slots.run(() => Promise.reject(new Error('no')));
    const next = slots.run(() => Promise.resolve('yes'));
    await expect(failed).rejects.toThrow('no');
    await expect(next).resolves.toBe('yes');
    await slots.idle();
  });
});
