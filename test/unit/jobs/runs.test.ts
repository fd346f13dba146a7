import { describe, expect, it } from 'vitest';

import { type RunOf, Runs } from '../../../src/services/jobs/runs.ts';

const run: RunOf = { queue: 'q', id: 'j', timestamp: 1, attemptsMade: 0 };

describe('the runs of a process', () => {
  it('joins a job that is handed out again to its run under way', async () => {
    const runs = new Runs();
    const { promise: opened, resolve: open } = Promise.withResolvers<string>();
    let started = 0;
    const handler = () => {
      started += 1;
      return opened;
    };

    const both = Promise.all([runs.run(run, 'a', handler), runs.run(run, 'b', handler)]);
    expect(runs.running).toBe(1);
    open('done');

    expect(await both).toEqual(['done', 'done']);
    expect(started).toBe(1);
    expect(runs.counters).toEqual({ completed: 1, failed: 0 });
    expect(runs.running).toBe(0);
  });

  it('answers with the outcome that could not be told, until it is told', async () => {
    const runs = new Runs();
    await expect(runs.run(run, 'a', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await expect(runs.run(run, 'b', () => 'again')).rejects.toThrow('no');
    expect(runs.untold('q')).toMatchObject([{ token: 'b', outcome: { ok: false } }]);
    expect(runs.untold('other')).toEqual([]);

    runs.told(run);

    expect(runs.untold('q')).toEqual([]);
    await expect(runs.run(run, 'c', () => 'again')).resolves.toBe('again');
  });

  it('runs another attempt, and another job under a used id, anew', async () => {
    const runs = new Runs();
    await runs.run(run, 'a', () => 'first');
    expect(await runs.run({ ...run, attemptsMade: 1 }, 'a', () => 'second attempt')).toBe('second attempt');
    expect(await runs.run({ ...run, timestamp: 2 }, 'a', () => 'other job')).toBe('other job');
  });

  it('turns whatever is thrown into an Error, also what is thrown at once', async () => {
    const runs = new Runs();
    const thrown = runs.run(run, 'a', () => {
      throw undefined;
    });
    await expect(thrown).rejects.toBeInstanceOf(Error);
    expect(runs.counters.failed).toBe(1);
  });

  it('remembers a bounded number of outcomes', async () => {
    const runs = new Runs();
    await Promise.all(Array.from({ length: 1_100 }, (_, n) => runs.run({ ...run, id: `j${n}` }, 'a', () => n)));
    expect(runs.untold('q')).toHaveLength(1_000);
  });
});
