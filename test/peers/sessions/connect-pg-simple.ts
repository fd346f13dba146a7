/** Puts Redoubt's store in the place of connect-pg-simple's, for its own tests with Express. */
import { newStore } from './redoubt.ts';
import { standIn } from './require.ts';

interface Sinon {
  readonly useFakeTimers: (config: object) => unknown;
}

interface Tables {
  readonly queryPromise: (sql: string) => Promise<unknown>;
}

function PGStore(): unknown {
  // Ours prunes by itself, and is closed with Redoubt.
  return Object.assign(newStore(), { close: () => undefined, pruneSessions: (done: () => void) => done() });
}

standIn('../..', () => () => PGStore);

standIn('../db-utils', (theirs: Tables) => ({
  ...theirs,
  // Redoubt's own table stays, and is empty before each test.
  removeTables: () => theirs.queryPromise('delete from session'),
  initTables: () => Promise.resolve(),
}));

// Redoubt lives in the same process, and does not live without timers.
standIn('sinon', (theirs: Sinon) => ({
  ...theirs,
  useFakeTimers: (config: object) => theirs.useFakeTimers({ ...config, toFake: ['Date'] }),
  restore: () => (theirs as unknown as { restore(): void }).restore(),
}));
