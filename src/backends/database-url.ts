import { resolve } from 'node:path';

import type { Config } from '../config/schema.ts';

/** Where the database is: a server, a directory of the embedded one, or nowhere. */
export type DatabaseTarget =
  | { readonly kind: 'server'; readonly url: string }
  | { readonly kind: 'embedded'; readonly dir: string }
  | { readonly kind: 'none'; readonly reason?: string };

const EMBEDDED = 'pglite:';

/**
 * Reads `postgres.url`: `postgres://…`, `pglite:DIR` (relative to the working directory), `none`, or
 * empty: none as well, with a reason to tell. Where `serve` embeds one, the configuration names it.
 *
 * @param cwd - default: the working directory
 */
export function parseDatabaseUrl(config: Pick<Config, 'postgres'>, cwd = process.cwd()): DatabaseTarget {
  const { url } = config.postgres;
  if (url === 'none') return { kind: 'none' };
  if (url === '') return { kind: 'none', reason: 'DATABASE_URL is not set' };
  if (url.startsWith(EMBEDDED)) return { kind: 'embedded', dir: resolve(cwd, url.slice(EMBEDDED.length)) };
  // The configuration's format has let nothing else pass.
  return { kind: 'server', url };
}
