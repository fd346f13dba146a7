/**
 * Says whether what was begun for a key is still wanted when it ends: a token holds until a later
 * one is begun for the key, or the key is dropped. Bounded by what is in flight, as each token is ended.
 */
export class InFlight {
  readonly #tokens = new Map<string, number>();
  #last = 0;

  begin(key: string): number {
    this.#last += 1;
    this.#tokens.set(key, this.#last);
    return this.#last;
  }

  /** The token that holds for the key, or a new one. */
  join(key: string): number {
    return this.#tokens.get(key) ?? this.begin(key);
  }

  holds(key: string, token: number): boolean {
    return this.#tokens.get(key) === token;
  }

  end(key: string, token: number): void {
    if (this.holds(key, token)) this.#tokens.delete(key);
  }

  drop(key: string): void {
    this.#tokens.delete(key);
  }

  dropAll(): void {
    this.#tokens.clear();
  }
}
