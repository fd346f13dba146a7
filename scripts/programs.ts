import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A program from outside npm that the tests need. */
export interface Program {
  /** Names under which it is looked for on PATH; the first that is there is taken. */
  readonly binaries: readonly string[];
  /** Debian's and Ubuntu's package. */
  readonly aptPackage: string;
  /** What to do where it cannot be installed for you. */
  readonly hint: string;
}

/** The programs that `scripts/ensure.ts` knows, by the name it is called with. */
export const PROGRAMS = {
  redis: {
    binaries: ['redis-server'],
    aptPackage: 'redis-server',
    hint: 'apt-get install redis-server, dnf install redis, or brew install redis',
  },
  chromium: {
    binaries: ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'],
    aptPackage: 'chromium',
    hint: 'apt-get install chromium, dnf install chromium, or brew install chromium',
  },
} as const satisfies Record<string, Program>;

/** Name of a program that the tests need. */
export type ProgramName = keyof typeof PROGRAMS;

/** The full path of the first of `names` that can be executed; `undefined` where PATH has none. */
export function findOnPath(names: readonly string[], path = process.env['PATH'] ?? ''): string | undefined {
  for (const name of names) {
    for (const folder of path.split(delimiter)) {
      const file = join(folder || '.', name);
      if (isExecutable(file)) return file;
    }
  }
  return undefined;
}

/**
 * The full path of a program that the tests need.
 *
 * @throws {Error} saying how to install it where it is missing
 */
export function requireProgram(name: ProgramName): string {
  const program: Program = PROGRAMS[name];
  const found = findOnPath(program.binaries);
  if (!found) throw new Error(`${program.binaries[0]} is not on PATH; install it: ${program.hint}`);
  return found;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    // Not there, or not ours to run: both mean that the next folder is looked at.
    return false;
  }
}
