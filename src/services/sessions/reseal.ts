import type { Clock, Timer } from '../../core/clock.ts';

/** By then the request that noticed has written the session itself, under the first secret, or will not. */
const DELAY_MS = 1000;
const PARALLEL = 4;

export interface ResealerOptions {
  readonly clock: Clock;
  /** Most sessions that wait; a further one is noted again at its next read. */
  readonly max: number;
  /** Whether what acknowledges writes is in use; while it is not, nothing is sealed anew. */
  readonly isReady: () => boolean;
}

interface Noted {
  readonly work: () => Promise<void>;
  readonly dueAt: number;
}

/**
 * Seals sessions anew that were sealed under a secret which is no longer the first: after the request that read one,
 * so that it neither waits nor meets the write.
 */
export class Resealer {
  readonly #options: ResealerOptions;
  /** In the order in which they are due. */
  readonly #noted = new Map<string, Noted>();
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: ResealerOptions) {
    this.#options = options;
  }

  /** Runs `work` in a while; an id that waits already is left as it is. */
  note(sid: string, work: () => Promise<void>): void {
    const { clock, max, isReady } = this.#options;
    if (this.#stopped || this.#noted.has(sid) || this.#noted.size >= max || !isReady()) return;
    this.#noted.set(sid, { work, dueAt: clock.now() + DELAY_MS });
    this.#timer ??= clock.setTimeout(() => void this.#run(), DELAY_MS);
  }

  /** Forgets what waits; the next process reads it again. */
  stop(): void {
    this.#stopped = true;
    this.#noted.clear();
    this.#options.clock.clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    const { clock, isReady } = this.#options;
    const worker = async (): Promise<void> => {
      for (let next = this.#nextDue(); next && isReady(); next = this.#nextDue()) {
        // Left under its old secret, it is noted again at its next read.
        await next().catch(() => undefined);
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
    this.#timer = undefined;
    const [first] = this.#noted.values();
    if (first) this.#timer = clock.setTimeout(() => void this.#run(), Math.max(0, first.dueAt - clock.now()));
  }

  #nextDue(): (() => Promise<void>) | undefined {
    const [first] = this.#noted;
    if (first === undefined || first[1].dueAt > this.#options.clock.now()) return undefined;
    this.#noted.delete(first[0]);
    return first[1].work;
  }
}
