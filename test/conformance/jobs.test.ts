import { setTimeout as delay } from 'node:timers/promises';

import { Queue } from 'bullmq';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { systemClock } from '../../src/core/clock.ts';
import { isRedoubtError } from '../../src/core/errors.ts';
import { silentLogger } from '../../src/observe/log.ts';
import { createJobs } from '../../src/services/jobs/jobs.ts';
import type { Job } from '../../src/services/jobs/types.ts';
import { eventually } from '../support/eventually.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';
import { degrade, modeOf, recover, testBackend, testConfig } from '../support/service-rig.ts';

const DEADLINE_MS = 300;

let redis: TestRedis;
let names = 0;
const open: (() => unknown)[] = [];
const unhandled: unknown[] = [];
const onUnhandled = (error: unknown) => unhandled.push(error);

beforeAll(async () => {
  process.on('unhandledRejection', onUnhandled);
  redis = await startRedis();
});
afterEach(async () => {
  redis.thaw();
  if (!redis.running) await redis.restart();
  for (const close of open.splice(0).toReversed()) await close();
});
afterAll(async () => {
  process.off('unhandledRejection', onUnhandled);
  await redis[Symbol.asyncDispose]();
});

async function startJobs(mode: 'redis' | 'reject') {
  const config = testConfig({
    redis: { url: redis.url },
    jobs: { deadline: `${DEADLINE_MS}ms`, drainTimeout: '500ms' },
  });
  const backend = testBackend(config);
  const jobs = createJobs({ config, redis: backend, log: silentLogger, clock: systemClock });
  open.push(
    () => backend.close(),
    () => jobs.close(AbortSignal.timeout(5_000)),
  );
  jobs.applyMode(modeOf('jobs', ['reject']));
  const toRedis = () => recover(backend, jobs, ['redis', 'reject']);
  const toReject = () => degrade(backend, jobs, ['reject']);
  if (mode === 'redis') await toRedis();
  const name = `q${(names += 1)}`;
  return { jobs, backend, queue: jobs.queue(name), name, toRedis, toReject };
}

/** What `promise` rejects with; it must reject. */
async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('did not reject');
}

describe('jobs in mode redis', () => {
  it('adds a job under an id of its own and works it once', async () => {
    const { jobs, queue, name } = await startJobs('redis');
    const worked: Job[] = [];
    jobs.work(name, (job) => void worked.push(job));

    const added = await queue.add('greet', { to: 'you' });

    expect(added).toEqual({ id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string, backend: 'redis' });
    await eventually(() => worked.length > 0);
    expect(worked).toEqual([{ id: added.id, name: 'greet', data: { to: 'you' }, attempt: 1 }]);
    await eventually(async () => expect(await queue.counts()).toMatchObject({ completed: 1, active: 0 }));
  });

  it('keeps one of two jobs with the same id', async () => {
    const { queue } = await startJobs('redis');
    await queue.add('first', 1, { id: 'same' });
    await expect(queue.add('second', 2, { id: 'same' })).resolves.toEqual({ id: 'same', backend: 'redis' });
    expect(await queue.counts()).toMatchObject({ waiting: 1, stale: false });
  });

  it('holds a job back until its delay is over, to a fraction of a second', async () => {
    const { jobs, queue, name } = await startJobs('redis');
    let workedAt = 0;
    jobs.work(name, () => void (workedAt = performance.now()));
    const addedAt = performance.now();

    await queue.add('later', {}, { delayMs: 300 });

    expect(await queue.counts()).toMatchObject({ delayed: 1 });
    await eventually(() => workedAt > 0);
    // Redis and this process round to milliseconds, each its own way.
    expect(workedAt - addedAt).toBeGreaterThanOrEqual(295);
    expect(workedAt - addedAt).toBeLessThan(900);
  });

  it('fails a job whose handler throws anything at all, and goes on', async () => {
    const { jobs, queue, name } = await startJobs('redis');
    jobs.work(name, ({ name: kind }) => {
      if (kind === 'error') throw new Error('as told');
      if (kind === 'nothing') throw undefined;
    });

    for (const kind of ['error', 'nothing', 'fine']) await queue.add(kind, {});

    await eventually(async () => expect(await queue.counts()).toMatchObject({ failed: 2, completed: 1, active: 0 }));
    expect(jobs.report().counters).toMatchObject({ added: 3, completed: 1, failed: 2, running: 0 });
  });

  it('runs as many at once as concurrency says', async () => {
    const { jobs, queue, name } = await startJobs('redis');
    let [now, most] = [0, 0];
    const handler = async () => {
      most = Math.max(most, (now += 1));
      await delay(20);
      now -= 1;
    };
    jobs.work(name, handler, { concurrency: 3 });

    await Promise.all(Array.from({ length: 12 }, () => queue.add('one', {})));

    await eventually(async () => expect(await queue.counts()).toMatchObject({ completed: 12 }));
    expect(most).toBe(3);
  });

  it('waits for running jobs when a worker is closed, and takes no more', async () => {
    const { jobs, queue, name } = await startJobs('redis');
    const worked: string[] = [];
    const worker = jobs.work(name, async (job) => {
      await delay(100);
      worked.push(job.name);
    });
    await queue.add('running', {});
    await eventually(() => jobs.report().counters['running'] === 1);

    await worker.close();
    await queue.add('too late', {});

    expect(worked).toEqual(['running']);
    expect(await queue.counts()).toMatchObject({ completed: 1, waiting: 1, active: 0 });
  });

  it('gives up on a job that outlives the time to drain', async () => {
    const { jobs, queue, name } = await startJobs('redis');
    const worker = jobs.work(name, () => delay(2_000, undefined, { ref: false }));
    await queue.add('endless', {});
    await eventually(() => jobs.report().counters['running'] === 1);
    const startedAt = performance.now();

    await worker.close();

    expect(performance.now() - startedAt).toBeLessThan(1_500);
  });

  it('works beside a stock BullMQ queue', async () => {
    const { jobs, name } = await startJobs('redis');
    const worked: unknown[] = [];
    jobs.work(name, ({ data }) => void worked.push(data));
    const stock = new Queue(name, { connection: { port: redis.port } });
    open.push(() => stock.close());

    await stock.add('stock', { from: 'stock' });

    await eventually(() => expect(worked).toEqual([{ from: 'stock' }]));
  });

  it.each([
    ['a queue name with a colon', (jobs: Awaited<ReturnType<typeof startJobs>>) => jobs.jobs.queue('a:b').counts()],
    ['a numeric id', ({ queue }: Awaited<ReturnType<typeof startJobs>>) => queue.add('x', {}, { id: '12' })],
    ['a negative delay', ({ queue }: Awaited<ReturnType<typeof startJobs>>) => queue.add('x', {}, { delayMs: -1 })],
    ['data that JSON cannot carry', ({ queue }: Awaited<ReturnType<typeof startJobs>>) => queue.add('x', { n: 1n })],
  ] as const)('refuses %s as the caller’s mistake', async (_what, misuse) => {
    const rig = await startJobs('redis');
    expect(await rejection((async () => misuse(rig))())).toMatchObject({ code: 'ERR_JOB_INVALID', status: 400 });
  });
});

describe('jobs in mode reject: job queue fallback', () => {
  it('job queue fallback refuses at once, with the reason and when to come back', async () => {
    const { queue, jobs } = await startJobs('reject');
    const startedAt = performance.now();

    const error = await rejection(queue.add('x', {}));

    expect(performance.now() - startedAt).toBeLessThan(100);
    expect(error).toMatchObject({ code: 'ERR_JOBS_UNAVAILABLE', details: { reason: 'TEST' } });
    expect(isRedoubtError(error) && error.headers['Retry-After']).toBe('1');
    expect(jobs.report()).toMatchObject({ backend: 'reject', preferred: 'redis', counters: { rejected: 1 } });
    expect(jobs.report().notice).toMatch(/refused until Redis is back/);
  });

  it('job queue fallback answers counts that say how old they are, never an error', async () => {
    const { queue, toRedis, toReject } = await startJobs('reject');
    expect(await queue.counts()).toMatchObject({ waiting: 0, stale: true, asOf: null });
    await toRedis();
    await queue.add('x', {});
    const live = await queue.counts();
    toReject();

    expect(await queue.counts()).toEqual({ ...live, stale: true });
    expect(live.asOf).toBeGreaterThan(0);
  });

  it('job queue fallback: workers go on by themselves, with what was added before and after', async () => {
    const { jobs, queue, name, toRedis, toReject } = await startJobs('reject');
    const worked: unknown[] = [];
    jobs.work(name, ({ data }) => void worked.push(data));
    for (const n of [1, 2, 3]) {
      await toRedis();
      await queue.add('x', n);
      await eventually(() => expect(worked.at(-1)).toBe(n));
      toReject();
    }
    expect(worked).toEqual([1, 2, 3]);
  });

  it('job queue fallback: workers follow the mode where Redis stays connected', async () => {
    const { jobs, queue, name } = await startJobs('redis');
    const worked: unknown[] = [];
    jobs.work(name, ({ data }) => void worked.push(data));
    await queue.add('x', 1);
    await eventually(() => expect(worked).toEqual([1]));
    const stock = new Queue(name, { connection: { port: redis.port } });
    open.push(() => stock.close());

    jobs.applyMode(modeOf('jobs', ['reject']));
    await stock.add('x', 2);
    await delay(100);
    expect(worked).toEqual([1]);
    jobs.applyMode(modeOf('jobs', ['redis', 'reject']));

    await eventually(() => expect(worked).toEqual([1, 2]), { withinMs: 2_000 });
  });

  it('job queue fallback: a job that runs while Redis is away runs once and is reported afterwards', async () => {
    const { jobs, queue, name, toRedis, toReject } = await startJobs('redis');
    let runs = 0;
    let finish: (() => void) | undefined;
    jobs.work(name, () => {
      runs += 1;
      return new Promise<void>((resolve) => (finish = resolve));
    });
    for (const when of ['while away', 'after the return'] as const) {
      await queue.add(when, {});
      await eventually(() => jobs.report().counters['running'] === 1);
      toReject();
      if (when === 'while away') finish?.();
      await toRedis();
      await delay(50);
      finish?.();
      await eventually(async () => expect((await queue.counts()).active).toBe(0));
    }

    expect(runs).toBe(2);
    expect(await queue.counts()).toMatchObject({ completed: 2, failed: 0, waiting: 0 });
  });

  it('job queue fallback: add ends by its deadline while Redis is frozen, as unknown, and nothing runs twice', async () => {
    const { jobs, queue, name } = await startJobs('redis');
    await queue.add('warm up', {});
    redis.freeze();
    const startedAt = performance.now();

    const error = await rejection(queue.add('x', {}, { id: 'frozen' }));

    expect(performance.now() - startedAt).toBeLessThan(DEADLINE_MS + 300);
    expect(error).toMatchObject({ code: 'ERR_JOB_UNKNOWN', details: { id: 'frozen' } });
    expect((await queue.counts()).stale).toBe(true);
    redis.thaw();
    await queue.add('x', {}, { id: 'frozen' });
    const worked: string[] = [];
    jobs.work(name, ({ id }) => void worked.push(id));
    await eventually(async () => expect(await queue.counts()).toMatchObject({ completed: 2, waiting: 0 }));
    expect(worked.filter((id) => id === 'frozen')).toHaveLength(1);
  });

  it('job queue fallback: a killed Redis ends calls under way and leaves nothing hanging', async () => {
    const { jobs, queue, name, toRedis, toReject } = await startJobs('redis');
    const worked: string[] = [];
    jobs.work(name, (job) => void worked.push(job.name));
    await queue.add('before', {});
    await eventually(() => worked.length === 1);
    redis.freeze();
    const hanging = rejection(queue.add('during', {}));
    await redis.kill();

    expect(await hanging).toMatchObject({ code: 'ERR_JOB_UNKNOWN' });
    toReject();
    await redis.restart();
    await toRedis();
    await queue.add('after', {});
    await eventually(() => expect(worked).toEqual(['before', 'after']));
  });

  it.each(['frozen', 'gone'] as const)(
    'job queue fallback: closing does not wait for a Redis that is %s',
    async (how) => {
      const { jobs, queue, name } = await startJobs('redis');
      jobs.work(name, () => undefined);
      await queue.add('x', {});
      await eventually(async () => expect(await queue.counts()).toMatchObject({ completed: 1 }));
      if (how === 'frozen') redis.freeze();
      else await redis.kill();
      const startedAt = performance.now();

      await jobs.close(AbortSignal.timeout(5_000));

      expect(performance.now() - startedAt).toBeLessThan(1_500);
      expect(await rejection(queue.add('x', {}))).toMatchObject({ code: 'ERR_CLOSED' });
    },
  );

  it('job queue fallback left no promise rejected without anybody to handle it', () => {
    expect(unhandled).toEqual([]);
  });
});
