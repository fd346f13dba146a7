import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { OwnedProcess, removeAtExit, removeFolder, waitUntilUp } from './children.ts';
import { LOOPBACK, freePort } from './ports.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const REQUEST_DEADLINE_MS = 5_000;

/** How a Redoubt server of a test is started. */
export interface ServerStart {
  /** Its environment, over PATH, HOME, `HOST`, `PORT` and `NODE_ENV=test`; nothing else of ours leaks in. */
  readonly env?: Readonly<Record<string, string>>;
  /** The program, such as the built `dist/cli/main.js`; default: the sources. */
  readonly main?: string;
  /** Behind `serve`. */
  readonly args?: readonly string[];
  /** Working folder; default: a fresh one that is removed at the end, so that `.redoubt/` lands there. */
  readonly cwd?: string;
  /** Longest wait for `/health/live`; default 20,000 ms, since an embedded PostgreSQL starts slowly. */
  readonly deadlineMs?: number;
}

/** An answer of the health endpoint. */
export interface HealthAnswer {
  readonly status: number;
  // The report's own type lies in src; tests compare with what a monitoring system sees, plain JSON.
  readonly body: Record<string, unknown>;
}

/**
 * Starts `redoubt serve` from the sources in a process of its own and waits until it listens.
 *
 * @throws {Error} with its output when it exits first or does not answer in time
 */
export async function startServer(start: ServerStart = {}): Promise<TestServer> {
  const server = new TestServer(Number(start.env?.['PORT'] ?? 0) || (await freePort()), start);
  try {
    await server.listening(start.deadlineMs ?? 20_000);
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

/** A Redoubt server in its own process; made by `startServer()`. */
export class TestServer implements AsyncDisposable {
  readonly port: number;
  readonly cwd: string;
  readonly #ownsCwd: boolean;
  readonly #process: OwnedProcess;
  #stdout = '';
  #stderr = '';

  constructor(port: number, start: ServerStart) {
    this.port = port;
    this.#ownsCwd = start.cwd === undefined;
    this.cwd = start.cwd ?? mkdtempSync(join(tmpdir(), 'redoubt-server-'));
    if (this.#ownsCwd) removeAtExit(this.cwd);
    const { PATH, HOME } = process.env;
    this.#process = new OwnedProcess(process.execPath, [start.main ?? MAIN, 'serve', ...(start.args ?? [])], {
      cwd: this.cwd,
      env: { PATH, HOME, NODE_ENV: 'test', HOST: LOOPBACK, ...start.env, PORT: `${port}` },
    });
    this.#process.child.stdout?.on('data', (text: string) => {
      this.#stdout += text;
    });
    this.#process.child.stderr?.on('data', (text: string) => {
      this.#stderr += text;
    });
  }

  get url(): string {
    return `http://${LOOPBACK}:${this.port}`;
  }

  get pid(): number {
    return this.#process.pid;
  }

  get running(): boolean {
    return this.#process.running;
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Settles with its exit code, or the signal that ended it; never rejects. */
  get exited(): Promise<number | NodeJS.Signals> {
    return this.#process.exited;
  }

  /** A request to `path` that ends after five seconds, answered or not. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(new URL(path, this.url), { signal: AbortSignal.timeout(REQUEST_DEADLINE_MS), ...init });
  }

  /** What `GET /health` says. */
  async health(): Promise<HealthAnswer> {
    const answer = await this.fetch('/health');
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  }

  /** Sends a signal and leaves it at that, e.g. SIGSTOP to pause an instance. */
  signal(signal: NodeJS.Signals): void {
    this.#process.signal(signal);
  }

  /** Ends it, SIGTERM by default; SIGKILL follows after `graceMs`. Resolves with the exit code or the signal. */
  stop(signal: NodeJS.Signals = 'SIGTERM', graceMs = 15_000): Promise<number | NodeJS.Signals> {
    return this.#process.end(signal, graceMs);
  }

  /** Resolves once `/health/live` answers 200. */
  listening(deadlineMs: number): Promise<void> {
    return waitUntilUp(
      'redoubt serve',
      this.#process,
      async () => {
        const answer = await this.fetch('/health/live');
        if (!answer.ok) throw new Error(`/health/live answered ${answer.status}`);
      },
      deadlineMs,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL');
    if (this.#ownsCwd) removeFolder(this.cwd);
  }
}
