import { parseArgs } from 'node:util';

import { RedoubtError } from '../core/errors.ts';
import { suggest } from '../core/format.ts';
import type { Command, Invocation, OptionEntry } from './command.ts';

const HELP: OptionEntry = { type: 'boolean', short: 'h', doc: 'Show this help.' };

/**
 * Parses the arguments behind a command's name.
 *
 * @throws {RedoubtError} `ERR_USAGE`, with the option that was meant where one is near
 */
export function parseInvocation(command: Command, args: readonly string[]): Invocation {
  const options = { ...command.options, help: HELP };
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
    if (positionals.length > command.positionals && !values['help']) {
      throw new Error(`unexpected argument ${positionals[command.positionals]}`);
    }
    return { values: values as Invocation['values'], positionals };
  } catch (error) {
    throw usageError(error as Error & { code?: string }, Object.keys(options));
  }
}

/** The help of a command. */
export function commandHelp({ usage, description, options }: Command): string {
  const rows = Object.entries({ ...options, help: HELP }).map(([name, { short, value, doc }]) => [
    `${short ? `-${short}, ` : '    '}--${name}${value ? ` ${value}` : ''}`,
    doc,
  ]);
  return `Usage: redoubt ${usage}\n\n${description}\n\nOptions:\n${columns(rows, '  ')}`;
}

/** Rows with their columns under each other; the last one is not padded. */
export function columns(rows: readonly (readonly string[])[], indent = ''): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows
    .map((row) => (indent + row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')).trimEnd())
    .join('\n');
}

function usageError(error: Error & { code?: string }, names: readonly string[]): RedoubtError {
  if (error.code !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION') return new RedoubtError('ERR_USAGE', { message: error.message });
  const option = /'(--?)([^' ]+)/.exec(error.message);
  const near = option?.[2] ? suggest(option[2], names) : undefined;
  const message = `unknown option ${option?.[1] ?? ''}${option?.[2] ?? ''}${near ? ` (did you mean --${near}?)` : ''}`;
  return new RedoubtError('ERR_USAGE', { message });
}
