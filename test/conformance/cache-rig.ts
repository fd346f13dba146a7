import { type PostgresControl, createPostgresBackend } from '../../src/backends/postgres.ts';
import type { RedisControl } from '../../src/backends/redis.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Service } from '../../src/core/mode.ts';
import { silentLogger } from '../../src/observe/log.ts';
import { createCache } from '../../src/services/cache/cache.ts';
import type { Cache } from '../../src/services/cache/types.ts';
import { eventually } from '../support/eventually.ts';
import { type Hop, startHop } from '../support/hop.ts';
import type { TestRedis } from '../support/redis.ts';
import { modeOf, testBackend, testConfig } from '../support/service-rig.ts';

export interface CacheRigOptions {
  readonly redis: TestRedis;
  /** A URL; instances of one fleet share it. Default: `none`. */
  readonly database?: string;
  readonly keyPrefix?: string;
  readonly cache?: object;
  /** Default: none, as long after a recovery. */
  readonly ramp?: object;
}

let prefixes = 0;

/** One instance's cache over real backends behind a hop of its own, with the test in place of the machines. */
export class CacheRig implements AsyncDisposable {
  readonly cache: Cache & Service;
  readonly redis: RedisControl;
  readonly sql: PostgresControl;
  readonly hop: Hop;
  readonly keyPrefix: string;

  /** An instance on which Redis and, where there is one, PostgreSQL are in use. */
  static async start(options: CacheRigOptions): Promise<CacheRig> {
    const rig = new CacheRig(options, await startHop({ to: options.redis.port, mode: 'pass' }));
    if (options.database) await rig.postgresBack();
    await rig.redisBack();
    return rig;
  }

  /** One that has never seen Redis. */
  static async startWithoutRedis(options: CacheRigOptions): Promise<CacheRig> {
    const rig = new CacheRig(options, await startHop({ to: options.redis.port, mode: 'pass' }));
    if (options.database) await rig.postgresBack();
    return rig;
  }

  private constructor({ database, keyPrefix, cache, ramp }: CacheRigOptions, hop: Hop) {
    this.hop = hop;
    this.keyPrefix = keyPrefix ?? `cache${(prefixes += 1)}:`;
    const config = testConfig({
      redis: { url: hop.url(), keyPrefix: this.keyPrefix, ramp: ramp ?? { start: 10_000 } },
      postgres: { url: database ?? 'none' },
      cache: cache ?? {},
    });
    const parts = { config, log: silentLogger, clock: systemClock };
    this.redis = testBackend(config);
    this.sql = createPostgresBackend({ ...parts, observe: () => undefined });
    this.cache = createCache({ ...parts, redis: this.redis, sql: this.sql, random: Math.random });
    this.cache.applyMode(modeOf('cache', ['memory']));
  }

  /** What the machine does when Redis is lost, whatever the hop lets through. */
  redisLost(): void {
    this.cache.applyMode(modeOf('cache', ['memory']));
    this.redis.disengage();
  }

  async redisBack(): Promise<void> {
    const signal = AbortSignal.timeout(5_000);
    await this.redis.engage(signal);
    await this.cache.reconcile('redis', signal);
    this.cache.applyMode(modeOf('cache', ['redis', 'memory']));
  }

  async postgresBack(): Promise<void> {
    // The embedded one takes seconds to start, and its first probe is what starts it.
    await eventually(async () => void (await this.sql.probe(AbortSignal.timeout(1_000))), { withinMs: 30_000 });
    const signal = AbortSignal.timeout(5_000);
    await this.sql.engage(signal);
    await this.cache.reconcile('postgres', signal);
  }

  /** Ends as a killed process does: nobody is told anything. */
  async kill(): Promise<void> {
    this.sql.disengage();
    this.redis.disengage();
    await this.cache.close(AbortSignal.timeout(10));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cache.close(AbortSignal.timeout(2_000));
    await this.redis.close();
    await this.sql.close(AbortSignal.timeout(2_000));
    await this.hop[Symbol.asyncDispose]();
  }
}
