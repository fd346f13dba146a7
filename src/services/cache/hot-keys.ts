/** Keys that are counted at once. */
const MAX_KEYS = 64;
/** After so many samples all counts are halved, so that what was hot yesterday is not hot today. */
const HALVE_AFTER = 4096;

/** One hit in so many is looked at; a power of two. */
export const SAMPLE_EVERY = 64;

/**
 * Which keys are read most, from a sample, in bounded memory: a new key takes the place of the least counted one and
 * its count ("Space-Saving", Metwally et al., 2005).
 */
export class HotKeys {
  readonly #counts = new Map<string, number>();
  #total = 0;

  add(key: string): void {
    this.#total += 1;
    const known = this.#counts.get(key);
    if (known !== undefined) this.#counts.set(key, known + 1);
    else if (this.#counts.size < MAX_KEYS) this.#counts.set(key, 1);
    else this.#replaceLeast(key);
    if (this.#total >= HALVE_AFTER) this.#halve();
  }

  /** The share of the hottest key, in percent. Keys themselves may be somebody's secret and are not shown. */
  get sharePercent(): number {
    return this.#total === 0 ? 0 : Math.round((100 * Math.max(...this.#counts.values())) / this.#total);
  }

  #replaceLeast(key: string): void {
    let least: [string, number] = ['', Number.POSITIVE_INFINITY];
    for (const entry of this.#counts) if (entry[1] < least[1]) least = entry;
    this.#counts.delete(least[0]);
    this.#counts.set(key, least[1] + 1);
  }

  #halve(): void {
    this.#total /= 2;
    for (const [key, count] of this.#counts) this.#counts.set(key, count / 2);
  }
}
