import type { AppName } from './apps.ts';
import type { Act, Round } from './visitors.ts';

/** Whose CPU is counted. */
export type Part = 'application' | 'postgres' | 'redis';

/** A round of one application. */
export interface Measured extends Round {
  /** Microseconds of CPU for one request. */
  readonly cpu: Readonly<Record<Part, number>>;
  /** What processes that are none of ours took of the machine, 0 to 1. */
  readonly othersShare: number;
}

/** What an application did, over the rounds; each figure is a median. */
export interface Row extends Measured {
  readonly act: Act;
  readonly app: AppName;
  /** To stock in the same round. */
  readonly ratio: number;
  readonly from: number;
  readonly to: number;
  readonly p99Ratio: number;
}

export interface Comparison {
  readonly act: Act;
  /** The first one is the base of the ratios. */
  readonly apps: readonly AppName[];
  readonly rounds: number;
  readonly roundMs: number;
  readonly measure: (app: AppName, act: Act, ms: number) => Promise<Measured>;
}

/** Every application once, right after each other. */
type Turn = ReadonlyMap<AppName, Measured>;

const WARM_UP_MS = 1500;
/** Others that take more of the machine than this disturb a round. */
const QUIET_SHARE = 0.15;
const MOST_TRIES = 3;

/** Interleaved rounds, the order rotated; the first one warms up and does not count. */
export async function compare({ act, apps, rounds, roundMs, measure }: Comparison): Promise<Row[]> {
  const turns: Turn[] = [];
  const order = [...apps];
  const takeTurn = async (ms: number): Promise<Turn> => {
    const turn = new Map<AppName, Measured>();
    for (const app of order) turn.set(app, await measure(app, act, ms));
    order.push(order.shift()!);
    return turn;
  };
  await takeTurn(Math.max(WARM_UP_MS, roundMs));
  while (turns.filter(isQuiet).length < rounds && turns.length < rounds * MOST_TRIES)
    turns.push(await takeTurn(roundMs));
  const counted = turns.toSorted((a, b) => disturbance(a) - disturbance(b)).slice(0, rounds);
  return apps.map((app) => rowOf(act, app, counted, apps[0]!));
}

function rowOf(act: Act, app: AppName, turns: readonly Turn[], base: AppName): Row {
  const medianOf = (pick: (measured: Measured) => number): number => median(turns.map((turn) => pick(turn.get(app)!)));
  const ratiosOf = (pick: (measured: Measured) => number): number[] =>
    turns.map((turn) => pick(turn.get(app)!) / pick(turn.get(base)!)).toSorted((a, b) => a - b);
  const ratios = ratiosOf(({ perSecond }) => perSecond);
  return {
    act,
    app,
    done: medianOf(({ done }) => done),
    perSecond: Math.round(medianOf(({ perSecond }) => perSecond)),
    ratio: hundredth(median(ratios)),
    from: hundredth(ratios[0] ?? 0),
    to: hundredth(ratios.at(-1) ?? 0),
    p50: Math.round(medianOf(({ p50 }) => p50)),
    p99: Math.round(medianOf(({ p99 }) => p99)),
    p99Ratio: hundredth(median(ratiosOf(({ p99 }) => p99))),
    cpu: mapParts((part) => Math.round(medianOf(({ cpu }) => cpu[part]) * 10) / 10),
    othersShare: hundredth(medianOf(({ othersShare }) => othersShare)),
  };
}

/** The same for each part. */
export function mapParts(of: (part: Part) => number): Record<Part, number> {
  return { application: of('application'), postgres: of('postgres'), redis: of('redis') };
}

function isQuiet(turn: Turn): boolean {
  return disturbance(turn) <= QUIET_SHARE;
}

function disturbance(turn: Turn): number {
  return Math.max(...[...turn.values()].map(({ othersShare }) => othersShare));
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

function hundredth(value: number): number {
  return Math.round(value * 100) / 100;
}
