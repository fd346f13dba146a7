import type { Redis } from 'ioredis';

/** What a connection is for: each purpose has its own, so that one stuck command never holds up another's. */
export type RedisRole = 'requests' | 'probe' | 'subscriber' | 'blocking';

export interface CallOptions {
  /** Default: `redis.deadline` or `postgres.deadline`. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

export interface QueryOptions extends CallOptions {
  /**
   * The text is one of a few that never change: each connection parses and plans it once. Where a pooler gives a
   * connection to somebody else in between, it is parsed each time, as without this.
   */
  readonly prepared?: boolean;
}

/**
 * A connection that the backend keeps for a service beside the shared requests client: opened
 * while Redis is engaged, rebuilt when it breaks, thrown away when Redis goes out of use.
 */
export interface RedisLink extends AsyncDisposable {
  /** The client that is ready for commands now, or `undefined`. Never keep it across an await. */
  readonly client: Redis | undefined;
  /** Ends the link for good. */
  close(): void;
}

export interface RedisLinkOptions {
  readonly role: RedisRole;
  /**
   * Called with every new client, ready for commands, before the link hands it out: attach listeners,
   * subscribe. Redis is not used again before it resolves; a rejection throws the client away.
   */
  readonly onReady?: (client: Redis) => void | Promise<void>;
  /** Called once for each client that is thrown away or breaks. */
  readonly onLost?: () => void;
  /** ioredis options on top of the role's, such as `maxRetriesPerRequest: null` for BullMQ. */
  readonly options?: object;
}

/** Redis as services see it: every call ends by its deadline, every outcome is reported to the detector. */
export interface RedisBackend {
  /** Whether a requests client is ready. Never waits, never throws. */
  readonly engaged: boolean;
  /** The requests client, for what `call` does not cover; never waits. */
  tryGetClient(): Redis | undefined;
  /**
   * Runs `work` on the requests client, under a deadline.
   *
   * @throws {RedoubtError} `ERR_REDIS_UNAVAILABLE` at once while there is no client or when it is thrown away
   * meanwhile (with `details.executed` `'unknown'` when the command had been sent), `ERR_DEADLINE` (unknown too),
   * `ERR_BACKPRESSURE`, `ERR_REDIS_REPLY` for a mistake of the caller's
   */
  call<T>(work: (client: Redis) => Promise<T>, options?: CallOptions): Promise<T>;
  /** A further connection that lives and dies with Redis being in use. */
  link(options: RedisLinkOptions): RedisLink;
}

export interface SqlResult<Row = Record<string, unknown>> {
  readonly rows: Row[];
  /** Rows that the statement changed or returned. */
  readonly rowCount: number;
}

/** PostgreSQL as services see it, be it a server or the embedded one. */
export interface SqlBackend {
  readonly kind: 'server' | 'embedded' | 'none';
  /**
   * Runs one statement under a deadline that contains the wait for a connection.
   *
   * @throws {RedoubtError} `ERR_POSTGRES_UNAVAILABLE` at once while PostgreSQL is out of use, `ERR_DEADLINE`,
   * `ERR_BACKPRESSURE`, `ERR_POSTGRES_REPLY` for a mistake of the caller's (the driver's error is the cause)
   */
  query<Row = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<SqlResult<Row>>;
}
