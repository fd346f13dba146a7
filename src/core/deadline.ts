import type { Clock } from './clock.ts';
import { RedoubtError } from './errors.ts';

export interface DeadlineOptions {
  readonly clock: Clock;
  /** Rejects at once with the signal's reason when aborted. */
  readonly signal?: AbortSignal | undefined;
  /** Named in the error's details. */
  readonly operation?: string;
}

/** A timer that fires this late gives the poll phase a chance first. */
const YIELD_MS = 5;

/** A timer that fires this late says that our own event loop was blocked, not that the peer was slow. */
export const LATE_TIMER_MS = 50;

/**
 * Waits for `work` no longer than `ms`; the caller is always answered, whatever the driver does.
 *
 * A timer that fires late means that this process was blocked or paused: the answer may already
 * lie in the socket, and the poll phase that would read it comes after the timers. So a late
 * deadline yields twice to that phase before it gives up.
 *
 * `work` is not cancelled. Its late result is ignored, and its late rejection never goes unhandled.
 *
 * @throws {RedoubtError} `ERR_DEADLINE` with `{ deadlineMs, late }`; `late` marks our own blocked loop
 */
export function withDeadline<T>(work: Promise<T>, ms: number, options: DeadlineOptions): Promise<T> {
  const { clock, signal, operation } = options;
  return new Promise<T>((resolve, reject) => {
    const due = clock.now() + ms;
    let settled = false;
    const settle = (finish: () => void): void => {
      if (settled) return;
      settled = true;
      clock.clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      finish();
    };
    const onAbort = (): void => settle(() => reject(signal?.reason as Error));
    const expire = (late: boolean): void =>
      settle(() => reject(new RedoubtError('ERR_DEADLINE', { operation, deadlineMs: ms, late })));
    const timer = clock.setTimeout(() => {
      const lateMs = clock.now() - due;
      if (lateMs < YIELD_MS) return expire(false);
      setImmediate(() => setImmediate(() => expire(lateMs >= LATE_TIMER_MS)));
    }, ms);
    // A call is awaited: the process must not end before its answer.
    clock.keepAlive?.(timer);
    work.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error as Error)),
    );
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
}
