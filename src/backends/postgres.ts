import { RedoubtError } from '../core/errors.ts';
import { assertPeers } from '../core/peers.ts';
import { parseDatabaseUrl } from './database-url.ts';
import { EmbeddedPostgres } from './embedded.ts';
import type { PostgresControl, PostgresOptions } from './postgres-control.ts';
import { type PostgresFault, classifyPostgresError } from './postgres-errors.ts';
import { ServerPostgres } from './postgres-server.ts';

export { parseDatabaseUrl, type DatabaseTarget } from './database-url.ts';
export type { PostgresControl, PostgresOptions } from './postgres-control.ts';

/**
 * PostgreSQL behind deadlines, of the kind that `postgres.url` names. Nothing is connected, and no
 * worker started, before the first probe or `engage`.
 *
 * @throws {RedoubtError} `ERR_PEER` without PGlite where the embedded one is named
 */
export function createPostgresBackend(options: PostgresOptions): PostgresControl {
  const target = parseDatabaseUrl(options.config);
  if (target.kind === 'server') return new ServerPostgres(target.url, options);
  if (target.kind === 'embedded') {
    assertPeers('The embedded PostgreSQL needs', ['@electric-sql/pglite']);
    return new EmbeddedPostgres(target.dir, options);
  }
  if (target.reason) options.log.info({ machine: 'postgres' }, `${target.reason}: nothing is kept in PostgreSQL`);
  return new NoPostgres();
}

/** No PostgreSQL is configured: everything says so at once. */
class NoPostgres implements PostgresControl {
  readonly kind = 'none';

  query(): Promise<never> {
    return Promise.reject(unconfigured());
  }

  engage(): Promise<never> {
    return Promise.reject(unconfigured());
  }

  disengage(): void {
    // Nothing is ever in use.
  }

  probe(): Promise<never> {
    return Promise.reject(unconfigured());
  }

  classify(error: unknown): PostgresFault {
    return classifyPostgresError(error);
  }

  onBroken(): void {
    // Nothing can be lost.
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

function unconfigured(): RedoubtError {
  return new RedoubtError('ERR_POSTGRES_UNAVAILABLE', { reason: 'NOT_CONFIGURED', executed: 'no' });
}
