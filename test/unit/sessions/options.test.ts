import { describe, expect, it } from 'vitest';

import { loadConfig } from '../../../src/config/load.ts';
import { type Logger, silentLogger } from '../../../src/observe/log.ts';
import { readOptions } from '../../../src/services/sessions/options.ts';
import type { SessionMiddlewareOptions } from '../../../src/services/sessions/types.ts';

const { config } = loadConfig({ env: { NODE_ENV: 'test' } });

function read(given: object) {
  const warnings: string[] = [];
  const log: Logger = { ...silentLogger, warn: (_facts, text) => void warnings.push(text) };
  return { ...readOptions(given as SessionMiddlewareOptions, { config, log }), warnings };
}

describe('the options of the session middleware', () => {
  it("are express-session's own where none is given, but for the two whose defaults it calls deprecated", () => {
    expect(read({})).toEqual({ name: 'connect.sid', resave: false, saveUninitialized: false, warnings: [] });
  });

  it('take key as the old name of name', () => {
    expect(read({ key: 'sid' })).toMatchObject({ name: 'sid' });
    expect(read({ key: 'old', name: 'new' })).toMatchObject({ name: 'new' });
    expect(read({ key: 'sid' })).not.toHaveProperty('key');
  });

  it('are not given where they are undefined', () => {
    const given = { name: undefined, resave: undefined, cookie: undefined, rolling: undefined, store: undefined };
    expect(read(given)).toEqual(read({}));
  });

  it('refuse a store by name, since Redoubt is the store', () => {
    expect(() => read({ store: {} })).toThrow(expect.objectContaining({ code: 'ERR_SESSION_OPTION' }));
    expect(() => read({ store: {} })).toThrow(/"store"/);
  });

  it('are left as they were given otherwise', () => {
    const given = {
      resave: true,
      rolling: true,
      saveUninitialized: true,
      unset: 'destroy',
      proxy: true,
      genid: String,
    } as const;
    expect(read({ ...given, cookie: { maxAge: 1 } })).toMatchObject({ ...given, cookie: { maxAge: 1 } });
  });

  it('say in the log what express-session does not know, and what was meant', () => {
    expect(read({ saveUnitialized: true, ttl: 60 }).warnings).toEqual([
      expect.stringContaining('but "saveUninitialized"'),
      expect.stringContaining('"ttl": it has no effect'),
    ]);
  });
});
