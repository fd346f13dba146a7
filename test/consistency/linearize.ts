// Is there one order of the operations in which each takes effect at an instant between its invocation and its
// completion, and every answer is right? (Herlihy and Wing 1990.) The search is that of Wing and Gong (1993) with
// Lowe's memory of configurations already tried (2017): exponential at worst, exact always, and cheap here, since
// a session has some tens of operations of which two or three overlap.
//
// The object is a whole session: a counter that starts at 0 with the login and is gone after a logout, for good.
//
//   visit → n       needs n - 1, makes n          visit → gone    needs gone
//   read  → n       needs n                       read  → gone    needs gone
//   logout          makes gone, wherever it stands
//   not acknowledged: the write takes effect at any time after its invocation, or never
//
// Of several unacknowledged writes of one kind the earliest goes first: in any order that explains the answers two of
// them can change places, since neither has a completion that it must precede. That keeps a session whose every
// request ran into a fault from costing 2ⁿ.

import type { Operation } from './history.ts';

/** Configurations tried for one session before giving up; some hundred are usual. */
const MAX_CONFIGURATIONS = 200_000;

/** `undecided` is no proof of anything and counts as a failure of the run. */
export type Verdict =
  | { readonly status: 'linearizable' }
  | { readonly status: 'undecided' }
  /** `stuckAt` is the first operation to complete that no order can place, of the order that got furthest. */
  | { readonly status: 'violated'; readonly stuckAt: Operation };

/** A session's state: visits counted, or -1 once it is gone. */
const GONE = -1;

interface Configuration {
  /** A bit for each operation that has taken effect. */
  readonly done: bigint;
  readonly state: number;
}

/**
 * Checks the operations of one session that was logged in before any of them was invoked.
 *
 * @param operations - in the order of invocation; without the login, without reads that were not answered
 */
export function linearize(operations: readonly Operation[]): Verdict {
  const required = operations.reduce(
    (bits, { outcome }, i) => (outcome === 'ok' ? bits | (1n << BigInt(i)) : bits),
    0n,
  );
  const tried = new Set<string>();
  const stack: Configuration[] = [{ done: 0n, state: 0 }];
  let furthest: { readonly count: number; readonly stuckAt: Operation } | undefined;

  for (let at = stack.pop(); at; at = stack.pop()) {
    const { done, state } = at;
    if ((done & required) === required) return { status: 'linearizable' };
    const key = `${state}:${done.toString(36)}`;
    if (tried.has(key)) continue;
    if (tried.size >= MAX_CONFIGURATIONS) return { status: 'undecided' };
    tried.add(key);

    const next = firstToComplete(operations, done);
    const count = bitsOf(done & required);
    if (next && (!furthest || count >= furthest.count)) furthest = { count, stuckAt: next };
    // Whatever was invoked after an operation had completed cannot come before that operation.
    const latestMs = next?.completedMs ?? Infinity;
    const openTried = new Set<string>();
    for (const [i, operation] of operations.entries()) {
      const bit = 1n << BigInt(i);
      if ((done & bit) !== 0n || operation.invokedMs > latestMs) continue;
      if (operation.outcome !== 'ok') {
        if (openTried.has(operation.kind)) continue;
        openTried.add(operation.kind);
      }
      const after = apply(operation, state);
      if (after !== undefined) stack.push({ done: done | bit, state: after });
    }
  }
  return furthest ? { status: 'violated', stuckAt: furthest.stuckAt } : { status: 'linearizable' };
}

/** The state after `operation`, or `undefined` where its answer would be wrong. */
function apply(operation: Operation, state: number): number | undefined {
  const { kind, outcome, seen } = operation;
  if (kind === 'logout') return GONE;
  if (outcome !== 'ok') return state === GONE ? undefined : state + 1;
  if (seen === 'gone') return state === GONE ? GONE : undefined;
  if (state === GONE) return undefined;
  if (kind === 'read') return seen === state ? state : undefined;
  return seen === state + 1 ? seen : undefined;
}

function firstToComplete(operations: readonly Operation[], done: bigint): Operation | undefined {
  let first: Operation | undefined;
  for (const [i, operation] of operations.entries()) {
    if (operation.outcome !== 'ok' || (done & (1n << BigInt(i))) !== 0n) continue;
    if (!first || operation.completedMs < first.completedMs) first = operation;
  }
  return first;
}

function bitsOf(bits: bigint): number {
  let count = 0;
  for (let rest = bits; rest > 0n; rest &= rest - 1n) count += 1;
  return count;
}
