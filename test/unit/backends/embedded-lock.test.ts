import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { lockDirectory } from '../../../src/backends/embedded-lock.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'redoubt-lock-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const lockFile = (): string => join(dir, 'redoubt.lock');

describe('lockDirectory', () => {
  it('refuses a second holder in the same process until the first lets go', () => {
    const unlock = lockDirectory(dir);
    expect(() => lockDirectory(dir)).toThrow(expect.objectContaining({ code: 'ERR_EMBEDDED_LOCKED' }));
    unlock();
    expect(existsSync(lockFile())).toBe(false);
    lockDirectory(dir)();
  });

  it('refuses a directory that a living process holds', () => {
    writeFileSync(lockFile(), JSON.stringify({ pid: process.ppid, started: '' }));
    expect(() => lockDirectory(dir)).toThrow(expect.objectContaining({ code: 'ERR_EMBEDDED_LOCKED' }));
    expect(existsSync(lockFile())).toBe(true);
  });

  it.each([
    ['a dead process', () => JSON.stringify({ pid: spawnSync(process.execPath, ['--version']).pid, started: '' })],
    ['a predecessor with our pid, as in a container', () => JSON.stringify({ pid: process.pid, started: '1' })],
    ['a writer that crashed half-way', () => '{"pi'],
  ])('takes over the lock of %s', (_who, content) => {
    writeFileSync(lockFile(), content());
    const unlock = lockDirectory(dir);
    unlock();
    expect(existsSync(lockFile())).toBe(false);
  });

  it('knows a later process with the same pid from the holder', () => {
    writeFileSync(lockFile(), JSON.stringify({ pid: process.ppid, started: '1' }));
    const unlock = lockDirectory(dir);
    expect(readFileSync(lockFile(), 'utf8')).toContain(`"pid":${process.pid},`);
    unlock();
  });
});
