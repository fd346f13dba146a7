import { RedoubtError } from '../../core/errors.ts';

/**
 * Refuses queue names that BullMQ cannot build keys from.
 *
 * @throws {RedoubtError} `ERR_JOB_INVALID`
 */
export function assertQueueName(name: string): void {
  if (name === '' || name.includes(':')) invalid('a queue name is a non-empty string without a colon');
}

/**
 * Refuses ids that BullMQ keeps for itself: colons and whole numbers.
 *
 * @throws {RedoubtError} `ERR_JOB_INVALID`
 */
export function assertJobId(id: string): void {
  if (id === '' || id.includes(':') || /^-?\d+$/.test(id)) {
    invalid('a job id is a non-empty string without a colon that is not a whole number');
  }
}

/** @throws {RedoubtError} `ERR_JOB_INVALID` for anything but a finite number of milliseconds, 0 or more */
export function assertDelay(delayMs: number): void {
  if (!(Number.isFinite(delayMs) && delayMs >= 0)) invalid('delayMs is 0 or more milliseconds');
}

/** @throws {RedoubtError} `ERR_JOB_INVALID` for anything but a whole number, 1 or more */
export function assertConcurrency(concurrency: number): void {
  if (!(Number.isInteger(concurrency) && concurrency >= 1)) invalid('concurrency is a whole number, 1 or more');
}

function invalid(message: string): never {
  throw new RedoubtError('ERR_JOB_INVALID', { message });
}
