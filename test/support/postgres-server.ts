import { randomBytes } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';

import { Client } from 'pg';

import { OwnedProcess, freezeProcesses, removeFolder, signalProcesses, waitUntilUp } from './children.ts';
import { LOOPBACK, freePort } from './ports.ts';
import { POSTGRES_ENV, type PostgresInstallation, postgresFolder } from './postgres-binaries.ts';

const START_DEADLINE_MS = 20_000;

// synchronous_commit stays on: with fsync off a commit still survives a killed server, which is what the
// tests are about; only a power cut would lose it.
const SETTINGS = {
  listen_addresses: LOOPBACK,
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: '32MB',
  fsync: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  min_wal_size: '8MB',
  io_method: 'sync',
  autovacuum: 'off',
  jit: 'off',
  dynamic_shared_memory_type: 'mmap',
};

/** How a PostgreSQL of a test is started. */
export interface PostgresStart {
  /** Default: a free one. */
  readonly port?: number;
  /** Server settings over the kit's, e.g. `{ max_connections: '5' }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A real PostgreSQL 18 on 127.0.0.1, user `postgres`, no password; made by `startPostgres()`. */
export class TestPostgres implements AsyncDisposable {
  readonly port: number;
  readonly #installation: PostgresInstallation;
  readonly #folder: string;
  readonly #settings: Readonly<Record<string, string>>;
  #server: OwnedProcess | undefined;

  constructor(installation: PostgresInstallation, port: number, settings: PostgresStart['settings'] = {}) {
    this.port = port;
    this.#installation = installation;
    this.#settings = { ...SETTINGS, ...settings };
    this.#folder = postgresFolder(installation.account);
  }

  /** Of the database `postgres`; tests take `database()`. */
  get url(): string {
    return urlOf(this.port, 'postgres');
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

  /** Starts it, again on the same port and data where it was stopped; resolves once it answers a query. */
  async start(): Promise<void> {
    if (this.running) return;
    const { bin, account } = this.#installation;
    const settings = Object.entries(this.#settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]);
    const server = new OwnedProcess(
      join(bin, 'postgres'),
      ['-D', join(this.#folder, 'data'), '-p', `${this.port}`, ...settings],
      // SIGQUIT is "immediate shutdown": quick, and unlike SIGKILL it leaves no shared memory behind.
      { ...account, cwd: '/', env: POSTGRES_ENV, exitSignal: 'SIGQUIT' },
    );
    this.#server = server;
    await waitUntilUp('postgres', server, () => query(this.url, 'select 1'), START_DEADLINE_MS);
  }

  /** Immediate shutdown, as a crash: connections break, acknowledged commits stay. Works on a frozen server too. */
  async stop(): Promise<void> {
    if (this.running) this.thaw();
    await this.#server?.end('SIGQUIT');
  }

  /** SIGSTOP to all its processes: connections stay open, new ones are taken by the kernel, nothing is answered. */
  freeze(): void {
    if (!this.running) return;
    // The postmaster first, so that no new backend slips through between the listing and the stop.
    freezeProcesses([this.pid]);
    freezeProcesses(childrenOf(this.pid));
  }

  /** SIGCONT to all its processes: they go on, and execute what lay in their sockets. */
  thaw(): void {
    if (!this.running) return;
    signalProcesses([...childrenOf(this.pid), this.pid], 'SIGCONT');
  }

  /** Creates a fresh, empty database and returns its URL. */
  async database(): Promise<string> {
    return createDatabase(this.url);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    removeFolder(this.#folder);
  }

  /** Copies the template; once, before the first start. */
  initialise(): void {
    // cp -a keeps the owner, which Node's own copy would turn into root.
    execFileSync('cp', ['-a', this.#installation.template, join(this.#folder, 'data')]);
  }
}

/** Starts a server on a copy of the installation's template. */
export async function launchPostgres(
  installation: PostgresInstallation,
  start: PostgresStart = {},
): Promise<TestPostgres> {
  const server = new TestPostgres(installation, start.port ?? (await freePort()), start.settings);
  try {
    server.initialise();
    await server.start();
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

/** Creates a fresh, empty database on the server of `url` and returns its URL. */
export async function createDatabase(url: string): Promise<string> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await query(url, `create database ${name} template template0 strategy file_copy`);
  return urlOf(Number(new URL(url).port), name);
}

function urlOf(port: number, database: string): string {
  return `postgres://postgres@${LOOPBACK}:${port}/${database}`;
}

async function query(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000, query_timeout: 10_000 });
  // The server may go away while we leave; what counts was the query's own answer.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query(sql);
  } finally {
    await client.end();
  }
}

function childrenOf(parent: number): number[] {
  if (process.platform !== 'linux') {
    const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n');
    return lines
      .map((line) => line.trim().split(/\s+/).map(Number))
      .filter(([, ppid]) => ppid === parent)
      .map(([pid]) => pid!);
  }
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === parent);
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    // It ended while we looked.
    return undefined;
  }
}
