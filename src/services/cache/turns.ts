/** Answers from memory in one turn of the event loop: about ten milliseconds of them. */
const MOST_A_TURN = 1000;

/**
 * Lets the event loop have its turns. Without Redis nothing is waited for, so a loop of awaited calls would go on in
 * one turn until its end: no request served, no probe sent meanwhile.
 */
export class Turns {
  #taken = 0;
  #next: Promise<void> | undefined;

  /** Counts one answer. @returns the next turn, where it is to be waited for */
  take(): Promise<void> | undefined {
    this.#next ??= new Promise((resolve) => setImmediate(() => this.#begin(resolve)));
    this.#taken += 1;
    return this.#taken > MOST_A_TURN ? this.#next : undefined;
  }

  #begin(resolve: () => void): void {
    this.#taken = 0;
    this.#next = undefined;
    resolve();
  }
}
