import type { Worker } from 'node:worker_threads';

import type { Clock, Timer } from '../core/clock.ts';
import { RedoubtError } from '../core/errors.ts';
import { loadPostgresDriver } from './drivers.ts';
import { lockDirectory } from './embedded-lock.ts';
import type { RawResult, RawValue, WorkerReply, WorkerRequest, WorkerStart } from './embedded-protocol.ts';

/** A first start writes the whole cluster: 3 s measured on two shared cores, and 40 times that for slow disks. */
const START_TIMEOUT_MS = 120_000;

// From the sources Node strips the types of a .ts worker, in dist it is .js: the worker has our own extension.
const WORKER_FILE = new URL(`./embedded-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);

interface Pending {
  readonly resolve: (result: RawResult) => void;
  readonly reject: (error: unknown) => void;
}

/** One running worker; a new one after each crash. */
interface Run {
  readonly worker: Worker;
  readonly pending: Map<number, Pending>;
  readonly exited: Promise<void>;
  readonly ready: Promise<void>;
  isReady: boolean;
}

/**
 * Owns the worker thread of the embedded PostgreSQL and the lock on its directory: starts it, asks
 * it, notices when it crashes, ends it. The worker never keeps the process alive by itself.
 */
export class EmbeddedHost {
  readonly #dir: string;
  readonly #clock: Clock;
  readonly #onCrash: () => void;
  #run: Run | undefined;
  #unlock: (() => void) | undefined;
  #nextId = 1;

  constructor(dir: string, clock: Clock, onCrash: () => void) {
    this.#dir = dir;
    this.#clock = clock;
    this.#onCrash = onCrash;
  }

  get isReady(): boolean {
    return this.#run?.isReady ?? false;
  }

  /**
   * Resolves once the database answers; joins a start under way.
   *
   * @throws {RedoubtError} `ERR_EMBEDDED_LOCKED`, or `ERR_POSTGRES_UNAVAILABLE` when the worker ends first
   */
  async start(): Promise<void> {
    this.#unlock ??= lockDirectory(this.#dir);
    this.#run ??= this.#spawn();
    await this.#run.ready;
  }

  /** Runs one statement; settles when the worker answers or ends, which is the caller's to bound. */
  request(text: string, values: readonly RawValue[]): Promise<RawResult> {
    const run = this.#run;
    if (!run?.isReady) return Promise.reject(notRunning('EMBEDDED_STOPPED', 'no'));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      run.pending.set(id, { resolve, reject });
      post(run.worker, { type: 'query', id, text, values });
    });
  }

  /** Ends the worker as it stands, as a crash would; its statements reject. The next `start` begins anew. */
  async kill(): Promise<void> {
    const run = this.#run;
    if (!run) return;
    this.#forget(run, 'EMBEDDED_STOPPED');
    // Held only now: what is awaited must not let the process end meanwhile.
    run.worker.ref();
    await run.worker.terminate();
  }

  /** Closes the database cleanly, or ends the worker as it stands when `signal` is aborted first. */
  async stop(signal: AbortSignal): Promise<void> {
    const run = this.#run;
    if (run?.isReady && !signal.aborted) {
      run.worker.ref();
      post(run.worker, { type: 'close' });
      this.#run = undefined;
      await Promise.race([run.exited, aborted(signal)]);
      rejectAll(run, notRunning('EMBEDDED_STOPPED', 'unknown'));
      await run.worker.terminate();
    } else {
      await this.kill();
    }
    this.#unlock?.();
    this.#unlock = undefined;
  }

  #spawn(): Run {
    const workerData: WorkerStart = { dir: this.#dir };
    // An environment of its own: nothing in there is the worker's business, secrets least of all.
    // Not by an import: most processes never start one.
    const threads = process.getBuiltinModule('node:worker_threads');
    const worker = new threads.Worker(WORKER_FILE, { workerData, env: {}, execArgv: [], name: 'redoubt-postgres' });
    const ready = Promise.withResolvers<void>();
    const exited = Promise.withResolvers<void>();
    // Whoever awaits `ready` hears of it; where nobody does, nobody needs to.
    ready.promise.catch(() => undefined);
    const run: Run = {
      worker,
      pending: new Map(),
      exited: exited.promise,
      ready: ready.promise,
      isReady: false,
    };
    let cause: unknown;
    const timer: Timer = this.#clock.setTimeout(() => void this.kill(), START_TIMEOUT_MS);
    worker.on('message', (reply: WorkerReply) => {
      if (reply.type !== 'ready') return settle(run, reply);
      this.#clock.clearTimeout(timer);
      run.isReady = true;
      ready.resolve();
    });
    // Only now: listening for messages holds the process again.
    worker.unref();
    worker.on('error', (error) => {
      cause = error;
    });
    worker.once('exit', () => {
      this.#clock.clearTimeout(timer);
      ready.reject(notRunning('EMBEDDED_CRASHED', 'no', cause));
      const crashed = this.#run === run;
      this.#forget(run, 'EMBEDDED_CRASHED', cause);
      exited.resolve();
      if (crashed) this.#onCrash();
    });
    return run;
  }

  #forget(run: Run, reason: string, cause?: unknown): void {
    if (this.#run === run) this.#run = undefined;
    run.isReady = false;
    rejectAll(run, notRunning(reason, 'unknown', cause));
  }
}

function settle(run: Run, reply: Exclude<WorkerReply, { type: 'ready' }>): void {
  const pending = run.pending.get(reply.id);
  run.pending.delete(reply.id);
  if (reply.type === 'result') pending?.resolve(reply.result);
  else if (pending) void refuse(pending, reply);
}

async function refuse(pending: Pending, { message, fields }: Extract<WorkerReply, { type: 'error' }>): Promise<void> {
  const { DatabaseError } = await loadPostgresDriver();
  pending.reject(Object.assign(new DatabaseError(message, 0, 'error'), fields));
}

function rejectAll(run: Run, error: RedoubtError): void {
  for (const pending of run.pending.values()) pending.reject(error);
  run.pending.clear();
}

function post(worker: Worker, request: WorkerRequest): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  worker.postMessage(request);
}

function notRunning(reason: string, executed: 'no' | 'unknown', cause?: unknown): RedoubtError {
  return new RedoubtError('ERR_POSTGRES_UNAVAILABLE', { reason, executed }, { cause });
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
