import type { Clock, Timer } from '../../core/clock.ts';
import type { PostgresTier } from './postgres-tier.ts';

export interface PruneOptions {
  readonly postgres: PostgresTier;
  readonly isUsable: () => boolean;
  readonly everyMs: number;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Deletes expired rows now and then, by a timer of its own. */
export class Pruner {
  readonly #options: PruneOptions;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: PruneOptions) {
    this.#options = options;
  }

  /** Begins the rounds; again is harmless. */
  schedule(): void {
    const { clock, everyMs, random } = this.#options;
    if (this.#timer !== undefined || this.#stopped) return;
    // Half to one and a half of it, so that instances that started together do not prune together.
    this.#timer = clock.setTimeout(() => void this.#prune(), everyMs * (0.5 + random()));
  }

  stop(): void {
    this.#stopped = true;
    this.#options.clock.clearTimeout(this.#timer);
  }

  async #prune(): Promise<void> {
    const { postgres, isUsable } = this.#options;
    // A failure has been told to the detector, and the next round deletes the same rows.
    if (isUsable()) await postgres.prune().catch(() => undefined);
    this.#timer = undefined;
    this.schedule();
  }
}
