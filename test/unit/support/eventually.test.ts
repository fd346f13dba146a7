import { describe, expect, it } from 'vitest';

import { eventually } from '../../support/eventually.ts';

describe('eventually', () => {
  it('answers with the first value that counts', async () => {
    const values = [false, null, 0, 'there'];

    expect(await eventually(() => values.shift(), { everyMs: 0 })).toBe('there');
  });

  it('waits for a block of expectations to pass', async () => {
    let looks = 0;
    await eventually(() => expect(++looks).toBe(3), { everyMs: 0 });

    expect(looks).toBe(3);
  });

  it('names what it waited for and what it saw last', async () => {
    const waiting = eventually(() => false, { withinMs: 1, everyMs: 0, what: 'the recovery' });

    await expect(waiting).rejects.toThrow(/^the recovery did not come true in \d+ looks? within 1 ms; last: false$/);
  });

  it('gives up on a call that never settles', async () => {
    const waiting = eventually(() => new Promise(() => undefined), { withinMs: 1, everyMs: 0 });

    await expect(waiting).rejects.toThrow('did not settle');
  });
});
