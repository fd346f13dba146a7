// Judges a recorded history. The exact search of linearize.ts decides; what stands here names what went wrong, by
// rules that each suffice for a violation, so that a report says more than "not linearizable".

import { type Operation, bySession } from './history.ts';
import { linearize } from './linearize.ts';

/** What can be wrong. */
export const VIOLATIONS = {
  'login missing': 'a 401 although no logout had begun',
  'logout undone': 'a valid answer to a request that began after an acknowledged logout',
  'update lost': 'an acknowledged visit that a later or another acknowledged visit did not count',
  'stale read': 'a read that began after an answer with more visits',
  'update invented': 'more visits than were ever asked for',
  'not linearizable': 'none of the above, and yet no order of the operations explains the answers',
  undecided: 'the search gave up: no proof either way',
} as const;
export type ViolationKind = keyof typeof VIOLATIONS;

export interface Violation {
  readonly kind: ViolationKind;
  readonly session: number;
  /** The operation whose answer is wrong. */
  readonly operation: Operation;
}

/** What the checker found in a history. */
export interface Judgement {
  readonly operations: number;
  readonly sessions: number;
  /** Sessions with at least one violation. */
  readonly wrongSessions: number;
  readonly violations: readonly Violation[];
  readonly byKind: Readonly<Partial<Record<ViolationKind, number>>>;
}

/**
 * Checks each session of a history by itself: sessions share nothing, and linearizability is local.
 *
 * @param operations - complete: what was not recorded cannot excuse an answer
 */
export function checkHistory(operations: readonly Operation[]): Judgement {
  const sessions = [...bySession(operations).values()].filter(isLoggedIn);
  const violations = sessions.flatMap(checkSession);
  const byKind: Partial<Record<ViolationKind, number>> = {};
  for (const { kind } of violations) byKind[kind] = (byKind[kind] ?? 0) + 1;
  return {
    operations: operations.length,
    sessions: sessions.length,
    wrongSessions: new Set(violations.map(({ session }) => session)).size,
    violations,
    byKind,
  };
}

/** Nobody holds the cookie of a login that was not acknowledged, so there is nothing to check. */
function isLoggedIn(operations: readonly Operation[]): boolean {
  return operations.some(({ kind, outcome }) => kind === 'login' && outcome === 'ok');
}

function checkSession(all: readonly Operation[]): Violation[] {
  const operations = all.filter(({ kind, outcome, mayHaveHappened }) => {
    if (kind === 'login') return false;
    return outcome === 'ok' || (kind !== 'read' && mayHaveHappened);
  });
  const found = [
    ...missingLogins(operations),
    ...undoneLogouts(operations),
    ...lostUpdates(operations),
    ...staleReads(operations),
    ...inventedUpdates(operations),
  ];
  const verdict = linearize(operations);
  if (verdict.status === 'undecided') found.push(violation('undecided', operations[0]!));
  // The rules above and the search judge alike; where they do not, the search is right.
  if (verdict.status === 'violated' && found.length === 0) found.push(violation('not linearizable', verdict.stuckAt));
  return found;
}

function missingLogins(operations: readonly Operation[]): Violation[] {
  const logouts = operations.filter(({ kind }) => kind === 'logout');
  return operations
    .filter(({ seen }) => seen === 'gone')
    .filter(({ completedMs }) => !logouts.some(({ invokedMs }) => invokedMs < completedMs))
    .map((operation) => violation('login missing', operation));
}

function undoneLogouts(operations: readonly Operation[]): Violation[] {
  const outAt = Math.min(
    ...operations
      .filter(({ kind, outcome }) => kind === 'logout' && outcome === 'ok')
      .map(({ completedMs }) => completedMs),
  );
  return operations
    .filter(({ seen, invokedMs }) => typeof seen === 'number' && invokedMs > outAt)
    .map((operation) => violation('logout undone', operation));
}

function lostUpdates(operations: readonly Operation[]): Violation[] {
  const answered = operations.filter(counted);
  const seenBy = new Map<number, Operation>();
  return answered
    .filter((operation) => {
      if (operation.kind !== 'visit') return false;
      const twin = seenBy.has(operation.seen);
      seenBy.set(operation.seen, operation);
      return twin || operation.seen <= mostBefore(answered, operation);
    })
    .map((operation) => violation('update lost', operation));
}

function staleReads(operations: readonly Operation[]): Violation[] {
  const answered = operations.filter(counted);
  return answered
    .filter((operation) => operation.kind === 'read' && operation.seen < mostBefore(answered, operation))
    .map((operation) => violation('stale read', operation));
}

function inventedUpdates(operations: readonly Operation[]): Violation[] {
  return operations
    .filter(counted)
    .filter((operation) => {
      const asked = operations.filter(
        ({ kind, seen, invokedMs }) => kind === 'visit' && seen !== 'gone' && invokedMs < operation.completedMs,
      );
      return operation.seen > asked.length;
    })
    .map((operation) => violation('update invented', operation));
}

/** The most visits that anybody had been told before `operation` began. */
function mostBefore(answered: readonly (Operation & { readonly seen: number })[], operation: Operation): number {
  const before = answered.filter(({ completedMs }) => completedMs < operation.invokedMs);
  return Math.max(0, ...before.map(({ seen }) => seen));
}

function counted(operation: Operation): operation is Operation & { readonly seen: number } {
  return typeof operation.seen === 'number';
}

function violation(kind: ViolationKind, operation: Operation): Violation {
  return { kind, session: operation.session, operation };
}
