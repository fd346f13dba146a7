import type { NextFunction, Request, Response } from 'express';
import { describe, expect, it } from 'vitest';

import { bearerMatches } from '../../../src/core/bearer.ts';
import { isDemoOn, parseTrustProxy, refuseForeignPages, requireToken } from '../../../src/server/security.ts';
import { testConfig } from '../../support/service-rig.ts';

/** What the guard does with a request: the code it refuses with, or `passed`. */
function verdict(guard: ReturnType<typeof requireToken>, headers: Record<string, string>): string {
  let calls = 0;
  const next = (() => (calls += 1)) as NextFunction;
  try {
    guard({ headers } as unknown as Request, { setHeader: () => undefined } as unknown as Response, next);
  } catch (error) {
    return (error as { code: string }).code;
  }
  return calls === 1 ? 'passed' : 'held';
}

describe('the bearer token', () => {
  it('matches only the whole token', () => {
    expect(bearerMatches('Bearer secret-token', 'secret-token')).toBe(true);
    expect(bearerMatches('bearer secret-token', 'secret-token')).toBe(true);
    for (const header of [
      undefined,
      '',
      'Bearer',
      'Bearer secret-toke',
      'Bearer secret-token2',
      'Basic secret-token',
    ]) {
      expect(bearerMatches(header, 'secret-token')).toBe(false);
    }
  });

  it('never matches where none is set', () => {
    expect(bearerMatches('Bearer ', '')).toBe(false);
    expect(bearerMatches(undefined, '')).toBe(false);
  });
});

describe('/v1', () => {
  it('takes the token where one is set, and nothing else', () => {
    const guard = requireToken(testConfig({ server: { apiToken: 'secret-token' } }));
    expect(verdict(guard, { authorization: 'Bearer secret-token' })).toBe('passed');
    expect(verdict(guard, { authorization: 'Bearer wrong' })).toBe('ERR_UNAUTHORIZED');
    expect(verdict(guard, { host: 'localhost' })).toBe('ERR_UNAUTHORIZED');
  });

  it('is off in production without a token', () => {
    expect(verdict(requireToken(testConfig({ env: 'production' })), { host: 'localhost' })).toBe('ERR_API_OFF');
  });

  it('is open elsewhere without a token, but not to pages of other sites', () => {
    const guard = requireToken(testConfig());
    expect(verdict(guard, { host: '127.0.0.1:3000' })).toBe('passed');
    expect(verdict(guard, { host: 'localhost:3000', 'sec-fetch-site': 'same-origin' })).toBe('passed');
    expect(verdict(guard, { host: 'localhost:3000', 'sec-fetch-site': 'cross-site' })).toBe('ERR_FOREIGN_PAGE');
    expect(verdict(guard, { host: 'rebound.example:3000' })).toBe('ERR_FOREIGN_PAGE');
  });
});

it('a server on every interface, or behind a proxy, answers to any name', () => {
  const open = refuseForeignPages(testConfig({ server: { host: '0.0.0.0' } }));
  const proxied = refuseForeignPages(testConfig({ server: { trustProxy: '1' } }));
  expect(verdict(open, { host: 'app.example' })).toBe('passed');
  expect(verdict(proxied, { host: 'app.example' })).toBe('passed');
});

it('the demo is on everywhere but in production, unless told', () => {
  expect(isDemoOn(testConfig())).toBe(true);
  expect(isDemoOn(testConfig({ env: 'production' }))).toBe(false);
  expect(isDemoOn(testConfig({ env: 'production', server: { demo: 'yes' } }))).toBe(true);
  expect(isDemoOn(testConfig({ server: { demo: 'no' } }))).toBe(false);
});

it('trust proxy is nothing, a number of hops, or addresses', () => {
  expect(['', 'true', '2', 'loopback, 10.0.0.0/8'].map(parseTrustProxy)).toEqual([
    false,
    true,
    2,
    ['loopback', '10.0.0.0/8'],
  ]);
});
