import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { OwnedProcess } from '../support/children.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/ports.ts';
import { ROOT, type Block } from './blocks.ts';
import type { Project } from './installed.ts';

interface Preamble {
  readonly needs?: readonly string[];
  readonly import?: string;
  readonly code: string;
  /** What ends it, behind the block. */
  readonly end?: string;
}

/** What stands before a fragment: each name that `<!-- test: with … -->` may use. */
const PREAMBLES: Readonly<Record<string, Preamble>> = {
  redoubt: {
    import: `import { createRedoubt } from 'redoubt-runtime';`,
    // A page that goes on with it takes for granted that all is well; a busy machine may need a second try for that.
    code: `const redoubt = await createRedoubt({ config: { log: { level: 'silent' } } });
while (redoubt.health.report().status !== 'pass') await new Promise((resolve) => setTimeout(resolve, 20));`,
    end: `await redoubt.close();`,
  },
  cache: { needs: ['redoubt'], code: `const { cache } = redoubt;` },
  app: { import: `import express from 'express';`, code: `const app = express();` },
  server: {
    needs: ['app'],
    import: `import { createServer } from 'node:http';`,
    code: `const server = createServer(app).listen(0);`,
    end: `server.closeAllConnections();\nserver.close();`,
  },
  io: {
    needs: ['redoubt', 'server'],
    import: `import { Server } from 'socket.io';`,
    code: `const io = new Server(server, { adapter: redoubt.sockets.adapter });`,
    end: `await io.close();`,
  },
  createRedoubt: { import: `import { createRedoubt } from 'redoubt-runtime';`, code: '' },
  RedoubtError: { import: `import { RedoubtError, isRedoubtError } from 'redoubt-runtime';`, code: '' },
  id: { code: `const id = '7';` },
  loadUser: {
    code: `const loadUser = async (id: string | number) => ({ id: String(id), name: 'Ada' });`,
  },
  sendMail: { code: `const sendMail = async (_data: unknown): Promise<void> => {};` },
  pager: { code: `const pager = { send: async (_text: string): Promise<void> => {} };` },
  askBilling: { code: `const askBilling = async (_signal: AbortSignal): Promise<number> => 3;` },
  listenToYourQueue: { code: `const listenToYourQueue = (_listener: () => void): (() => void) => () => {};` },
};

/** Longest run of a program that ends by itself, and longest wait for the first answer of one that does not. */
const RUN_MS = 30_000;
const TYPES_CONFIG = 'tsconfig.json';

/** A block as a module of the user's: with what it takes for granted before it, and what ends that behind it. */
export function moduleOf(block: Block): { readonly name: string; readonly text: string } {
  const names: string[] = [];
  const add = (name: string): void => {
    const preamble = PREAMBLES[name];
    if (!preamble) throw new Error(`${block.page}:${block.line}: no preamble is called ${name}`);
    preamble.needs?.forEach(add);
    if (!names.includes(name)) names.push(name);
  };
  if (block.language === 'js' && block.directive.with.length > 0) {
    throw new Error(`${block.page}:${block.line}: preambles are TypeScript`);
  }
  block.directive.with.forEach(add);
  const parts = names.map((name) => PREAMBLES[name]!);
  const imports = parts.flatMap((part) => (part.import && !block.text.includes(part.import) ? [part.import] : []));
  const ends = parts.toReversed().flatMap(({ end }) => (end ? [end] : []));
  const text = [...new Set(imports), ...parts.map(({ code }) => code), block.text, ...ends, 'export {};', ''].join(
    '\n',
  );
  const stem = `${block.page.replaceAll(/[/.]/g, '-')}-${block.line}`;
  const name = block.directive.file ?? `${stem}${block.language === 'ts' ? '.mts' : '.mjs'}`;
  return { name, text };
}

/** `tsc --strict` over the modules of a project. @returns its mistakes, one a line; empty where there are none */
export async function typeMistakes(project: Project, modules: readonly string[]): Promise<string> {
  const compilerOptions = {
    strict: true,
    noEmit: true,
    target: 'es2024',
    module: 'nodenext',
    types: ['node'],
    allowImportingTsExtensions: true,
    lib: ['es2024', 'esnext.disposable'],
  };
  project.write(TYPES_CONFIG, JSON.stringify({ compilerOptions, files: modules }));
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc');
  return promisify(execFile)(tsc, ['--project', TYPES_CONFIG], { cwd: project.dir }).then(
    () => '',
    (error: Error & { stdout?: string }) => error.stdout || error.message,
  );
}

/**
 * Runs a module that ends by itself.
 *
 * @param code - of the error that it must end with; default: it ends well
 * @returns what it printed where it ends in another way
 */
export async function runToEnd(project: Project, name: string, env: NodeJS.ProcessEnv, code?: string): Promise<string> {
  const program = new OwnedProcess(process.execPath, [name], { cwd: project.dir, env });
  const timer = setTimeout(() => program.signal('SIGKILL'), RUN_MS);
  const ended = await program.exited;
  clearTimeout(timer);
  const isRight = code === undefined ? ended === 0 : ended === 1 && program.log.includes(`code: '${code}'`);
  return isRight ? '' : `ended with ${ended}:\n${program.log}`;
}

/** A module that goes on running. */
export class Serving implements AsyncDisposable {
  readonly #program: OwnedProcess;
  readonly #url: string;

  constructor(program: OwnedProcess, url: string) {
    this.#program = program;
    this.#url = url;
  }

  /** Starts it and asks until it answers 200. @throws {Error} with what it printed where it does not */
  static async start(project: Project, name: string, path: string, env: NodeJS.ProcessEnv): Promise<Serving> {
    const port = await freePort();
    const program = new OwnedProcess(process.execPath, [name], { cwd: project.dir, env: { ...env, PORT: `${port}` } });
    const serving = new Serving(program, `http://127.0.0.1:${port}`);
    try {
      await eventually(async () => program.running && (await serving.get(path)).ok, { withinMs: RUN_MS, what: path });
      return serving;
    } catch (error) {
      await program.end();
      throw new Error(`${(error as Error).message}\n${program.log}`, { cause: error });
    }
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.#url + path, { headers });
  }

  /** Resolves when its health says that all is well. */
  async well(): Promise<void> {
    const status = async (): Promise<unknown> =>
      ((await (await this.get('/health')).json()) as { status: unknown }).status;
    await eventually(async () => (await status()) === 'pass', { withinMs: RUN_MS, what: 'pass' });
  }

  /** Stops it as Kubernetes would. @returns what it printed where it ends with anything but 0 */
  async stop(): Promise<string> {
    const code = await this.#program.end('SIGTERM', RUN_MS);
    return code === 0 ? '' : `ended with ${code} after SIGTERM:\n${this.#program.log}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.end();
  }
}
