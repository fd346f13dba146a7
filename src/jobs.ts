/**
 * `redoubt-runtime/jobs`: what code needs that adds or works jobs, and the errors that `add` rejects with.
 *
 * @module
 */
export { type ErrorCode, RedoubtError, isRedoubtError } from './core/errors.ts';
export type {
  AddedJob,
  AddJobOptions,
  Job,
  JobCounts,
  JobQueue,
  Jobs,
  JobWorker,
  WorkOptions,
} from './services/jobs/types.ts';
