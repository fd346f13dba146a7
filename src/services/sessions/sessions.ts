// The protocol.
//
// PostgreSQL is the truth, Redis only speed, memory the last resort. A session at rest is a record
// { version, sealed box } or a tombstone, under a hash of its id; the version counts its writes.
//
// Where a write goes        what acknowledges it          what is owed
//   redis + postgres        both                          nothing
//   postgres only           PostgreSQL                    if Redis was asked: its id is distrusted (not read from
//                                                         Redis) until a stored write or the next epoch
//   redis only              Redis                         a journal entry for PostgreSQL
//   neither                 sealed memory                 a journal entry; lost if the process ends before replay
//   no PostgreSQL at all    Redis, else sealed memory     a journal entry for Redis
//
// A read asks the usable tiers in the mode's order. A hit in Redis ends it; a miss goes on to
// PostgreSQL, whose answer is final and refills Redis. Nobody answers: the journal, then memory, then
// ERR_SESSION_UNKNOWN: never a silent new session. What this process acknowledged and a tier does not
// show yet wins: its logouts always, its journal by version, and Redis never beats a version seen here.
//
// What moves it
//   Redis lost         applyMode: no call waits for Redis any more.
//   reconcile(redis)   journal → PostgreSQL; epoch + 1 in PostgreSQL; writes go to Redis too, under the new epoch;
//                      the writes already under way end; the epoch is published in Redis, so that the other
//                      instances move to it. Redis' keys carry the epoch: nothing from before is ever read, and
//                      what Redis executes late is refused by version or epoch.
//                      Without PostgreSQL: the epoch that Redis knows stays, the journal is replayed by
//                      compare-and-set, and the raise is owed until PostgreSQL is back.
//   reconcile(postgres) tables; writes go to PostgreSQL too; journal → PostgreSQL, tombstones and newer rows win;
//                      an owed epoch is raised.
//
// What it promises to one instance: no acknowledged write lost but those that only memory took (the notice
// says so), no acknowledged logout undone, no silent new session while the answer is unknown.
// Between instances PostgreSQL's side compares nothing yet: while Redis is out of use the last write wins.

import type { Store } from 'express-session';

import type { RedisBackend, SqlBackend } from '../../backends/types.ts';
import type { Config } from '../../config/schema.ts';
import type { Clock, Timer } from '../../core/clock.ts';
import { type Mode, type Service, type ServiceReport, scopeOf } from '../../core/mode.ts';
import { type Epochs, createEpochs } from '../../fleet/epoch.ts';
import type { Logger } from '../../observe/log.ts';
import { Journal, MemoryTier } from './memory-tier.ts';
import { createMiddleware } from './middleware.ts';
import { type Truth, createCounts, noticeOf } from './notice.ts';
import { PostgresTier } from './postgres-tier.ts';
import { SessionRecords } from './records.ts';
import { RedisTier } from './redis-tier.ts';
import { Replayer } from './replay.ts';
import { type Sealer, createSealer } from './seal.ts';
import { resolveSecrets } from './secrets.ts';
import { SealedStore } from './store.ts';
import type { SessionMiddlewareOptions, Sessions } from './types.ts';
import { createVault } from './vault.ts';

export { assertSessionSecret } from './secrets.ts';

export interface SessionsOptions {
  readonly config: Config;
  readonly redis: RedisBackend;
  readonly sql: SqlBackend;
  readonly log: Logger;
  readonly clock: Clock;
  /** Uniform in [0, 1); for jitter only, never for keys or ids. */
  readonly random: () => number;
}

/** Makes the session service; it opens nothing before the first mode is applied. */
export function createSessions(options: SessionsOptions): Sessions & Service {
  return new SessionService(options);
}

const EPOCH = 'sessions';

class SessionService implements Sessions, Service {
  readonly name = 'sessions';
  readonly #options: SessionsOptions;
  readonly #truth: Truth;
  readonly #redis: RedisTier;
  readonly #postgres: PostgresTier;
  readonly #memory: MemoryTier;
  readonly #journal: Journal;
  readonly #records: SessionRecords;
  readonly #replayer: Replayer;
  readonly #epochs: Epochs;
  readonly #counts = createCounts();
  #mode: Mode | undefined;
  #keys: { readonly secrets: readonly string[]; readonly sealer: Sealer } | undefined;
  #epochOwed = false;
  #pruneTimer: Timer | undefined;
  #closed = false;

  constructor(options: SessionsOptions) {
    const { config, redis, sql, clock, random } = options;
    const { sessions } = config;
    this.#options = options;
    this.#truth = sql.kind === 'none' ? 'redis' : 'postgres';
    this.#redis = new RedisTier({
      redis,
      keyPrefix: config.redis.keyPrefix,
      deadlineMs: sessions.deadlineMs,
      distrustMax: sessions.memoryMax,
    });
    this.#postgres = new PostgresTier({ sql, table: sessions.table, clock });
    this.#memory = new MemoryTier(clock, sessions.memoryMax);
    this.#journal = new Journal(clock, sessions.memoryMax);
    this.#epochs = createEpochs(sql);
    const shared = {
      clock,
      redis: this.#redis,
      postgres: this.#postgres,
      journal: this.#journal,
      counts: this.#counts,
      truth: this.#truth,
    };
    this.#records = new SessionRecords({
      ...shared,
      memory: this.#memory,
      ttlMs: sessions.ttlMs,
      touchEveryMs: sessions.touchEveryMs,
      retryAfterMs: sessions.retryAfterMs,
      touchMax: sessions.memoryMax,
      onOwed: () => this.#replayer.schedule(),
    });
    this.#replayer = new Replayer({
      ...shared,
      random,
      records: this.#records,
      afterRetry: (signal) => this.#renewTrust(signal),
    });
  }

  middleware(options: SessionMiddlewareOptions = {}): ReturnType<Sessions['middleware']> {
    const { secrets, sealer } = this.#unlock();
    // A store of its own: express-session puts generate() on it, with this middleware's cookie options.
    return createMiddleware(this.#options.config, secrets, this.#newStore(sealer), options);
  }

  store(): Store {
    return this.#newStore(this.#unlock().sealer);
  }

  applyMode(mode: Mode): void {
    this.#mode = mode;
    this.#records.applyMode(mode);
    if (this.#journal.size > 0 || this.#epochOwed) this.#replayer.schedule();
    if (mode.usable.includes('postgres')) this.#schedulePrune();
  }

  async reconcile(dependency: 'redis' | 'postgres', signal: AbortSignal): Promise<void> {
    if (dependency === 'postgres') await this.#reconcilePostgres(signal);
    else await this.#reconcileRedis(signal);
    signal.throwIfAborted();
  }

  report(): ServiceReport {
    const mode = this.#mode;
    const notice = noticeOf({ mode, truth: this.#truth, journal: this.#journal, refused: this.#counts.journalRefused });
    return {
      backend: mode?.backend ?? 'none',
      preferred: mode?.preferred ?? 'none',
      scope: mode ? scopeOf(mode) : 'instance',
      ...(notice === undefined ? {} : { notice }),
      counters: {
        ...this.#counts,
        epoch: this.#redis.epoch,
        journal: this.#journal.size,
        memoryEntries: this.#memory.size,
        distrusted: this.#redis.distrusted,
      },
    };
  }

  async close(signal: AbortSignal): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#replayer.stop();
    this.#options.clock.clearTimeout(this.#pruneTimer);
    await this.#records.settled();
    if (this.#journal.size > 0 && this.#records.takesWrites(this.#truth)) {
      // What stays behind is said below.
      await this.#replayer.replay(this.#truth, signal).catch(() => undefined);
    }
    const lost = this.#journal.unshared;
    if (lost > 0) this.#options.log.warn({ sessions: lost }, 'Sessions that only this process held end with it');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close(new AbortController().signal);
  }

  async #reconcileRedis(signal: AbortSignal): Promise<void> {
    const stored = await this.#redis.storedEpoch();
    if (this.#truth === 'postgres' && this.#records.reads('postgres')) {
      await this.#replayer.replay('postgres', signal);
      const floor = Math.max(stored, this.#redis.epoch);
      const epoch = await this.#epochs.raise(EPOCH, floor, { signal });
      this.#redis.adopt(epoch);
      this.#epochOwed = false;
      this.#records.admit('redis');
      // Those under way may be for PostgreSQL alone; nobody may fill the new epoch before they are done.
      await this.#records.settled();
    } else {
      this.#redis.adopt(stored);
      this.#epochOwed = this.#truth === 'postgres';
      this.#records.admit('redis');
      await this.#replayer.replay('redis', signal);
      if (this.#truth === 'redis') this.#redis.trustAll();
      else this.#replayer.schedule();
    }
    await this.#redis.publishEpoch();
  }

  async #reconcilePostgres(signal: AbortSignal): Promise<void> {
    await this.#postgres.prepare({ signal });
    await this.#epochs.prepare({ signal });
    this.#records.admit('postgres');
    await this.#replayer.replay('postgres', signal);
    if (this.#epochOwed) await this.#renewEpoch(signal);
  }

  /** After a replay: starts a new epoch when too many ids are distrusted to name them, or a raise is owed. */
  async #renewTrust(signal: AbortSignal): Promise<void> {
    if (!this.#redis.overflowed && !this.#epochOwed) return;
    if (this.#truth === 'postgres') await this.#renewEpoch(signal);
    // Without PostgreSQL each distrusted id was in the journal, and has just been written again.
    else this.#redis.trustAll();
  }

  async #renewEpoch(signal: AbortSignal): Promise<void> {
    this.#redis.adopt(await this.#epochs.raise(EPOCH, this.#redis.epoch, { signal }));
    this.#epochOwed = false;
    // Redis may be gone again by now; its return raises the epoch once more.
    if (this.#records.takesWrites('redis')) await this.#redis.publishEpoch().catch(() => undefined);
  }

  #unlock(): { readonly secrets: readonly string[]; readonly sealer: Sealer } {
    if (this.#keys === undefined) {
      const secrets = resolveSecrets(this.#options.config, this.#options.log);
      this.#keys = { secrets, sealer: createSealer(secrets) };
    }
    return this.#keys;
  }

  #newStore(sealer: Sealer): SealedStore {
    const { config, clock, log } = this.#options;
    const { ttlMs, touchEveryMs, retryAfterMs } = config.sessions;
    const vault = createVault({ records: this.#records, counts: this.#counts, sealer, ttlMs, clock, log });
    return new SealedStore({ vault, clock, touchEveryMs, retryAfterMs });
  }

  #schedulePrune(): void {
    const { clock, config, random } = this.#options;
    if (this.#pruneTimer !== undefined || this.#closed) return;
    // Half to one and a half of it, so that instances that started together do not prune together.
    const waitMs = config.sessions.pruneEveryMs * (0.5 + random());
    this.#pruneTimer = clock.setTimeout(() => void this.#prune(), waitMs);
  }

  async #prune(): Promise<void> {
    // A failure has been told to the detector, and the next round deletes the same rows.
    if (this.#records.reads('postgres')) await this.#postgres.prune().catch(() => undefined);
    this.#pruneTimer = undefined;
    this.#schedulePrune();
  }
}
