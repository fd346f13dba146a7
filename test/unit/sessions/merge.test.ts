import type { SessionData } from 'express-session';
import { describe, expect, it } from 'vitest';

import { mergeSessions as merge } from '../../../src/services/sessions/merge.ts';

const mergeSessions = (base: SessionData, mine: SessionData, theirs: SessionData, latest = false) => {
  const merged = merge(base, mine, theirs, (key) => latest && key !== 'cart');
  return 'data' in merged ? merged.data : undefined;
};
const of = (content: object): SessionData => ({ cookie: { originalMaxAge: 1 }, ...content }) as SessionData;

describe('two changes of one session', () => {
  it('are joined key by key: what one side added, changed or removed is kept', () => {
    const base = of({ kept: 1, changed: 1, removed: 1 });
    const mine = of({ kept: 1, changed: 2, removed: 1, mine: 1 });
    const theirs = of({ kept: 1, changed: 1, theirs: 1 });
    expect(mergeSessions(base, mine, theirs)).toEqual(of({ kept: 1, changed: 2, mine: 1, theirs: 1 }));
  });

  it('are a conflict where both changed the same key, equal values included: 1 + 1 + 1 is not 2', () => {
    expect(mergeSessions(of({ n: 1 }), of({ n: 2 }), of({ n: 3 }))).toBeUndefined();
    expect(mergeSessions(of({ n: 1 }), of({ n: 2 }), of({ n: 2 }))).toBeUndefined();
    expect(mergeSessions(of({ n: 1 }), of({}), of({ n: 2 }))).toBeUndefined();
  });

  it('of one key that both changed, the later one is kept where the later one may win; others keep a conflict', () => {
    const [base, mine, theirs] = [of({ n: 1, old: 1 }), of({ n: 2, mine: 1 }), of({ n: 3, old: 1, theirs: 1 })];
    expect(mergeSessions(base, mine, theirs, true)).toEqual(of({ n: 2, mine: 1, theirs: 1 }));
    expect(mergeSessions(of({ cart: 1 }), of({ cart: 2 }), of({ cart: 3 }), true)).toBeUndefined();
    expect(mergeSessions(of({ cart: 1 }), of({ cart: 2 }), of({ cart: 2 }), true)).toBeUndefined();
  });

  it('say which keys were overwritten, equal values not being any', () => {
    const merged = merge(of({}), of({ a: 1, b: 1, c: 1 }), of({ a: 1, b: 2 }), () => true);
    expect(merged).toMatchObject({ overwritten: ['b'] });
  });

  it('find a key that is named like something of every object', () => {
    expect(mergeSessions(of({}), of({ constructor: 1 }), of({ toString: 2 }))).toMatchObject({
      constructor: 1,
      toString: 2,
    });
  });

  it('agree where both removed the same key', () => {
    expect(mergeSessions(of({ n: 1 }), of({}), of({}))).toEqual(of({}));
  });

  it('end with the cookie of the later request', () => {
    const mine = { ...of({}), cookie: { originalMaxAge: 7 } } as SessionData;
    expect(mergeSessions(of({}), mine, of({ n: 1 }))).toMatchObject({ cookie: { originalMaxAge: 7 }, n: 1 });
  });

  it('compare what is stored: a date is its text, an undefined value is none', () => {
    const at = new Date(0);
    const base = of({ at: at.toJSON() });
    expect(mergeSessions(base, of({ at, gone: undefined }), of({ at: at.toJSON(), n: 1 }))).toMatchObject({ n: 1 });
  });

  it('cannot reach the prototype of anything', () => {
    const evil = JSON.parse('{"cookie":{},"__proto__":{"admin":true}}') as SessionData;
    const merged = mergeSessions(of({}), of({ n: 1 }), evil) as unknown as Record<string, unknown>;
    expect(merged['admin']).toBeUndefined();
    expect(Object.getPrototypeOf(merged)).toBe(Object.prototype);
  });
});
