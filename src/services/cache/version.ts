import type { Clock } from '../../core/clock.ts';
import { VERSION_LENGTH } from './entry.ts';

const MICROSECONDS_LENGTH = 16;
const INSTANCE_LENGTH = VERSION_LENGTH - MICROSECONDS_LENGTH;

/**
 * Gives out versions: a hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014) as
 * 20 digits that compare as text: microseconds since 1970, then this instance as the tie-break.
 *
 * - Every version is greater than any given out or seen before, whatever clocks do: our own old
 *   write never beats our own newer one.
 * - Physical time is Redis' own, estimated from our monotonic clock and an offset that is measured
 *   at each new connection. So instances agree on it without agreeing on the date, and a jump of
 *   our wall clock changes nothing.
 */
export class VersionClock {
  readonly #clock: Clock;
  readonly #instance: string;
  #offsetMs: number;
  #last = 0;

  /** @param random - uniform in [0, 1); picks this instance's tie-break */
  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#instance = String(Math.floor(random() * 10 ** INSTANCE_LENGTH)).padStart(INSTANCE_LENGTH, '0');
    // Until Redis has told its time, the date of the start has to do.
    this.#offsetMs = clock.wallNow() - clock.now();
  }

  /** Redis' time as far as we can tell: milliseconds since 1970. */
  redisNow(): number {
    return this.#clock.now() + this.#offsetMs;
  }

  next(): string {
    this.#last = Math.max(this.#last + 1, Math.floor(this.redisNow() * 1000));
    return String(this.#last).padStart(MICROSECONDS_LENGTH, '0') + this.#instance;
  }

  /** Makes every further version greater than `version`, which came from Redis. */
  observe(version: string): void {
    const microseconds = Number(version.slice(0, MICROSECONDS_LENGTH));
    if (microseconds > this.#last) this.#last = microseconds;
  }

  /**
   * Takes over Redis' time.
   *
   * @param redisMs - what TIME answered, in milliseconds
   * @param at - our monotonic time at which it was so
   */
  synchronise(redisMs: number, at: number): void {
    this.#offsetMs = redisMs - at;
  }
}
