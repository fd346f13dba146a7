import type { Session, SessionData, Store } from 'express-session';
import { Redis } from 'ioredis';

import { type PostgresControl, createPostgresBackend } from '../../src/backends/postgres.ts';
import type { RedisControl } from '../../src/backends/redis.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { BackendKind, Service } from '../../src/core/mode.ts';
import { type Logger, silentLogger } from '../../src/observe/log.ts';
import { createSessions } from '../../src/services/sessions/sessions.ts';
import type { Sessions } from '../../src/services/sessions/types.ts';
import { sharedDatabase } from '../support/postgres.ts';
import type { TestRedis } from '../support/redis.ts';
import { modeOf, testBackend, testConfig } from '../support/service-rig.ts';

export interface RigOptions {
  readonly redis: TestRedis;
  /** Default: a fresh database; `none` for no PostgreSQL at all. */
  readonly database?: string;
  /** Default: a fresh one. Instances of one fleet share both. */
  readonly keyPrefix?: string;
  readonly sessions?: object;
  readonly log?: Logger;
}

/** What an application may keep in a session. */
export interface Data {
  user?: string;
  visits?: number;
}

let rigs = 0;

/** One instance's session service over real backends, with the test in place of the machines. */
export class SessionsRig implements AsyncDisposable {
  readonly sessions: Sessions & Service;
  readonly store: Store;
  readonly backend: RedisControl;
  readonly sql: PostgresControl;
  /** Another client of the same Redis, to look at what lies there. */
  readonly inspect: Redis;
  readonly keyPrefix: string;
  #redisUp = false;
  #postgresUp = false;

  static async start(options: RigOptions): Promise<SessionsRig> {
    return new SessionsRig(options, options.database ?? (await sharedDatabase()));
  }

  private constructor({ redis, keyPrefix, sessions, log = silentLogger }: RigOptions, database: string) {
    this.keyPrefix = keyPrefix ?? `rig${(rigs += 1)}:`;
    const config = testConfig({
      redis: { url: redis.url, keyPrefix: this.keyPrefix },
      postgres: { url: database },
      sessions: { secret: 'a secret of the test, long enough to be one', deadline: '300ms', ...sessions },
    });
    const clock = systemClock;
    this.backend = testBackend(config);
    this.sql = createPostgresBackend({ config, log, clock, observe: () => undefined });
    this.sessions = createSessions({ config, redis: this.backend, sql: this.sql, log, clock, random: Math.random });
    this.store = this.sessions.store();
    this.inspect = new Redis(redis.url, { lazyConnect: true, retryStrategy: () => null });
    this.inspect.on('error', () => undefined);
    this.#applyMode();
  }

  get counters(): Readonly<Record<string, number>> {
    return this.sessions.report().counters;
  }

  async redisBack(): Promise<void> {
    const signal = AbortSignal.timeout(5_000);
    await this.backend.engage(signal);
    await this.sessions.reconcile('redis', signal);
    this.#redisUp = true;
    this.#applyMode();
  }

  redisLost(): void {
    this.#redisUp = false;
    this.#applyMode();
    this.backend.disengage();
  }

  async postgresBack(): Promise<void> {
    const signal = AbortSignal.timeout(5_000);
    await this.sql.engage(signal);
    await this.sessions.reconcile('postgres', signal);
    this.#postgresUp = true;
    this.#applyMode();
  }

  postgresLost(): void {
    this.#postgresUp = false;
    this.#applyMode();
    this.sql.disengage();
  }

  /** As express-session reads: the object that is saved later knows where it came from. */
  load(sid: string): Promise<(Session & SessionData & Data) | undefined> {
    return new Promise((resolve, reject) => {
      this.store.load(sid, (error: unknown, data?: unknown) =>
        error ? reject(error as Error) : resolve(data as Session & SessionData & Data),
      );
    });
  }

  save(sid: string, data: Data | SessionData): Promise<void> {
    const session = 'cookie' in data ? data : { ...data, cookie: { originalMaxAge: 60_000 } };
    return this.#call((done) => this.store.set(sid, session as SessionData, done));
  }

  destroy(sid: string): Promise<void> {
    return this.#call((done) => this.store.destroy(sid, done));
  }

  touch(sid: string, data: SessionData): Promise<void> {
    return this.#call((done) => this.store.touch?.(sid, data, done));
  }

  /** Rows of the table, as PostgreSQL has them. */
  async rows(): Promise<{ sid: string; box: string | null; dead: boolean; life: number }[]> {
    const { rows } = await this.sql.query<{ sid: string; box: string | null; dead: boolean; life: number }>(
      'select sid, box, dead, extract(epoch from expire - now()::timestamp)::float8 as life from session',
    );
    return rows;
  }

  /** Records in Redis, of every epoch. */
  async records(): Promise<string[]> {
    const keys = (await this.inspect.keys(`${this.keyPrefix}s:*`)).filter((key) => !key.endsWith('s:epoch'));
    return keys.length === 0 ? [] : (await this.inspect.mget(keys)).map(String);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sessions.close(AbortSignal.timeout(2_000));
    this.inspect.disconnect();
    await this.backend.close();
    await this.sql.close(AbortSignal.timeout(2_000));
  }

  #applyMode(): void {
    const usable: BackendKind[] = [];
    if (this.#redisUp) usable.push('redis');
    if (this.#postgresUp) usable.push('postgres');
    this.sessions.applyMode(modeOf('sessions', [...usable, 'memory']));
  }

  #call(work: (done: (error?: unknown) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      work((error) => (error ? reject(error as Error) : resolve()));
    });
  }
}
