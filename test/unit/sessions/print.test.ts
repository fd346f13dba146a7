import session, { type SessionData } from 'express-session';
import { describe, expect, it } from 'vitest';

import { Print, printOf } from '../../../src/services/sessions/print.ts';

const print = (content: object, cookie: object = {}): Print =>
  new Print(JSON.stringify({ cookie: { originalMaxAge: 1000, expires: 'now', path: '/', ...cookie }, ...content }));

describe('the print of a session', () => {
  it('has the same content where only the cookie differs', () => {
    expect(print({ n: 1 }).content).toBe(print({ n: 1 }, { originalMaxAge: 2, path: '/there' }).content);
    expect(print({ n: 1 }).content).not.toBe(print({ n: 2 }).content);
    expect(print({}).isEmpty).toBe(true);
    expect(print({ n: 1 }).isEmpty).toBe(false);
  });

  it('tells cookies apart, but for the milliseconds that each touch costs them', () => {
    expect(print({}).hasCookieOf(print({ n: 1 }, { originalMaxAge: 1003, expires: 'later' }))).toBe(true);
    expect(print({}).hasCookieOf(print({}, { originalMaxAge: 5000 }))).toBe(false);
    expect(print({}).hasCookieOf(print({}, { originalMaxAge: null }))).toBe(false);
    expect(print({}).hasCookieOf(print({}, { sameSite: 'lax' }))).toBe(false);
    expect(print({}).hasCookieOf(new Print('{"n":1}'))).toBe(false);
  });

  it('reads what express-session makes, with and without an end', () => {
    const store = new session.MemoryStore();
    const req = { sessionID: 'id', sessionStore: store } as never;
    for (const cookie of [{ originalMaxAge: null }, { originalMaxAge: 1000, expires: new Date(0).toISOString() }]) {
      const made = store.createSession(req, { cookie, user: 'ann' } as unknown as SessionData);
      expect(printOf(made).content).toBe(',"user":"ann"}');
    }
  });

  it('is not misled by braces in the cookie, nor by a session that does not begin with it', () => {
    const [odd, other] = [print({ n: 1 }, { path: '/a}b' }), print({ n: 1 }, { path: '/a}c' })];
    expect(odd.hasCookieOf(other)).toBe(false);
    expect(odd.hasCookieOf(print({ n: 2 }, { path: '/a}b' }))).toBe(true);
    expect(odd.content).not.toBe(print({ n: 2 }, { path: '/a}b' }).content);
    const numbered = new Print('{"1":"first","cookie":{"path":"/"}}');
    expect(numbered.isEmpty).toBe(false);
    expect(numbered.content).toBe(new Print('{"1":"first","cookie":{"path":"/x"}}').content);
    expect(numbered.hasCookieOf(new Print('{"cookie":{"path":"/"}}'))).toBe(true);
  });

  it.each([
    ['a cycle', () => Object.assign({}, { self: {} }) as Record<string, unknown>],
    ['a toJSON() of its own', () => ({ toJSON: () => 'text' })],
  ])('is refused for %s', (_, make) => {
    const data = make() as Record<string, unknown>;
    if ('self' in data) data['self'] = data;
    expect(() => printOf(data as never)).toThrow(expect.objectContaining({ code: 'ERR_SESSION_VALUE' }));
  });
});
