import { RedoubtError, isRedoubtError } from '../core/errors.ts';
import { suggest } from '../core/format.ts';
import { type Command, type Context, EXIT } from './command.ts';
import { columns, commandHelp, parseInvocation } from './usage.ts';

interface Entry {
  readonly summary: string;
  /** A command is loaded when it is called, so that none pays for the imports of another. */
  readonly load: () => Promise<Command>;
}

/** Every command: one line here is all that a new one needs. */
const COMMANDS: Readonly<Record<string, Entry>> = {
  serve: {
    summary: 'Run the server: HTTP, Socket.IO, health, metrics',
    load: async () => (await import('./serve.ts')).serve,
  },
  check: {
    summary: 'Check the configuration and the machines',
    load: async () => (await import('./check.ts')).check,
  },
  diagram: {
    summary: 'Draw a machine as SVG, Mermaid, dot or JSON',
    load: async () => (await import('./diagram.ts')).diagram,
  },
  schema: {
    summary: 'Print the JSON Schema of machine or configuration files',
    load: async () => (await import('./schema.ts')).schema,
  },
  simulate: {
    summary: 'Run the machines against a scripted outage, on a simulated clock',
    load: async () => (await import('./simulate.ts')).simulate,
  },
  status: {
    summary: 'Show what the health of a running server says',
    load: async () => (await import('./status.ts')).status,
  },
};

/**
 * Runs `redoubt` with these arguments.
 *
 * @returns the exit code: 0 fine, 1 found wrong, 2 wrong usage; never rejects
 */
export async function runCli(args: readonly string[], context: Context): Promise<number> {
  try {
    const [name = '', ...rest] = args;
    if (name === '--help' || name === '-h') {
      context.out(overview());
      return EXIT.fine;
    }
    if (name === '--version') {
      context.out(context.version);
      return EXIT.fine;
    }
    const command = await (Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined)?.load();
    if (!command) throw new RedoubtError('ERR_USAGE', { message: unknownCommand(name) });
    const invocation = parseInvocation(command, rest);
    if (invocation.values['help'] !== true) return await command.run(invocation, context);
    context.out(commandHelp(command));
    return EXIT.fine;
  } catch (error) {
    return report(error, context);
  }
}

function report(error: unknown, context: Context): number {
  const message = error instanceof Error ? error.message : String(error);
  context.err(`redoubt: ${message}`);
  if (isRedoubtError(error)) context.err(error.hint);
  return isRedoubtError(error, 'ERR_USAGE') ? EXIT.usage : EXIT.wrong;
}

function unknownCommand(name: string): string {
  if (name === '') return 'no command was given';
  const near = suggest(name, Object.keys(COMMANDS));
  return `unknown command ${name}${near ? ` (did you mean ${near}?)` : ''}`;
}

function overview(): string {
  const rows = Object.entries(COMMANDS).map(([name, { summary }]) => [name, summary]);
  return `Usage: redoubt COMMAND [OPTIONS]\n\n${columns(rows, '  ')}\n\nredoubt COMMAND --help tells more; --version says which one runs.`;
}
