export interface Backoff {
  /** Upper bound of the first wait. */
  readonly baseMs: number;
  /** Upper bound of every wait. */
  readonly maxMs: number;
}

/**
 * The wait before attempt `attempt` (0 is the first retry): full jitter over
 * `[0, min(maxMs, baseMs · 2^attempt)]`, never below a tenth of that bound so that a lucky
 * zero is not a tight loop.
 *
 * Jitter over the whole range, not ±10 %: every instance lost Redis in the same millisecond
 * and must not come back in the same one. Source: "Exponential Backoff And Jitter",
 * AWS Architecture Blog, 2015.
 *
 * @param random - uniform in [0, 1)
 */
export function nextBackoffMs(backoff: Backoff, attempt: number, random: () => number): number {
  // 2^30 ms is twelve days: past that the power only overflows.
  const bound = Math.min(backoff.maxMs, backoff.baseMs * 2 ** Math.min(attempt, 30));
  return Math.max(bound * 0.1, bound * random());
}
