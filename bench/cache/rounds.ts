import { setImmediate as turn } from 'node:timers/promises';

import type { Contender } from './contenders.ts';

/** Calls between two looks at the clock. */
const BATCH = 16;
/** A server turns its event loop; timers and answers of every contender get their turn as often. */
const TURN_EVERY_MS = 5;

export interface Comparison {
  /** The first one is the base of the ratios. */
  readonly contenders: readonly Contender[];
  readonly keys: readonly string[];
  readonly callers: number;
  readonly rounds: number;
  readonly roundMs: number;
  /** One call; default a get. */
  readonly work?: (contender: Contender, key: string) => Promise<unknown>;
}

/** What one contender did, over the rounds. */
export interface Result {
  readonly name: string;
  readonly perSecond: number;
  /** To the base in the same round: median, least, greatest. */
  readonly ratio: number;
  readonly from: number;
  readonly to: number;
  /** Of each round, for comparing with others than the base. */
  readonly rates: readonly number[];
}

/** Interleaved rounds, the order rotated, the first one not counted: what the machine does meanwhile hits all alike. */
export async function compare(comparison: Comparison): Promise<Result[]> {
  const { contenders, rounds } = comparison;
  const rates = new Map<Contender, number[]>(contenders.map((contender) => [contender, []]));
  const order = [...contenders];
  for (let round = 0; round <= rounds; round += 1) {
    for (const contender of order) {
      (globalThis as { gc?: () => void }).gc?.();
      const rate = await measure(contender, comparison);
      if (round > 0) rates.get(contender)!.push(rate);
    }
    order.push(order.shift()!);
  }
  const base = rates.get(contenders[0]!)!;
  return contenders.map((contender) => {
    const own = rates.get(contender)!;
    const ratios = own.map((rate, i) => rate / base[i]!).toSorted((a, b) => a - b);
    const perSecond = Math.round(median(own));
    return { name: contender.name, perSecond, ratio: median(ratios), from: ratios[0]!, to: ratios.at(-1)!, rates: own };
  });
}

/** Median of the ratios of each round. */
export function medianRatio(over: Result, under: Result): number {
  return median(over.rates.map((rate, i) => rate / under.rates[i]!));
}

/** Calls per second of callers that each wait for an answer before asking again, each at another key. */
async function measure(contender: Contender, comparison: Comparison): Promise<number> {
  const { keys, callers, roundMs, work = (one: Contender, key: string) => one.get(key) } = comparison;
  const spacing = Math.floor(keys.length / callers);
  const startedAt = performance.now();
  let turnedAt = startedAt;
  let done = 0;
  const call = async (caller: number): Promise<void> => {
    for (let i = caller * spacing; ;) {
      for (let n = 0; n < BATCH; n += 1) {
        await work(contender, keys[i]!);
        i = i + 1 === keys.length ? 0 : i + 1;
      }
      done += BATCH;
      const now = performance.now();
      if (now - startedAt >= roundMs) return;
      if (now - turnedAt < TURN_EVERY_MS) continue;
      await turn();
      turnedAt = performance.now();
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, caller) => call(caller)));
  return (done * 1000) / (performance.now() - startedAt);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
