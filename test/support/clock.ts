import type { Clock, Timer } from '../../src/core/clock.ts';

interface Pending {
  readonly dueMs: number;
  readonly order: number;
  readonly fire: () => void;
}

/** More timers than any honest test has due at one instant; one that re-arms itself with 0 ms runs into it. */
const MAX_AT_ONE_INSTANT = 10_000;

/** Turns of the event loop after each timer: enough for promise chains and for nested `setImmediate`s. */
const TURNS = 4;

/**
 * Time that stands still until a test moves it. Timers fire in the order in which they are due, each at
 * its own instant, and what they set off runs before the next one.
 */
export class SimulatedClock implements Clock {
  readonly #timers = new Map<number, Pending>();
  #nowMs = 0;
  #wallOffsetMs: number;
  #order = 0;

  /** @param wallStartMs - the date at `now() === 0`, in milliseconds since 1970; default 2026-01-01T00:00Z */
  constructor(wallStartMs = Date.UTC(2026, 0, 1)) {
    this.#wallOffsetMs = wallStartMs;
  }

  /** Monotonic milliseconds since this clock was made. */
  now(): number {
    return this.#nowMs;
  }

  /** The date in milliseconds since 1970; moves with `advance` and jumps with `jumpWall` and `setWall`. */
  wallNow(): number {
    return this.#wallOffsetMs + this.#nowMs;
  }

  /** Puts the date forward, or back with a negative `ms`; timers and `now()` do not notice. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  /** Sets the date, in milliseconds since 1970; timers and `now()` do not notice. */
  setWall(ms: number): void {
    this.#wallOffsetMs = ms - this.#nowMs;
  }

  setTimeout(fn: (...args: never[]) => void, ms: number): Timer {
    const order = ++this.#order;
    const dueMs = this.#nowMs + (ms > 0 ? ms : 0);
    this.#timers.set(order, { dueMs, order, fire: () => fn() });
    return order;
  }

  clearTimeout(timer: Timer): void {
    this.#timers.delete(timer as number);
  }

  /** Timers that are set and neither fired nor cleared: 0 at the end of a test shows that none was forgotten. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Milliseconds until the next timer is due; `undefined` where none is set. */
  get nextDueInMs(): number | undefined {
    const next = this.#earliest();
    return next && next.dueMs - this.#nowMs;
  }

  /**
   * Moves time on by `ms` and fires what falls due, timers set on the way included.
   *
   * @throws whatever a timer's callback throws; an Error where timers re-arm themselves without end
   */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await this.settle();
    let atThisInstant = 0;
    for (let next = this.#earliest(); next && next.dueMs <= endMs; next = this.#earliest()) {
      atThisInstant = next.dueMs > this.#nowMs ? 1 : atThisInstant + 1;
      if (atThisInstant > MAX_AT_ONE_INSTANT)
        throw new Error(`timers re-arm themselves without end at ${this.#nowMs} ms`);
      this.#timers.delete(next.order);
      // After an oversleep a timer may lie in the past; time never runs back.
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.fire();
      await this.settle();
    }
    this.#nowMs = endMs;
  }

  /** Jumps straight to the end of `ms` before firing what fell due, as after a blocked loop or a paused process. */
  async oversleep(ms: number): Promise<void> {
    await this.settle();
    this.#nowMs += ms;
    await this.advance(0);
  }

  /** Lets promise jobs and immediates run without moving time. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < TURNS; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  }

  #earliest(): Pending | undefined {
    let first: Pending | undefined;
    // Maps keep the order of insertion, so of two timers due together the one set first wins.
    for (const timer of this.#timers.values()) if (!first || timer.dueMs < first.dueMs) first = timer;
    return first;
  }
}
