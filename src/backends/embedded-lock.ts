import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { RedoubtError } from '../core/errors.ts';

/** Beside the database's own files; PGlite leaves strangers alone. */
const LOCK_FILE = 'redoubt.lock';

/** Directories that this very process holds: its own pid in a lock file is otherwise a predecessor's, as in a container. */
const held = new Set<string>();

interface Holder {
  readonly pid: number;
  /** Tells a process from a later one with the same pid; empty where the system does not say. */
  readonly started: string;
}

/**
 * Makes `dir` this process' own until the returned function is called. A lock whose process is gone
 * is taken over.
 *
 * @throws {RedoubtError} `ERR_EMBEDDED_LOCKED` while another process, or another Redoubt of this one, holds it
 */
export function lockDirectory(dir: string): () => void {
  if (held.has(dir)) throw new RedoubtError('ERR_EMBEDDED_LOCKED', { pid: process.pid });
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const file = join(dir, LOCK_FILE);
  if (!tryWrite(file)) {
    const holder = readHolder(file);
    if (holder && holder.pid !== process.pid && isAlive(holder)) {
      throw new RedoubtError('ERR_EMBEDDED_LOCKED', { pid: holder.pid });
    }
    rmSync(file, { force: true });
    // Somebody else took it over in the same moment.
    if (!tryWrite(file)) throw new RedoubtError('ERR_EMBEDDED_LOCKED');
  }
  held.add(dir);
  return () => {
    if (held.delete(dir)) rmSync(file, { force: true });
  };
}

function tryWrite(file: string): boolean {
  try {
    const holder: Holder = { pid: process.pid, started: startOf(process.pid) };
    writeFileSync(file, JSON.stringify(holder), { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function readHolder(file: string): Holder | undefined {
  try {
    const { pid, started } = JSON.parse(readFileSync(file, 'utf8')) as Partial<Holder>;
    return typeof pid === 'number' ? { pid, started: String(started ?? '') } : undefined;
  } catch {
    // Gone again, or cut short by a crash: nobody's.
    return undefined;
  }
}

function isAlive({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it is there, and somebody else's.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return started === '' || started === startOf(pid);
}

/**
 * The 22nd field of /proc/PID/stat, in ticks since the boot; empty where there is none, and for a
 * zombie, which holds nothing any more but answers to signals until its parent looks.
 */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? '' : (fields[19] ?? '');
  } catch {
    // Not Linux, or gone: the pid alone decides.
    return '';
  }
}
