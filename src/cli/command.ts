import type { ParseArgsOptionDescriptor } from 'node:util';

/** Exit codes of every command. */
export const EXIT = { fine: 0, wrong: 1, usage: 2 } as const;

/** An option of a command, with its line in `--help`. */
export interface OptionEntry extends ParseArgsOptionDescriptor {
  readonly doc: string;
  /** What stands behind the option in `--help`: `FILE`. */
  readonly value?: string;
}

/** A command line after parsing. */
export interface Invocation {
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  readonly positionals: readonly string[];
}

/** The edge of the process, so that commands run in tests too. */
export interface Context {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly version: string;
  /** Writes one text to standard output, with a line end behind it. */
  out(text: string): void;
  /** The same to standard error. */
  err(text: string): void;
}

export interface Command {
  /** What stands behind `redoubt`: `status [URL]`. */
  readonly usage: string;
  /** What it does, and what its exit codes mean, for `--help`. */
  readonly description: string;
  readonly options: Readonly<Record<string, OptionEntry>>;
  /** Most positional arguments. */
  readonly positionals: number;
  /** @returns the exit code; what it throws is printed, and the exit code is 1 (2 for `ERR_USAGE`) */
  run(invocation: Invocation, context: Context): Promise<number>;
}
