import type { Clock } from '../../core/clock.ts';
import type { JobCounts } from './types.ts';

/** Queues whose counts are remembered; names may come from requests, so there is a bound. */
const MAX_QUEUES = 1_000;

/** The counts last seen of each queue, for the time when Redis cannot be asked. */
export class LastCounts {
  readonly #clock: Clock;
  readonly #seen = new Map<string, JobCounts>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Remembers what Redis has just said. */
  fresh(queue: string, counts: Readonly<Record<string, number>>): JobCounts {
    const { waiting = 0, active = 0, delayed = 0, completed = 0, failed = 0 } = counts;
    const seen = { waiting, active, delayed, completed, failed, stale: false, asOf: this.#clock.wallNow() };
    this.#seen.delete(queue);
    this.#seen.set(queue, seen);
    if (this.#seen.size > MAX_QUEUES) {
      for (const oldest of this.#seen.keys()) {
        this.#seen.delete(oldest);
        break;
      }
    }
    return seen;
  }

  /** What was seen last, marked stale; zeros as of never where nothing was. */
  last(queue: string): JobCounts {
    const none = { waiting: 0, active: 0, delayed: 0, completed: 0, failed: 0, asOf: null };
    return { ...none, ...this.#seen.get(queue), stale: true };
  }
}
