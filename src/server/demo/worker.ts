import { type Clock, sleep } from '../../core/clock.ts';
import type { JobWorker, Jobs } from '../../services/jobs/types.ts';

const JOB_MS = 10;
const CONCURRENCY = 4;

/** Works the queue `demo`: each job takes 10 ms and does nothing. */
export function workDemoQueue(jobs: Jobs, clock: Clock): JobWorker {
  return jobs.work('demo', () => sleep(clock, JOB_MS), { concurrency: CONCURRENCY });
}
