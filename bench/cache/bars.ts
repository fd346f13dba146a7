/** A promise with its figure. `atMost` is inclusive. */
export interface Bar {
  readonly what: string;
  /** `undefined`: it never came to be, which misses. */
  readonly figure: number | undefined;
  readonly atMost: number;
}

const isMet = ({ figure, atMost }: Bar): boolean => figure !== undefined && figure <= atMost;

/** Prints each bar with its figure; answers how many are missed. */
export function printBars(title: string, bars: readonly Bar[]): number {
  console.log(`\n${title}`);
  for (const bar of bars) {
    const figure = bar.figure === undefined ? 'never' : String(Math.round(bar.figure * 10) / 10);
    console.log(`  ${isMet(bar) ? 'met   ' : 'MISSED'} ${bar.what}: ${figure} (at most ${bar.atMost})`);
  }
  return bars.filter((bar) => !isMet(bar)).length;
}
