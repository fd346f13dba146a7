import { describe, expect, it } from 'vitest';

import { parseDatabaseUrl } from '../../../src/backends/database-url.ts';
import { type Audience, loadConfig } from '../../../src/config/load.ts';

const parse = (url: string, env = 'development', audience: Audience = 'library') =>
  parseDatabaseUrl(loadConfig({ audience, env: { NODE_ENV: env, DATABASE_URL: url } }).config, '/srv/app');

describe('DATABASE_URL', () => {
  it.each(['postgres://user:word@host:5432/db', 'postgresql://host/db?sslmode=verify-full'])(
    '%s is a server',
    (url) => {
      expect(parse(url)).toEqual({ kind: 'server', url });
    },
  );

  it('pglite:DIR is embedded there, relative to the working directory', () => {
    expect(parse('pglite:data/pg')).toEqual({ kind: 'embedded', dir: '/srv/app/data/pg' });
    expect(parse('pglite:/var/lib/pg', 'production')).toEqual({ kind: 'embedded', dir: '/var/lib/pg' });
  });

  it('unset is embedded in .redoubt/ for the server', () => {
    expect(parse('', 'development', 'server')).toEqual({ kind: 'embedded', dir: '/srv/app/.redoubt/postgres' });
  });

  it.each([
    ['production', 'server'],
    ['production', 'library'],
    ['development', 'library'],
  ] as const)('unset in %s is none for a %s, with a reason to tell', (env, audience) => {
    expect(parse('', env, audience)).toEqual({ kind: 'none', reason: 'DATABASE_URL is not set' });
  });

  it('none is none, without a warning', () => {
    expect(parse('none')).toEqual({ kind: 'none' });
  });
});
