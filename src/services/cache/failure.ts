import { isRedoubtError } from '../../core/errors.ts';

/** Redis refuses writes and still answers: nobody waits for it in vain. */
const WRITES_REFUSED: ReadonlySet<unknown> = new Set(['OOM', 'READONLY', 'MISCONF', 'NOREPLICAS', 'NOPERM']);

/** Whether Redis did not answer at all. A late answer of our own blocked loop, a full ramp or a refusal is none of that. */
export function isSilence(error: unknown): boolean {
  if (isRedoubtError(error, 'ERR_DEADLINE')) return error.details['late'] !== true;
  return (
    isRedoubtError(error, 'ERR_REDIS_UNAVAILABLE') &&
    error.details['reason'] !== 'EPOCH_MOVING' &&
    !WRITES_REFUSED.has(error.details['reason'])
  );
}
