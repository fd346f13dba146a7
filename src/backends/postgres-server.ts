import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';

import type * as pg from 'pg';
import type { Client, ClientConfig, Pool, PoolClient, QueryResult } from 'pg';

import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import { withDeadline } from '../core/deadline.ts';
import { RedoubtError } from '../core/errors.ts';
import { loadPostgresDriver } from './drivers.ts';
import { PROBE_SQL, type PostgresControl, type PostgresOptions } from './postgres-control.ts';
import { type PostgresFault, READ_ONLY, classifyPostgresError, sqlStateOf } from './postgres-errors.ts';
import { type Lease, PostgresGate } from './postgres-gate.ts';
import type { QueryOptions, SqlResult } from './types.ts';

/** The server gives up a little before we do, so that it is not left working for nobody. */
const SERVER_SHARE = 0.9;

/** A client that can be thrown away at any moment, its handshake included. */
interface Connection extends Client {
  /** What this connection's statement_timeout is now, in milliseconds. */
  statementMs: number;
  discard(): void;
  /** Lets the process end although it is open; node-postgres' own, which its types leave out. */
  unref(): void;
}

/** @param onEnd - told of each client that has ended, and of each new one by `onStart` */
function connectionClass(
  { Client }: typeof pg,
  statementMs: number,
  onStart?: (client: Connection) => void,
  onEnd?: (client: Connection) => void,
): new (config?: ClientConfig) => Connection {
  return class
    extends (Client as unknown as new (config?: ClientConfig) => Client & { unref(): void })
    implements Connection
  {
    statementMs = statementMs;

    constructor(config?: ClientConfig) {
      super(config);
      // A connection that breaks while nobody uses it must not end the process.
      this.on('error', () => undefined);
      this.once('end', () => onEnd?.(this));
      onStart?.(this);
    }

    /**
     * Destroys the socket, since a frozen server never answers a goodbye. Not `end()`: called in the
     * handshake it keeps node-postgres 8.23 from ever settling `connect()`.
     */
    discard(): void {
      (this as unknown as { connection: { stream: Socket } }).connection.stream.destroy();
    }
  };
}

/** One time of being in use: a pool, and every client it ever made. */
interface Engagement {
  readonly pool: Pool;
  readonly clients: Set<Connection>;
  /** Whether what a connection has prepared is still there at its next statement. */
  prepares: boolean;
}

/**
 * SQLSTATEs that say so of a prepared statement, before anything of it is executed: it is gone (a pooler gave us another
 * server's connection), another client of the pooler has prepared it there, or the table has other types now.
 */
const UNPREPARED: ReadonlySet<string> = new Set(['26000', '42P05', '0A000']);

/** PostgreSQL as a server behind a pool; see `PostgresControl` for what it promises. */
export class ServerPostgres implements PostgresControl {
  readonly kind = 'server';
  readonly #config: Config['postgres'];
  readonly #url: string;
  readonly #clock: Clock;
  readonly #gate: PostgresGate;
  #engagement: Engagement | undefined;
  #probe: Connection | undefined;
  #lost: (() => void) | undefined;

  constructor(url: string, { config, clock, observe }: PostgresOptions) {
    const { poolMax, queueMax, deadlineMs } = config.postgres;
    this.#config = config.postgres;
    this.#url = url;
    this.#clock = clock;
    this.#gate = new PostgresGate({ permits: poolMax, queueMax, deadlineMs, clock, observe });
  }

  query<Row = Record<string, unknown>>(
    text: string,
    values: readonly unknown[] = [],
    options?: QueryOptions,
  ): Promise<SqlResult<Row>> {
    const name = options?.prepared === true ? nameOf(text) : undefined;
    return this.#gate.call<SqlResult<Row>>((lease) => this.#execute({ name, text, values }, lease), options);
  }

  async engage(signal: AbortSignal): Promise<void> {
    const driver = await loadPostgresDriver();
    signal.throwIfAborted();
    if (this.#gate.isOpen) return;
    this.disengage();
    const engagement = this.#createPool(driver);
    this.#engagement = engagement;
    try {
      // One connection now: whoever calls first must not pay for it, or be the one to find out.
      const connecting = engagement.pool.connect().then((client) => client.release());
      await withDeadline(connecting, this.#config.connectTimeoutMs, {
        clock: this.#clock,
        signal,
        operation: 'connect',
      });
      if (this.#engagement !== engagement) throw new RedoubtError('ERR_POSTGRES_UNAVAILABLE', { executed: 'no' });
      this.#gate.open();
    } catch (error) {
      if (this.#engagement === engagement) this.disengage();
      throw error;
    }
  }

  disengage(): void {
    this.#gate.shut();
    const engagement = this.#engagement;
    this.#engagement = undefined;
    if (!engagement) return;
    for (const client of engagement.clients) client.discard();
    engagement.pool.end().catch(() => undefined);
  }

  async probe(signal: AbortSignal): Promise<{ latencyMs: number }> {
    const { deadlineMs } = this.#config.probe;
    const driver = await loadPostgresDriver();
    const fresh = this.#probe === undefined;
    const client = (this.#probe ??= this.#createProbeClient(driver, deadlineMs));
    const ask = async (): Promise<{ latencyMs: number }> => {
      if (fresh) {
        await client.connect();
        client.unref();
      }
      const askedAt = this.#clock.now();
      const { rows } = await client.query<{ read_only: boolean }>(PROBE_SQL);
      if (rows[0]?.read_only !== false) throw new RedoubtError('ERR_POSTGRES_UNAVAILABLE', { reason: READ_ONLY });
      return { latencyMs: this.#clock.now() - askedAt };
    };
    try {
      return await withDeadline(ask(), deadlineMs, { clock: this.#clock, signal, operation: 'probe' });
    } catch (error) {
      this.#dropProbe(client);
      throw error;
    }
  }

  classify(error: unknown): PostgresFault {
    return classifyPostgresError(error);
  }

  onBroken(listener: () => void): void {
    this.#lost = listener;
  }

  async close(signal: AbortSignal): Promise<void> {
    await this.#gate.close(signal);
    if (this.#probe) this.#dropProbe(this.#probe);
    this.disengage();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close(AbortSignal.timeout(this.#config.deadlineMs));
  }

  async #execute<Row>(statement: Statement, lease: Lease): Promise<SqlResult<Row>> {
    const engagement = this.#engagement;
    if (!engagement) throw new RedoubtError('ERR_POSTGRES_UNAVAILABLE', { executed: 'no' });
    const client = (await engagement.pool.connect()) as unknown as Connection & PoolClient;
    const discard = (): void => client.discard();
    let healthy = false;
    try {
      if (lease.abandoned.aborted) {
        healthy = true;
        throw lease.abandoned.reason;
      }
      lease.abandoned.addEventListener('abort', discard, { once: true });
      await this.#allow(client, lease.deadlineMs);
      lease.sent();
      // Several statements in one text give several results; the last one is the answer.
      const { rows, rowCount } = [await send(client, statement, engagement)].flat().at(-1)!;
      healthy = true;
      return { rows: rows as Row[], rowCount: rowCount ?? 0 };
    } catch (error) {
      healthy = sqlStateOf(error) !== undefined && classifyPostgresError(error).kind !== 'lost';
      throw error;
    } finally {
      lease.abandoned.removeEventListener('abort', discard);
      if (!healthy) discard();
      client.release(!healthy);
    }
  }

  /** Lets a statement that was given more time than usual have it on the server too. */
  async #allow(client: Connection, deadlineMs: number): Promise<void> {
    const wanted = statementTimeout(Math.max(deadlineMs, this.#config.deadlineMs));
    if (client.statementMs === wanted) return;
    await client.query("select set_config('statement_timeout', $1, false)", [String(wanted)]);
    client.statementMs = wanted;
  }

  #createPool(driver: typeof pg): Engagement {
    const clients = new Set<Connection>();
    const { poolMax, deadlineMs } = this.#config;
    const statementMs = statementTimeout(deadlineMs);
    const pool = new driver.Pool({
      ...this.#clientConfig(statementMs),
      connectionTimeoutMillis: this.#config.connectTimeoutMs,
      max: poolMax,
      // Idle connections do not keep the process alive; whoever awaits a statement does, by its deadline.
      allowExitOnIdle: true,
      Client: connectionClass(
        driver,
        statementMs,
        (client) => clients.add(client),
        (client) => clients.delete(client),
      ),
    });
    // Emitted for idle connections only: those in use reject their statement.
    pool.on('error', () => {
      if (this.#engagement?.pool === pool) this.#lost?.();
    });
    return { pool, clients, prepares: true };
  }

  #createProbeClient(driver: typeof pg, deadlineMs: number): Connection {
    const statementMs = statementTimeout(deadlineMs);
    const client = new (connectionClass(driver, statementMs))(this.#clientConfig(statementMs));
    client.on('error', () => {
      if (this.#probe !== client) return;
      this.#dropProbe(client);
      this.#lost?.();
    });
    return client;
  }

  #dropProbe(client: Connection): void {
    if (this.#probe === client) this.#probe = undefined;
    client.discard();
  }

  #clientConfig(statementMs: number): ClientConfig {
    return {
      connectionString: this.#url,
      application_name: 'redoubt',
      statement_timeout: statementMs,
      keepAlive: true,
    };
  }
}

interface Statement {
  /** Under which a connection prepares it; `undefined` to have it parsed each time. */
  readonly name: string | undefined;
  readonly text: string;
  readonly values: readonly unknown[];
}

async function send(client: Client, { name, text, values }: Statement, engagement: Engagement): Promise<QueryResult> {
  if (name !== undefined && engagement.prepares) {
    try {
      return await client.query({ name, text, values: [...values] });
    } catch (error) {
      if (!UNPREPARED.has(sqlStateOf(error) ?? 'none')) throw error;
      engagement.prepares = false;
    }
  }
  return await client.query(text, [...values]);
}

const names = new Map<string, string>();

/** Of the text, so that two versions of Redoubt behind one pooler never take each other's statements. */
function nameOf(text: string): string {
  let name = names.get(text);
  if (name === undefined) {
    name = `redoubt_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
    names.set(text, name);
  }
  return name;
}

function statementTimeout(deadlineMs: number): number {
  return Math.max(1, Math.floor(deadlineMs * SERVER_SHARE));
}
