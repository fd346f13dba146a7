import type { Clock, Timer } from '../../core/clock.ts';

/** Own writes of one moment are looked after together: hardly anybody reads in between what only this catches. */
const DELAY_MS = 5;
const MAX_KEYS = 256;

export interface VerifierOptions {
  readonly clock: Clock;
  /** The versions that Redis has, empty for none. */
  readonly versionsOf: (keys: readonly string[]) => Promise<string[]>;
  /** Called with Redis' version of a key, `undefined` where it could not be asked. */
  readonly onVersion: (key: string, version: string | undefined) => void;
}

/**
 * Looks after keys that this instance wrote and that Redis then reported as changed, in a turn of its event loop in
 * which others wrote as well: a report names each key once, so it may be about that very write, or about another's
 * after it. Memory keeps what was written, and the version in Redis says soon afterwards whether it is still that.
 */
export class Verifier {
  readonly #options: VerifierOptions;
  readonly #keys = new Set<string>();
  #timer: Timer;
  #waiting = false;

  constructor(options: VerifierOptions) {
    this.#options = options;
  }

  add(key: string): void {
    this.#keys.add(key);
    if (this.#waiting) return;
    this.#waiting = true;
    this.#timer = this.#options.clock.setTimeout(() => this.#run(), DELAY_MS);
  }

  close(): void {
    this.#options.clock.clearTimeout(this.#timer);
    this.#keys.clear();
  }

  #run(): void {
    this.#waiting = false;
    const keys = [...this.#keys];
    this.#keys.clear();
    for (let at = 0; at < keys.length; at += MAX_KEYS) void this.#ask(keys.slice(at, at + MAX_KEYS));
  }

  async #ask(keys: readonly string[]): Promise<void> {
    const { versionsOf, onVersion } = this.#options;
    const versions = await versionsOf(keys).catch(() => []);
    for (const [index, key] of keys.entries()) onVersion(key, versions[index]);
  }
}
