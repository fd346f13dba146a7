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
  /** For work in the background: a process whose own work is done ends without waiting for it. */
  setTimeout(fn: (...args: never[]) => void, ms: number): Timer;
  clearTimeout(timer: Timer): void;
  /** Lets the process live until the timer fires or is cleared: somebody awaits what it ends. */
  keepAlive?(timer: Timer): void;
}

const MAX_TIMER_MS = 2 ** 31 - 1;

/** The process' own clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  // Node fires a longer timer at once; 24 days on, whoever set it looks at the clock again.
  setTimeout: (fn, ms) => setTimeout(fn, Math.min(ms, MAX_TIMER_MS)).unref(),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
  keepAlive: (timer) => void (timer as NodeJS.Timeout).ref(),
};

/**
 * Resolves after `ms`, or at once when `signal` is aborted: callers look at the signal, nothing throws. The process
 * lives at least so long: somebody awaits it.
 */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return pause(clock, ms, signal, true);
}

/** The same in the background, where nobody awaits it. */
export function sleepInBackground(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return pause(clock, ms, signal, false);
}

function pause(clock: Clock, ms: number, signal: AbortSignal | undefined, isAwaited: boolean): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clock.clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.setTimeout(done, ms);
    if (isAwaited) clock.keepAlive?.(timer);
    signal?.addEventListener('abort', done, { once: true });
  });
}
