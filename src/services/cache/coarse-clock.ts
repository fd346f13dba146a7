import type { Clock } from '../../core/clock.ts';

/** Looks at most that often on the clock that is there already. */
const USES = 64;

/**
 * The time as of this callback of the event loop, or a few dozen looks ago: asking the clock is half of what a hit costs.
 *
 * Good enough for a lease too. A process that is paused in the middle of a callback and then goes on with the time
 * from before answers what held when the callback began; of what happened meanwhile it cannot have heard yet, and
 * neither can whoever it works for.
 */
export class CoarseClock {
  readonly #clock: Clock;
  #time = 0;
  #left = 0;
  #waiting = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    if (this.#left === 0) this.#look();
    this.#left -= 1;
    return this.#time;
  }

  #look(): void {
    this.#time = this.#clock.now();
    this.#left = USES;
    if (this.#waiting) return;
    this.#waiting = true;
    // After this callback and all its microtasks, before the next one.
    process.nextTick(() => {
      this.#waiting = false;
      this.#left = 0;
    });
  }
}
