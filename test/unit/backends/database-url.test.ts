import { describe, expect, it } from 'vitest';

import { parseDatabaseUrl } from '../../../src/backends/database-url.ts';
import { loadConfig } from '../../../src/config/load.ts';

const parse = (url: string, env = 'development') =>
  parseDatabaseUrl(loadConfig({ env: { NODE_ENV: env, DATABASE_URL: url } }).config, '/srv/app');

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

  it('unset is embedded in .redoubt/, and in production none, with a reason to warn with', () => {
    expect(parse('')).toEqual({ kind: 'embedded', dir: '/srv/app/.redoubt/postgres' });
    expect(parse('', 'production')).toEqual({
      kind: 'none',
      reason: expect.stringContaining('DATABASE_URL is not set'),
    });
  });

  it('none is none, without a warning', () => {
    expect(parse('none')).toEqual({ kind: 'none' });
  });
});
