const MAX_FRAMES = 8;

/**
 * Where an error was thrown, for the log: the stack's frames without its first line, because the message of a
 * driver's error can hold hosts, users and statements.
 */
export function traceOf(error: unknown): readonly string[] {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  return stack
    .split('\n')
    .filter((line) => /^\s+at .*:\d+:\d+\)?$/.test(line))
    .slice(0, MAX_FRAMES)
    .map((line) => line.trim());
}
