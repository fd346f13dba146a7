// `node scripts/ensure.ts redis chromium`: the programs from outside npm that the tests need are there
// afterwards, or the exit code is 1 and one line for each says what is missing and how to get it.
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';

import { PROGRAMS, type ProgramName, findOnPath } from './programs.ts';

const UPDATE_DEADLINE_MS = 180_000;
const INSTALL_DEADLINE_MS = 420_000;
const POLICY = '/usr/sbin/policy-rc.d';
const POLICY_ASIDE = '/usr/sbin/policy-rc.d.before-redoubt';

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(PROGRAMS, name));
if (wanted.length === 0 || unknown.length > 0) {
  const known = Object.keys(PROGRAMS).join(' | ');
  process.stderr.write(
    `usage: node scripts/ensure.ts <${known}> …${unknown.map((name) => `; unknown: ${name}`).join('')}\n`,
  );
  process.exit(2);
}

let missing = missingOf(wanted as ProgramName[]);
let why = '';
if (missing.length > 0 && process.getuid?.() === 0 && findOnPath(['apt-get'])) {
  why = await install(missing.map((name) => PROGRAMS[name].aptPackage)).then(
    () => '',
    (error: Error) => ` (${error.message})`,
  );
  missing = missingOf(missing);
}
for (const name of missing) {
  const { binaries, hint } = PROGRAMS[name];
  process.stderr.write(`${binaries[0]} is missing; the tests need it. Install it: ${hint}${why}\n`);
}
process.exitCode = missing.length > 0 ? 1 : 0;

function missingOf(names: readonly ProgramName[]): ProgramName[] {
  return names.filter((name) => !findOnPath(PROGRAMS[name].binaries));
}

async function install(packages: readonly string[]): Promise<void> {
  process.stderr.write(`installing ${packages.join(', ')} with apt-get …\n`);
  const restore = forbidServices();
  const stop = (): void => {
    restore();
    process.exit(1);
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    // An update that fails for one source of many need not matter; the install tells.
    await apt(['update'], UPDATE_DEADLINE_MS).catch(() => undefined);
    await apt(['install', '--yes', '--no-install-recommends', ...packages], INSTALL_DEADLINE_MS);
  } finally {
    restore();
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}

/**
 * Debian starts a service as it installs it; a redis-server on 6379 would then answer tests that mean
 * "no Redis". Exit code 101 of this hook forbids it. @returns what puts the system's own hook back
 */
function forbidServices(): () => void {
  const aside = existsSync(POLICY);
  if (aside) renameSync(POLICY, POLICY_ASIDE);
  writeFileSync(POLICY, '#!/bin/sh\nexit 101\n');
  chmodSync(POLICY, 0o755);
  return () => {
    if (aside) renameSync(POLICY_ASIDE, POLICY);
    else rmSync(POLICY, { force: true });
  };
}

function apt(args: readonly string[], deadlineMs: number): Promise<void> {
  const options = [
    '-qq',
    '-o',
    'Acquire::Retries=2',
    '-o',
    'Acquire::http::Timeout=30',
    '-o',
    'DPkg::Lock::Timeout=120',
  ];
  return new Promise((resolve, reject) => {
    const child = spawn('apt-get', [...options, ...args], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: deadlineMs,
    });
    let log = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        log = (log + text).slice(-4_000);
      });
    }
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) return resolve();
      const end = signal ? `ran longer than ${deadlineMs / 1_000} s` : `failed with code ${code}`;
      reject(new Error(`apt-get ${args[0]} ${end}: ${log.trim().split('\n').at(-1) ?? ''}`));
    });
  });
}
