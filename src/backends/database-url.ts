import { resolve } from 'node:path';

import type { Config } from '../config/schema.ts';

/** Where the database is: a server, a directory of the embedded one, or nowhere. */
export type DatabaseTarget =
  | { readonly kind: 'server'; readonly url: string }
  | { readonly kind: 'embedded'; readonly dir: string }
  | { readonly kind: 'none'; readonly reason?: string };

const EMBEDDED = 'pglite:';
const DEFAULT_DIR = '.redoubt/postgres';

/**
 * Reads `postgres.url`: `postgres://…`, `pglite:DIR` (relative to the working directory), `none`, or
 * empty: embedded in `.redoubt/postgres`, in production none, with a reason to warn with.
 *
 * @param cwd - default: the working directory
 * @throws {RedoubtError} `ERR_CONFIG` for anything else, without showing it
 */
export function parseDatabaseUrl(config: Pick<Config, 'env' | 'postgres'>, cwd = process.cwd()): DatabaseTarget {
  const { url } = config.postgres;
  if (url === 'none') return { kind: 'none' };
  if (url === '') {
    if (config.env !== 'production') return { kind: 'embedded', dir: resolve(cwd, DEFAULT_DIR) };
    return { kind: 'none', reason: 'DATABASE_URL is not set; in production nothing is embedded by itself' };
  }
  if (url.startsWith(EMBEDDED)) return { kind: 'embedded', dir: resolve(cwd, url.slice(EMBEDDED.length)) };
  // The configuration's format has let nothing else pass.
  return { kind: 'server', url };
}
