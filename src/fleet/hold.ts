/** What our clock may run slower than PostgreSQL's. */
export const CLOCK_SHARE = 0.9;

/** The bounds of the hold of an epoch, on the monotonic clock: what one instance knows of what PostgreSQL's clock says. */
export interface Hold {
  /** Until then nobody believes the epoch, whatever instance it is. */
  readonly surelyUntil: number;
  /** From then on no statement from before the epoch is left, and Redis may be filled under it. */
  readonly fillFrom: number;
  /** From then on this instance may believe it. */
  readonly trustFrom: number;
}

/** The epoch may be believed. */
export const NO_HOLD: Hold = { surelyUntil: 0, fillFrom: 0, trustFrom: 0 };

/** An epoch of which no heartbeat has told yet. */
export const UNKNOWN_HOLD: Hold = {
  surelyUntil: 0,
  fillFrom: Number.POSITIVE_INFINITY,
  trustFrom: Number.POSITIVE_INFINITY,
};

/**
 * The bounds of a hold of `lease` + `postgres.deadline` of which PostgreSQL told, at some time between `sentAt` and
 * `now`, that `leftMs` are left.
 */
export function holdOf(leftMs: number, sentAt: number, now: number, leaseMs: number): Hold {
  if (leftMs <= 0) return NO_HOLD;
  const trustFrom = now + leftMs;
  // Its last lease is for those who believe the epoch before; by then no statement from before it is left.
  return { trustFrom, fillFrom: trustFrom - leaseMs / 2, surelyUntil: sentAt + leftMs * CLOCK_SHARE };
}
