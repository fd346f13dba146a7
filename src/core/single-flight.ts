/**
 * Many callers, one fetch: while a call for `key` is in flight, later callers get its promise.
 * The flight is forgotten as soon as it settles, so a failure is never remembered.
 */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Promise<T>>();

  /** How many keys are in flight now. */
  get size(): number {
    return this.#flights.size;
  }

  /** Joins the flight of `key`, or starts one with `fetch`. */
  run(key: string, fetch: () => Promise<T>): Promise<T> {
    const known = this.#flights.get(key);
    if (known) return known;
    // The wrapper turns a synchronous throw into a rejection, and the flight is stored before it runs on.
    const flight = (async () => fetch())().finally(() => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    });
    this.#flights.set(key, flight);
    return flight;
  }
}
