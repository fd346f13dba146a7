import { describe, expect, it } from 'vitest';

import { checkHistory } from './checker.ts';
import type { Operation, OpKind, Outcome, Seen } from './history.ts';

/** `op('visit', 10, 20, 1)`: a visit from 10 ms to 20 ms that answered one visit. */
function op(kind: OpKind, invokedMs: number, completedMs: number, seen?: Seen, outcome: Outcome = 'ok'): Operation {
  const rest = { outcome, mayHaveHappened: outcome !== 'ok', status: outcome === 'ok' ? 200 : 0 };
  return {
    id: 0,
    session: 1,
    kind,
    instance: 0,
    invokedMs,
    completedMs,
    ...rest,
    ...(seen === undefined ? {} : { seen }),
  };
}

/** An own id for each, and a login before all of them. */
function history(...operations: readonly Operation[]): Operation[] {
  return [op('login', 0, 1, 0), ...operations].map((operation, id) => ({ ...operation, id }));
}

const kindsOf = (...operations: readonly Operation[]): string[] =>
  Object.keys(checkHistory(history(...operations)).byKind).toSorted();

describe('a history that has an order', () => {
  it('passes when nothing overlaps and each answer is right', () => {
    const judged = checkHistory(
      history(
        op('visit', 2, 3, 1),
        op('read', 4, 5, 1),
        op('visit', 6, 7, 2),
        op('logout', 8, 9),
        op('read', 10, 11, 'gone'),
      ),
    );
    expect(judged).toEqual({ operations: 6, sessions: 1, wrongSessions: 0, violations: [], byKind: {} });
  });

  it.each([0, 1] as const)('passes when a read beside a visit saw %d visits', (seen) => {
    expect(kindsOf(op('visit', 2, 10, 1), op('read', 3, 4, seen))).toEqual([]);
  });

  it.each([1, 'gone'] as const)('passes when a visit beside a logout answered %s', (seen) => {
    expect(kindsOf(op('logout', 2, 10), op('visit', 3, 9, seen))).toEqual([]);
  });

  it('passes when a visit that began before the logout completed answers after it', () => {
    expect(kindsOf(op('visit', 2, 20, 1), op('logout', 3, 10))).toEqual([]);
  });

  it('passes whether an unanswered visit took effect, at once or late, or never', () => {
    const lost = op('visit', 2, 3, undefined, 'unknown');
    expect(kindsOf(lost, op('visit', 4, 5, 1))).toEqual([]);
    expect(kindsOf(lost, op('visit', 4, 5, 2))).toEqual([]);
    expect(kindsOf(lost, op('visit', 4, 5, 1), op('read', 6, 7, 1), op('read', 8, 9, 2))).toEqual([]);
  });

  it('passes whether an unanswered logout took effect or not', () => {
    const lost = op('logout', 2, 3, undefined, 'unknown');
    expect(kindsOf(lost, op('read', 4, 5, 0), op('read', 6, 7, 'gone'))).toEqual([]);
    expect(kindsOf(lost, op('read', 4, 5, 0))).toEqual([]);
  });

  it('passes over a login that was not acknowledged, since nobody holds its cookie', () => {
    const unknown = { ...op('login', 0, 1, undefined, 'unknown'), session: 2 };
    expect(checkHistory([unknown]).sessions).toBe(0);
  });

  it('is found in little time among forty unanswered visits', () => {
    const lost = Array.from({ length: 40 }, (_, i) => op('visit', 2 + i, 50, undefined, 'unknown'));
    const judged = checkHistory(history(...lost, op('read', 100, 101, 17), op('read', 102, 103, 40)));
    expect(judged.byKind).toEqual({});
  });
});

describe('a history that has none', () => {
  it('names a 401 without a logout a missing login', () => {
    expect(kindsOf(op('visit', 2, 3, 1), op('read', 4, 5, 'gone'))).toEqual(['login missing']);
  });

  it('names a 401 that was answered before the logout began a missing login', () => {
    expect(kindsOf(op('read', 2, 3, 'gone'), op('logout', 4, 5))).toEqual(['login missing']);
  });

  it('names a valid answer after an acknowledged logout an undone logout', () => {
    expect(kindsOf(op('logout', 2, 3), op('read', 4, 5, 0))).toEqual(['logout undone']);
    expect(kindsOf(op('logout', 2, 3), op('read', 4, 5, 'gone'), op('visit', 6, 7, 1))).toEqual(['logout undone']);
  });

  it('names two visits with one number a lost update', () => {
    expect(kindsOf(op('visit', 2, 10, 1), op('visit', 3, 9, 1))).toEqual(['update lost']);
  });

  it('names a visit that counts on from before an acknowledged one a lost update', () => {
    expect(kindsOf(op('visit', 2, 3, 1), op('visit', 4, 5, 2), op('visit', 6, 7, 2))).toEqual(['update lost']);
  });

  it('names a read of what had been overtaken a stale read', () => {
    expect(kindsOf(op('visit', 2, 3, 1), op('read', 4, 5, 0))).toEqual(['stale read']);
  });

  it('names two reads that go back in time a stale read, although the visit may be late', () => {
    expect(kindsOf(op('visit', 2, 3, undefined, 'unknown'), op('read', 4, 5, 1), op('read', 6, 7, 0))).toEqual([
      'stale read',
    ]);
  });

  it('names a count that nobody asked for an invented update', () => {
    expect(kindsOf(op('visit', 2, 3, 2))).toEqual(['update invented']);
  });

  it('finds a visit that a 409 refused and that took effect all the same', () => {
    const refused = { ...op('visit', 2, 3, undefined, 'refused'), mayHaveHappened: false };
    expect(kindsOf(refused, op('read', 4, 5, 1))).toEqual(['update invented']);
  });

  it('finds by search alone what no rule names: an answer from a time that had not come', () => {
    // The read saw the second visit, which began only after that read had ended.
    const kinds = kindsOf(
      op('visit', 2, 30, 1),
      op('visit', 3, 4, 2),
      op('read', 5, 6, 2),
      op('logout', 7, 8),
      op('read', 9, 10, 'gone'),
    );
    expect(kinds).toEqual([]);
    expect(kindsOf(op('logout', 2, 20), op('read', 3, 4, 'gone'), op('read', 5, 6, 0))).toEqual(['not linearizable']);
  });

  it('keeps the sessions apart', () => {
    const other = history(op('read', 2, 3, 'gone')).map((operation) => ({ ...operation, session: 2 }));
    const judged = checkHistory([...history(op('read', 2, 3, 0)), ...other]);
    expect(judged).toMatchObject({ sessions: 2, wrongSessions: 1, byKind: { 'login missing': 1 } });
  });
});
