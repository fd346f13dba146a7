import type { SessionData } from 'express-session';
import { describe, expect, it } from 'vitest';

import { mergeSessions } from '../../../src/services/sessions/merge.ts';

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
