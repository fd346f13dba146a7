/** The process of one instance: carries out what its parent sends over IPC, and ends when the parent does. */
import { createCommands } from './commands.ts';

interface Question {
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}

const commands = createCommands() as unknown as Record<string, (...args: readonly unknown[]) => unknown>;

process.on('message', (question: Question) => void answer(question));
process.on('disconnect', () => process.exit(0));

async function answer({ id, name, args }: Question): Promise<void> {
  try {
    process.send?.({ id, value: await commands[name]!(...args) });
  } catch (error) {
    process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}
