import { type Logger as PinoLogger, pino } from 'pino';

import { prettyLine } from './pretty.ts';

/**
 * What Redoubt needs of a logger; pino's shape, so that the application's own pino can be handed in.
 * Facts go into the object, one sentence into the text. Never a URL, a password, a token or a session.
 */
export interface Logger {
  debug(facts: object, text: string): void;
  info(facts: object, text: string): void;
  warn(facts: object, text: string): void;
  error(facts: object, text: string): void;
  child(bindings: object): Logger;
}

/** What is used of standard output. */
export interface LogOutput {
  readonly isTTY?: boolean;
  /** Knows NO_COLOR, FORCE_COLOR and what the terminal can do. */
  hasColors?(): boolean;
  write(text: string): unknown;
}

/**
 * Redoubt's own logger: JSON lines on standard output, and lines for people where that is a terminal.
 *
 * @param level - a pino level; `silent` for none
 * @param output - default: standard output
 */
export function createLogger(level: string, output?: LogOutput): Logger {
  const options = { level, base: { name: 'redoubt' }, serializers: { err: errorFacts } };
  const target = output ?? (process.stdout.isTTY ? process.stdout : undefined);
  // Without a target pino writes to the descriptor itself, which is faster.
  if (!target) return pino(options) as PinoLogger;
  if (!target.isTTY) return pino(options, { write: (line) => void target.write(line) }) as PinoLogger;
  const hasColours = target.hasColors?.() ?? false;
  return pino(options, { write: (line) => void target.write(prettyLine(line, hasColours)) }) as PinoLogger;
}

/** A logger that drops everything; for tests and for callers that log themselves. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};

/** Name, code and, for our own errors, the message: driver texts can carry hosts, users and statements. */
export function errorFacts(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  const { name, code } = error as Error & { code?: unknown };
  const own = name === 'RedoubtError' || error instanceof TypeError || error instanceof RangeError;
  return {
    name,
    ...(typeof code === 'string' ? { code } : {}),
    ...(own ? { message: error.message } : {}),
    ...(error.cause === undefined ? {} : { cause: errorFacts(error.cause) }),
  };
}
