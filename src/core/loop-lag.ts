import type { Clock, Timer } from './clock.ts';

const TICK_MS = 20;
const KEPT = 64;

/**
 * Knows when this process' own event loop was blocked, or the whole process paused, so that
 * our own sleep is never taken for a slow backend.
 */
export class LoopLag implements Disposable {
  readonly #clock: Clock;
  readonly #blocks: { readonly until: number; readonly lagMs: number }[] = [];
  #expectedAt: number;
  #timer: Timer;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#expectedAt = clock.now() + TICK_MS;
    this.#timer = this.#schedule();
  }

  /** The longest block that reached into the time since `startedAt`, one still going on included. */
  since(startedAt: number): number {
    let longest = this.#clock.now() - this.#expectedAt;
    for (const { until, lagMs } of this.#blocks) {
      if (until >= startedAt) longest = Math.max(longest, lagMs);
    }
    return Math.max(0, longest);
  }

  [Symbol.dispose](): void {
    this.#clock.clearTimeout(this.#timer);
  }

  #schedule(): Timer {
    return this.#clock.setTimeout(() => {
      const lagMs = this.#clock.now() - this.#expectedAt;
      if (lagMs > TICK_MS) {
        this.#blocks.push({ until: this.#clock.now(), lagMs });
        if (this.#blocks.length > KEPT) this.#blocks.shift();
      }
      this.#expectedAt = this.#clock.now() + TICK_MS;
      this.#timer = this.#schedule();
    }, TICK_MS);
  }
}
