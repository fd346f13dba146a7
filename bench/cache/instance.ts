import { fileURLToPath } from 'node:url';

import { OwnedProcess } from '../../test/support/children.ts';
import { eventually } from '../../test/support/eventually.ts';
import { type Hop, startHop } from '../../test/support/hop.ts';
import type { Commands } from './commands.ts';

const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url));
/** No command takes longer, but for the million writes of one mode. */
const COMMAND_DEADLINE_MS = 120_000;

interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Starts the process of an instance behind a hop of its own to Redis; the cache in it is opened by `call('open')`. */
export async function startInstance(name: string, redisPort: number): Promise<Instance> {
  return new Instance(name, await startHop({ to: redisPort }));
}

/** One instance in a process of its own, so that a busy neighbour does not show in its latencies. */
export class Instance implements AsyncDisposable {
  readonly name: string;
  /** Its link to Redis. */
  readonly hop: Hop;
  readonly #process: OwnedProcess;
  readonly #waiting = new Map<number, Waiting>();
  #ids = 0;

  constructor(name: string, hop: Hop) {
    this.name = name;
    this.hop = hop;
    this.#process = new OwnedProcess(process.execPath, ['--expose-gc', WORKER], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      serialization: 'advanced',
    });
    this.#process.child.on('message', (reply: Reply) => {
      const waiting = this.#waiting.get(reply.id);
      if (reply.error === undefined) waiting?.resolve(reply.value);
      else waiting?.reject(new Error(`${name}: ${reply.error}`));
    });
    void this.#rejectAtEnd();
  }

  /** @throws {Error} what the command threw, or that the process ended or did not answer within two minutes */
  async call<Name extends keyof Commands>(
    name: Name,
    ...args: Parameters<Commands[Name]>
  ): Promise<Awaited<ReturnType<Commands[Name]>>> {
    if (!this.#process.running) throw new Error(`instance ${this.name} has ended\n${this.#process.log}`);
    const id = (this.#ids += 1);
    const timer = setTimeout(
      () => this.#waiting.get(id)?.reject(new Error(`instance ${this.name} did not answer ${name}`)),
      COMMAND_DEADLINE_MS,
    );
    try {
      const value = await new Promise<unknown>((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        this.#process.child.send({ id, name, args });
      });
      return value as Awaited<ReturnType<Commands[Name]>>;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** Resolves once the Redis machine of the instance is in `state` or below it. */
  async reaches(state: string, withinMs: number): Promise<void> {
    await eventually(async () => ((await this.call('state')) ?? '').startsWith(state), {
      withinMs,
      what: `${this.name} ${state}`,
    });
  }

  async #rejectAtEnd(): Promise<void> {
    const result = await this.#process.exited;
    const error = new Error(`instance ${this.name} ended with ${result}\n${this.#process.log}`);
    for (const { reject } of this.#waiting.values()) reject(error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.end('SIGKILL');
    await this.hop[Symbol.asyncDispose]();
  }
}
