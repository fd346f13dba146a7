import type * as pg from 'pg';

import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import { withDeadline } from '../core/deadline.ts';
import { RedoubtError, isRedoubtError } from '../core/errors.ts';
import type { Logger } from '../observe/log.ts';
import { loadPostgresDriver } from './drivers.ts';
import { EmbeddedHost } from './embedded-host.ts';
import type { RawResult, RawValue } from './embedded-protocol.ts';
import { PROBE_SQL, type PostgresControl, type PostgresOptions } from './postgres-control.ts';
import { type PostgresFault, READ_ONLY, classifyPostgresError } from './postgres-errors.ts';
import { type Lease, PostgresGate } from './postgres-gate.ts';
import type { CallOptions, SqlResult } from './types.ts';

/** PGlite has one connection. */
const CONNECTIONS = 1;

/** What is used of node-postgres, parts that its types leave out included. */
type Driver = typeof pg & { readonly utils: { prepareValue(value: unknown): RawValue } };

/**
 * PostgreSQL in a worker thread, for one instance without a server: started by the first probe,
 * beside the server and never in its way; see `PostgresControl` for what it promises.
 */
export class EmbeddedPostgres implements PostgresControl {
  readonly kind = 'embedded';
  readonly #config: Config['postgres'];
  readonly #dir: string;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #gate: PostgresGate;
  readonly #host: EmbeddedHost;
  #asking: { readonly since: number; readonly answer: Promise<RawResult> } | undefined;
  #lost: (() => void) | undefined;
  #announced = false;
  #closed = false;

  constructor(dir: string, { config, log, clock, observe }: PostgresOptions) {
    const { queueMax, deadlineMs } = config.postgres;
    this.#config = config.postgres;
    this.#dir = dir;
    this.#log = log;
    this.#clock = clock;
    this.#gate = new PostgresGate({ permits: CONNECTIONS, queueMax, deadlineMs, clock, observe });
    this.#host = new EmbeddedHost(dir, clock, () => this.#lost?.());
  }

  async query<Row = Record<string, unknown>>(
    text: string,
    values: readonly unknown[] = [],
    options?: CallOptions,
  ): Promise<SqlResult<Row>> {
    const raw = await this.#gate.call((lease) => this.#execute(text, values, lease), options);
    const { types } = await this.#driver();
    return { rows: raw.rows.map((row) => toRow<Row>(types, raw, row)), rowCount: raw.rowCount };
  }

  async engage(signal: AbortSignal): Promise<void> {
    if (this.#closed) throw new RedoubtError('ERR_CLOSED');
    const { deadlineMs } = this.#config.probe;
    const started = this.#start().then(() => this.#host.request('select 1', []));
    await withDeadline(started, deadlineMs, { clock: this.#clock, signal, operation: 'engage' });
    this.#gate.open();
  }

  disengage(): void {
    this.#gate.shut();
  }

  async probe(signal: AbortSignal): Promise<{ latencyMs: number }> {
    if (this.#closed) throw new RedoubtError('ERR_CLOSED');
    const options = { clock: this.#clock, signal, operation: 'probe' };
    const { deadlineMs } = this.#config.probe;
    try {
      return await withDeadline(this.#probe(), deadlineMs, options);
    } catch (error) {
      if (!isRedoubtError(error, 'ERR_DEADLINE')) throw error;
      if (!this.#host.isReady) {
        throw new RedoubtError('ERR_POSTGRES_UNAVAILABLE', { reason: 'EMBEDDED_STARTING' }, { cause: error });
      }
      this.#killIfStuck(error);
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
    this.#closed = true;
    await this.#gate.close(signal);
    await this.#host.stop(signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close(AbortSignal.timeout(this.#config.deadlineMs));
  }

  #start(): Promise<void> {
    if (!this.#announced) {
      this.#announced = true;
      this.#log.info({ dir: this.#dir }, 'Starting the embedded PostgreSQL; the first start takes some seconds');
    }
    return this.#host.start();
  }

  #driver(): Promise<Driver> {
    return loadPostgresDriver() as Promise<Driver>;
  }

  async #execute(text: string, values: readonly unknown[], lease: Lease): Promise<RawResult> {
    const { utils } = await this.#driver();
    const raw = values.map((value) => utils.prepareValue(value));
    lease.sent();
    return this.#host.request(text, raw);
  }

  async #probe(): Promise<{ latencyMs: number }> {
    await this.#start();
    const asking = this.#ask();
    const { rows } = await asking.answer;
    if (rows[0]?.[0] !== 'f') throw new RedoubtError('ERR_POSTGRES_UNAVAILABLE', { reason: READ_ONLY });
    return { latencyMs: this.#clock.now() - asking.since };
  }

  /** One question at a time: behind a stuck statement questions must not pile up. */
  #ask(): { readonly since: number; readonly answer: Promise<RawResult> } {
    if (this.#asking) return this.#asking;
    const asking = { since: this.#clock.now(), answer: this.#host.request(PROBE_SQL, []) };
    const forget = (): void => {
      if (this.#asking === asking) this.#asking = undefined;
    };
    asking.answer.then(forget, forget);
    this.#asking = asking;
    return asking;
  }

  /**
   * PGlite has no statement_timeout, and its only connection cannot be thrown away without the
   * thread: out of use and without an answer for a whole deadline, it is ended and started anew.
   */
  #killIfStuck(error: RedoubtError): void {
    if (this.#gate.isOpen || error.details['late'] === true || !this.#asking) return;
    if (this.#clock.now() - this.#asking.since < this.#config.probe.deadlineMs) return;
    this.#log.warn({ machine: 'postgres' }, 'The embedded PostgreSQL hangs in a statement and is started anew');
    void this.#host.kill();
  }
}

function toRow<Row>(types: typeof pg.types, { fields }: RawResult, values: RawResult['rows'][number]): Row {
  const row: Record<string, unknown> = {};
  for (const [i, { name, oid }] of fields.entries()) {
    const value = values[i] ?? null;
    row[name] = value === null ? null : (types.getTypeParser(oid, 'text') as (text: string) => unknown)(value);
  }
  return row as Row;
}
