/** How long a machine that trips often is kept from recovering. All in milliseconds. */
export interface HoldDownPolicy {
  /** Least stay after the first trip. */
  readonly dwellMs: number;
  /** Least stay after the second trip in short order; doubles with each further one. */
  readonly baseMs: number;
  readonly maxMs: number;
  /** Time in which half of the penalty is forgiven. */
  readonly halfLifeMs: number;
}

/** The penalty so far: about the number of recent trips, decaying. */
export interface HoldDown {
  readonly penalty: number;
  /** Monotonic milliseconds of the last trip. */
  readonly trippedAt: number;
}

export const NO_HOLD_DOWN: HoldDown = { penalty: 0, trippedAt: Number.NEGATIVE_INFINITY };

/** Penalty at which it is called flapping: a third trip before the first two are forgiven. */
const FLAPPING_PENALTY = 2.2;

/**
 * Adds a trip. Penalty with exponential decay, after BGP's route flap damping (RFC 2439): a trip
 * adds one, half of the sum is forgiven each half-life.
 */
export function nextHoldDown(holdDown: HoldDown, policy: HoldDownPolicy, now: number): HoldDown {
  return { penalty: penaltyAt(holdDown, policy, now) + 1, trippedAt: now };
}

/** Milliseconds from `now` until a recovery may begin; 0 when it may. */
export function holdDownLeftMs(holdDown: HoldDown, policy: HoldDownPolicy, now: number): number {
  const { penalty, trippedAt } = holdDown;
  if (penalty === 0) return 0;
  const heldMs = penalty > 1.5 ? Math.min(policy.maxMs, policy.baseMs * 2 ** (penalty - 2)) : 0;
  return Math.max(0, trippedAt + Math.max(policy.dwellMs, heldMs) - now);
}

/** Whether trips came so often that the hold-down, not the backend, sets the pace. */
export function isFlapping(holdDown: HoldDown, policy: HoldDownPolicy, now: number): boolean {
  return penaltyAt(holdDown, policy, now) >= FLAPPING_PENALTY;
}

function penaltyAt({ penalty, trippedAt }: HoldDown, { halfLifeMs }: HoldDownPolicy, now: number): number {
  return penalty === 0 ? 0 : penalty * 0.5 ** ((now - trippedAt) / halfLifeMs);
}
