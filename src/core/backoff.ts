export interface Backoff {
  /** Upper bound of the first wait. */
  readonly baseMs: number;
  /** Upper bound of every wait. */
  readonly maxMs: number;
  /** How many waits keep to the first bound, and to its upper quarter, before the bound doubles; default 0. */
  readonly steady?: number;
}

/**
 * The wait before attempt `attempt` (0 is the first retry): full jitter over
 * `[0, min(maxMs, baseMs · 2^(attempt − steady))]`, never below a tenth of that bound so that a
 * lucky zero is not a tight loop. Steady waits take the upper quarter of their bound: whoever comes
 * back is noticed as soon, with half as many attempts.
 *
 * Jitter over the whole range, not ±10 %: every instance lost Redis in the same millisecond
 * and must not come back in the same one. Source: "Exponential Backoff And Jitter",
 * AWS Architecture Blog, 2015.
 *
 * @param random - uniform in [0, 1)
 */
export function nextBackoffMs(backoff: Backoff, attempt: number, random: () => number): number {
  const { baseMs, maxMs, steady = 0 } = backoff;
  if (attempt < steady) return Math.min(maxMs, baseMs) * (0.75 + 0.25 * random());
  // 2^30 ms is twelve days: past that the power only overflows.
  const bound = Math.min(maxMs, baseMs * 2 ** Math.min(attempt - steady, 30));
  return Math.max(bound * 0.1, bound * random());
}
