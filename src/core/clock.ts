/** Opaque handle of a timer; only the clock that made it can clear it. */
export type Timer = unknown;

/**
 * Where all time comes from. Its shape contains XState's `Clock`, so that one simulated clock
 * drives machines, detector and services alike.
 */
export interface Clock {
  /** Monotonic milliseconds; never jumps, says nothing about the date. */
  now(): number;
  /** Milliseconds since 1970; for display and for expiry dates only, since it can jump. */
  wallNow(): number;
  setTimeout(fn: (...args: never[]) => void, ms: number): Timer;
  clearTimeout(timer: Timer): void;
}

const MAX_TIMER_MS = 2 ** 31 - 1;

/** The process' own clock. Its timers keep the process alive until cleared. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  // Node fires a longer timer at once; 24 days on, whoever set it looks at the clock again.
  setTimeout: (fn, ms) => setTimeout(fn, Math.min(ms, MAX_TIMER_MS)),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
};

/** Resolves after `ms`, or at once when `signal` is aborted: callers look at the signal, nothing throws. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clock.clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}
