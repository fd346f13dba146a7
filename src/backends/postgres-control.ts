import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import type { Observe } from '../core/outcome.ts';
import type { Logger } from '../observe/log.ts';
import type { PostgresFault } from './postgres-errors.ts';
import type { SqlBackend } from './types.ts';

export interface PostgresOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly clock: Clock;
  /** Takes the outcome of every query. */
  readonly observe: Observe;
}

/** What the composition root steers; services see only `SqlBackend`. */
export interface PostgresControl extends SqlBackend, AsyncDisposable {
  /** Opens for calls: after this `query` works. @throws what keeps it from working */
  engage(signal: AbortSignal): Promise<void>;
  /** Out of use: calls under way and later ones reject at once; connections are destroyed without waiting. */
  disengage(): void;
  /**
   * One full probe on its own connection, within `postgres.probe.deadline`.
   *
   * @returns the time of the statement alone, without connecting
   * @throws the driver's error or ours; `classify` sorts it
   */
  probe(signal: AbortSignal): Promise<{ latencyMs: number }>;
  classify(error: unknown): PostgresFault;
  /** Names the one listener that is called when an idle connection breaks by itself. */
  onBroken(listener: () => void): void;
  /** Lets calls under way finish until `signal` is aborted, then lets go of everything. */
  close(signal: AbortSignal): Promise<void>;
}

/** What every probe asks: a standby and a read-only server answer, yet take no session. */
export const PROBE_SQL = "select pg_is_in_recovery() or current_setting('transaction_read_only')::bool as read_only";
