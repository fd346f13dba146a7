import type { Clock } from '../core/clock.ts';

/** How the bound on calls in flight grows after a recovery. */
export interface RampPolicy {
  readonly start: number;
  /** The bound doubles in this time. */
  readonly stepMs: number;
  readonly maxInFlight: number;
}

/**
 * The gate before Redis: bounds the calls in flight, narrowly at first after a recovery and then
 * twice as wide at each step, so that a Redis that has just come back is not trampled.
 */
export class Ramp {
  readonly #policy: RampPolicy;
  readonly #clock: Clock;
  #openedAt = Number.NEGATIVE_INFINITY;
  #inFlight = 0;

  constructor(policy: RampPolicy, clock: Clock) {
    this.#policy = policy;
    this.#clock = clock;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** The bound now. */
  get bound(): number {
    const { start, stepMs, maxInFlight } = this.#policy;
    const steps = Math.min(40, (this.#clock.now() - this.#openedAt) / stepMs);
    return Math.min(maxInFlight, Math.floor(start * 2 ** steps));
  }

  /** Starts narrow again. */
  restart(): void {
    this.#openedAt = this.#clock.now();
  }

  /** Takes a place; `false` when none is free. Whoever got one gives it back with `leave`. */
  enter(): boolean {
    if (this.#inFlight >= this.bound) return false;
    this.#inFlight += 1;
    return true;
  }

  leave(): void {
    this.#inFlight -= 1;
  }
}
