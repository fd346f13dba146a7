import { inject } from 'vitest';

import type { SharedPostgres } from './global-setup.ts';
import { type PostgresInstallation, preparePostgres } from './postgres-binaries.ts';
import { type PostgresStart, type TestPostgres, createDatabase, launchPostgres } from './postgres-server.ts';

export type { PostgresStart, TestPostgres } from './postgres-server.ts';

let shared: Promise<SharedPostgres> | undefined;
let own: Promise<PostgresInstallation> | undefined;

/**
 * Starts a PostgreSQL of the test's own, for tests that stop, freeze or reconfigure it.
 *
 * @throws {Error} with its log when it does not answer within twenty seconds
 */
export async function startPostgres(start: PostgresStart = {}): Promise<TestPostgres> {
  return launchPostgres(await installation(), start);
}

/** A fresh, empty database on the one PostgreSQL that the whole test run shares; its URL. */
export async function sharedDatabase(): Promise<string> {
  const { url } = await askForShared();
  return createDatabase(url);
}

async function installation(): Promise<PostgresInstallation> {
  if (inject('postgresBroker')) return (await askForShared()).installation;
  own ??= preparePostgres();
  return own;
}

async function askForShared(): Promise<SharedPostgres> {
  shared ??= fetch(inject('postgresBroker')).then(async (answer) => {
    if (!answer.ok) throw new Error(await answer.text());
    return (await answer.json()) as SharedPostgres;
  });
  return shared;
}
