export interface Backoff {
  /** Upper bound of the first wait. */
  readonly baseMs: number;
  /** Upper bound of every wait. */
  readonly maxMs: number;
  /** How many waits keep to the first bound before it doubles; default 0. */
  readonly steady?: number;
  /** Least share of its bound that a wait takes (0 to 1); default a tenth, so that a lucky zero is not a tight loop. */
  readonly least?: number;
}

/**
 * The wait before attempt `attempt` (0 is the first retry): full jitter over
 * `[0, min(maxMs, baseMs · 2^(attempt − steady))]`, but at least the share `least` of that bound.
 *
 * Jitter over the whole range, not ±10 %: every instance lost Redis in the same millisecond
 * and must not come back in the same one. Source: "Exponential Backoff And Jitter",
 * AWS Architecture Blog, 2015.
 *
 * @param random - uniform in [0, 1)
 */
export function nextBackoffMs(
  { baseMs, maxMs, steady = 0, least = 0.1 }: Backoff,
  attempt: number,
  random: () => number,
): number {
  // 2^30 ms is twelve days: past that the power only overflows.
  const bound = Math.min(maxMs, baseMs * 2 ** Math.min(Math.max(0, attempt - steady), 30));
  return Math.max(bound * least, bound * random());
}
