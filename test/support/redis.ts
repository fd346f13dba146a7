import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Redis, type RedisOptions } from 'ioredis';

import { requireProgram } from '../../scripts/programs.ts';
import { OwnedProcess, freezeProcesses, removeAtExit, removeFolder, waitUntilUp } from './children.ts';
import { LOOPBACK, freePort, tryConnect } from './ports.ts';

const START_DEADLINE_MS = 10_000;

/**
 * What a start waits for: `ready` any answer to PING but LOADING (a refused password is an answer),
 * `answering` any answer, `listening` an accepted connection on `port`.
 */
export type RedisUntil = 'ready' | 'answering' | 'listening';

/** How a Redis of a test is started. */
export interface RedisStart {
  /** Default: a free one. */
  readonly port?: number;
  /** More arguments for redis-server, e.g. `['--maxmemory', '1']`; later ones win over the kit's. */
  readonly args?: readonly string[];
  /** Its working folder, kept at the end; default: a fresh one that is removed. */
  readonly dir?: string;
  readonly until?: RedisUntil;
}

/** How it comes back. */
export interface RedisRestart {
  /** Forgets a snapshot that SAVE had written; without it the old data is loaded, as after a real crash. */
  readonly empty?: boolean;
  /** In place of the arguments of the start. */
  readonly args?: readonly string[];
  readonly until?: RedisUntil;
}

/**
 * Starts a real redis-server on 127.0.0.1 that saves nothing by itself.
 *
 * @throws {Error} with its log when it does not answer within ten seconds
 */
export async function startRedis(start: RedisStart = {}): Promise<TestRedis> {
  const redis = new TestRedis(start.port ?? (await freePort()), start);
  try {
    await redis.restart({ until: start.until ?? 'ready' });
  } catch (error) {
    await redis[Symbol.asyncDispose]();
    throw error;
  }
  return redis;
}

/** A redis-server of one test; made by `startRedis()`. */
export class TestRedis implements AsyncDisposable {
  readonly port: number;
  /** Its working folder; a snapshot lies there as `dump.rdb`. */
  readonly dir: string;
  readonly #ownsDir: boolean;
  readonly #clients = new Set<Redis>();
  #args: readonly string[];
  #server: OwnedProcess | undefined;

  constructor(port: number, start: RedisStart) {
    this.port = port;
    this.#args = start.args ?? [];
    this.#ownsDir = start.dir === undefined;
    this.dir = start.dir ?? mkdtempSync(join(tmpdir(), 'redoubt-redis-'));
    if (this.#ownsDir) removeAtExit(this.dir);
  }

  get url(): string {
    return `redis://${LOOPBACK}:${this.port}`;
  }

  get pid(): number {
    return this.#server?.pid ?? -1;
  }

  get running(): boolean {
    return this.#server?.running ?? false;
  }

  /** What the server printed last. */
  get log(): string {
    return this.#server?.log ?? '';
  }

  /** SIGKILL, as a crash; resolves once the process is gone and the port refuses. */
  async kill(): Promise<void> {
    await this.#server?.end('SIGKILL');
  }

  /** Starts it again on the same port, after a kill where it still runs. */
  async restart(options: RedisRestart = {}): Promise<void> {
    await this.kill();
    if (options.args) this.#args = options.args;
    if (options.empty) {
      rmSync(join(this.dir, 'dump.rdb'), { force: true });
      rmSync(join(this.dir, 'appendonlydir'), { recursive: true, force: true });
    }
    const own = ['--port', `${this.port}`, '--bind', LOOPBACK, '--dir', this.dir, '--save', '', '--appendonly', 'no'];
    const server = new OwnedProcess(requireProgram('redis'), [...own, ...this.#args]);
    this.#server = server;
    const until = options.until ?? 'ready';
    await waitUntilUp('redis-server', server, () => this.#answers(until), START_DEADLINE_MS);
  }

  /** SIGSTOP: connections stay open, the kernel still accepts new ones, nothing is answered. */
  freeze(): void {
    if (this.running) freezeProcesses([this.pid]);
  }

  /** SIGCONT: it goes on, and executes what lay in its sockets. */
  thaw(): void {
    this.#server?.signal('SIGCONT');
  }

  /** A plain client, straight to the server, closed with it; its calls wait where the server does not answer. */
  client(options: RedisOptions = {}): Redis {
    const client = new Redis({ host: LOOPBACK, port: this.port, retryStrategy: () => 20, ...options });
    // A test kills the server on purpose; what that means for a call, the call's own promise says.
    client.on('error', () => undefined);
    this.#clients.add(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.disconnect();
    this.#clients.clear();
    await this.kill();
    if (this.#ownsDir) removeFolder(this.dir);
  }

  async #answers(until: RedisUntil): Promise<void> {
    if (until === 'listening') return tryConnect(this.port);
    const reply = await ping(this.port);
    if (until === 'ready' && reply.startsWith('-LOADING')) throw new Error(reply.trim());
  }
}

/** One PING on a connection of its own, through a hop or straight; rejects where nothing answers within a second. */
export function ping(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: LOOPBACK }, () => socket.write('PING\r\n'));
    socket.setTimeout(1_000, () => socket.destroy(new Error('no answer to PING')));
    socket.setEncoding('latin1');
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed before an answer to PING')));
    socket.once('data', (reply: string) => {
      resolve(reply);
      socket.destroy();
    });
  });
}
