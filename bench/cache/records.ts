/**
 * What instances write down while Redis fails, for the judge. All instants are `sharedMs()`: CLOCK_MONOTONIC,
 * one for every process of a machine, so that an acknowledgement here and a read there have an order.
 */

/** Milliseconds on a clock that all processes share and nobody sets. */
export function sharedMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** An acknowledged write of version `n` of a key, or its deletion. Each key has one writer, which counts up. */
export interface Ack {
  readonly key: string;
  readonly n: number;
  readonly deleted: boolean;
  readonly at: number;
}

/** What a read saw. */
export interface Read {
  readonly key: string;
  /** When it was begun. */
  readonly at: number;
  /** Version of the value, 0 where there was none. */
  readonly n: number;
  /** Whether the cache itself called it stale. */
  readonly declared: boolean;
  readonly source: string;
}

/** A change of state of the Redis machine of one instance. */
export interface Change {
  readonly from: string;
  readonly to: string;
  readonly at: number;
}

/** An operation that took too long while Redis was out of use. */
export interface Waited {
  readonly turn: string;
  /** When it was begun, since the trip. */
  readonly afterTripMs: number;
  readonly latencyMs: number;
  /** Share of it in which the event loop of the instance did not turn. */
  readonly stalledMs: number;
}

/** What one instance's operations were like in a window. */
export interface Operations {
  readonly count: number;
  readonly rejected: Readonly<Record<string, number>>;
  /** Longer than a second, the unsettled included. */
  readonly hung: number;
  readonly p50: number;
  readonly p99: number;
  /** Of the two seconds before the fault. */
  readonly p99Before: number;
  readonly maxMs: number;
  /** Begun while Redis was out of use and longer than a call that does not wait for it. */
  readonly waited: readonly Waited[];
  /** Answers that belonged to another key. */
  readonly crossed: number;
  /** Longest time in which the event loop of the instance did not turn: explains a latency that Redis does not. */
  readonly loopLagMs: number;
}

/** Everything that one instance wrote down. */
export interface Harvest {
  readonly operations: Operations;
  readonly acks: readonly Ack[];
  readonly reads: readonly Read[];
  readonly changes: readonly Change[];
}

/** Splits instants of the run. */
export interface Marks {
  readonly faultAt: number;
  readonly healedAt: number;
  readonly endAt: number;
}
