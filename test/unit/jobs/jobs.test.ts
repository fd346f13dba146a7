import { describe, expect, it } from 'vitest';

import type { RedisBackend } from '../../../src/backends/types.ts';
import { type ErrorDetails, RedoubtError } from '../../../src/core/errors.ts';
import { type Logger, silentLogger } from '../../../src/observe/log.ts';
import { createJobs } from '../../../src/services/jobs/jobs.ts';
import { LastCounts } from '../../../src/services/jobs/counts.ts';
import { SimulatedClock } from '../../support/clock.ts';
import { modeOf, testConfig } from '../../support/service-rig.ts';

/** Jobs on a Redis whose every call ends with this error. */
function failingJobs(error: unknown, log: Logger = silentLogger) {
  const call = async (): Promise<never> => {
    throw error;
  };
  const redis = { engaged: true, call } as unknown as RedisBackend;
  const jobs = createJobs({ config: testConfig(), redis, log, clock: new SimulatedClock() });
  jobs.applyMode(modeOf('jobs', ['redis', 'reject']));
  return jobs;
}

const replyError = Object.assign(new Error('OOM command not allowed'), { name: 'ReplyError' });
const unavailable = (details: ErrorDetails, cause?: unknown) =>
  new RedoubtError('ERR_REDIS_UNAVAILABLE', details, { cause });

describe('the jobs service', () => {
  it.each([
    ['past the deadline', new RedoubtError('ERR_DEADLINE'), 'ERR_JOB_UNKNOWN'],
    ['when the answer was lost', unavailable({ executed: 'unknown' }), 'ERR_JOB_UNKNOWN'],
    ['when nothing was sent', unavailable({}), 'ERR_JOBS_UNAVAILABLE'],
    ['when Redis refused to write', unavailable({ executed: 'unknown' }, replyError), 'ERR_JOBS_UNAVAILABLE'],
    ['when too many calls wait', new RedoubtError('ERR_BACKPRESSURE'), 'ERR_BACKPRESSURE'],
    ['when the caller’s data was the reason', new TypeError('circular'), 'ERR_JOB_INVALID'],
  ] as const)('says what became of a job %s', async (_when, error, code) => {
    const jobs = failingJobs(error);

    await expect(jobs.queue('q').add('x', {}, { id: 'a' })).rejects.toMatchObject({ code });

    const { unknown, rejected, added } = jobs.report().counters;
    expect([unknown, rejected, added]).toEqual(code === 'ERR_JOB_UNKNOWN' ? [1, 0, 0] : [0, 1, 0]);
  });

  it('answers counts from memory when Redis fails', async () => {
    const counts = await failingJobs(unavailable({})).queue('q').counts();
    expect(counts).toEqual({
      waiting: 0,
      active: 0,
      delayed: 0,
      completed: 0,
      failed: 0,
      stale: true,
      asOf: null,
    });
  });

  it('remembers the counts of a bounded number of queues', () => {
    const clock = new SimulatedClock();
    const counts = new LastCounts(clock);
    for (let n = 0; n <= 1_000; n += 1) counts.fresh(`q${n}`, { waiting: n });
    expect(counts.last('q0')).toMatchObject({ asOf: null });
    expect(counts.last('q1000')).toMatchObject({ waiting: 1_000, stale: true, asOf: clock.wallNow() });
  });

  it('says once which option of BullMQ has no effect', async () => {
    const warnings: string[] = [];
    const jobs = failingJobs(unavailable({}), { ...silentLogger, warn: (_facts, text) => void warnings.push(text) });
    for (let i = 0; i < 2; i += 1) {
      await jobs
        .queue('q')
        .add('x', {}, { id: 'a', attempts: 3 } as object)
        .catch(() => undefined);
    }
    expect(warnings).toEqual([expect.stringContaining('"attempts" has no effect')]);
  });

  it('is used from its first queue on, and takes nothing more after close()', async () => {
    const jobs = failingJobs(unavailable({}));
    expect(jobs.isUsed).toBe(false);
    const queue = jobs.queue('q');
    expect(jobs.isUsed).toBe(true);
    await jobs.close(AbortSignal.timeout(1000));
    await expect(queue.add('x', {})).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await expect(queue.counts()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });

  it('refuses work that cannot be: no concurrency, a queue name with a colon', () => {
    const jobs = failingJobs(unavailable({}));
    expect(() => jobs.work('q', () => undefined, { concurrency: 0 })).toThrow(/concurrency/);
    expect(() => jobs.queue('a:b')).toThrow(/queue name/);
    expect(() => jobs.queue('')).toThrow(/queue name/);
  });
});
