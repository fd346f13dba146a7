// The protocol.
//
// PostgreSQL is the truth, Redis only speed, memory the last resort. A session at rest is a record
// { version, sealed box } or a tombstone, under a hash of its id; the version counts its writes.
// docs/sessions.md gives the reasons; when Redis may be believed, fleet/fleet.ts says.
//
// Writing   Compare-and-set: a write carries the version after the one that its request read. PostgreSQL takes it if
//           the row is older and no tombstone; then Redis does, under the epoch that PostgreSQL's own statement
//           saw, never under a later one: there, something newer may have been and gone. Where another request was
//           quicker, the two are joined key by key (of two changes of one key the later wins) or the answer is 409, as
//           sessions.conflict says. A tombstone is taken over everything, with
//           the version after the one that it ended: a slow write of just that version came before the logout.
// Reading   Redis, where it is believed; a miss goes on to PostgreSQL.
// Showing   Whatever PostgreSQL alone has told, be it to a reader or to a writer, is told on only when nobody can find
//           less in Redis afterwards: it is written to Redis too, or, in the hold of a new epoch, Redis is told of
//           that, or nobody believes Redis any more (this instance waits as blind, or another one has, for a lease).
//           Else a reader that does not believe Redis would see a write that its writer has not brought there
//           yet, and the next one, which does believe it, would go back in time.
//
// Where a write goes        what acknowledges it          what is owed
//   postgres + redis        both                          nothing
//   postgres only           PostgreSQL, once we are       a raise of the epoch when Redis is back
//                           listed as blind for a lease
//   redis only              Redis                         a journal entry, and the id in Redis' dirty set: whoever
//                                                         reaches both brings it to PostgreSQL, if we die too
//   neither                 sealed memory                 a journal entry; lost if the process ends before replay
//   no PostgreSQL at all    Redis, else sealed memory     a journal entry for Redis
//
// Nobody answers a read: the journal, then memory, then ERR_SESSION_UNKNOWN: never a silent new session. What this
// process acknowledged and a tier does not show yet wins: its logouts always, its journal by version.
//
// What moves it
//   Redis silent        a call without an answer: for a second PostgreSQL is asked, and Redis only where that does not
//                       answer, so that no request waits twice.
//   Redis lost          applyMode: no call waits for Redis any more; we list ourselves as blind.
//   reconcile(redis)    reconcile.ts: journal and dirty set → PostgreSQL; epoch + 1 where Redis may lack something: a write passed it
//                       by, or its run id or its own copy of the epoch is not the one that PostgreSQL knows. Redis' keys
//                       carry the epoch: nothing from before is ever read, and what Redis executes late changes nothing.
//                       Without PostgreSQL: journal → Redis; the raise is owed.
//   each heartbeat      the same check: a connection that broke may lead to another Redis, or to the same one with
//                       an old snapshot; a Redis without its copy of the epoch was flushed.
//   reconcile(postgres) tables, heartbeats; writes go to PostgreSQL too; journal → PostgreSQL.
//
// Here is what moves it; tiers.ts reads and writes Redis and PostgreSQL, records.ts makes one write of an id at a time.
//
// Sessions that another store keeps in the clear move in and back by the protocol at the top of adopt.ts.
//
// What it promises: no acknowledged write lost but those that only memory took (the notice says so), no acknowledged
// logout undone, no lost update without a 409, no silent new session while the answer is unknown.

import { randomUUID } from 'node:crypto';

import type { Store } from 'express-session';

import type { RedisBackend, SqlBackend } from '../../backends/types.ts';
import type { Config } from '../../config/schema.ts';
import type { Clock } from '../../core/clock.ts';
import { RedoubtError } from '../../core/errors.ts';
import type { Middleware } from '../../core/middleware.ts';
import { type Mode, type Service, type ServiceReport, scopeOf } from '../../core/mode.ts';
import { EPOCH_SQL, Fleet, type Peer } from '../../fleet/fleet.ts';
import type { Logger } from '../../observe/log.ts';
import { AdoptingVault } from './adopt.ts';
import { Journal, MemoryTier } from './memory-tier.ts';
import { createMiddleware } from './middleware.ts';
import { readOptions } from './options.ts';
import { type Truth, createCounts, noticeOf } from './notice.ts';
import { rememberOpened } from './opened.ts';
import { createPgStore } from './pg-store.ts';
import { PlainNotice } from './plain-notice.ts';
import { type PlainSessions, createPlainSessions, everyPlainPlace } from './plain.ts';
import { PostgresTier } from './postgres-tier.ts';
import { SessionRecords } from './records.ts';
import { Pruner } from './prune.ts';
import { Reconciler } from './reconcile.ts';
import { RedisTier } from './redis-tier.ts';
import { Replayer } from './replay.ts';
import { Resealer } from './reseal.ts';
import { type Sealer, createSealer } from './seal.ts';
import { SecretSource } from './secrets.ts';
import { SealedStore } from './store.ts';
import { SharedTiers } from './tiers.ts';
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
  /** A name for this process among all; default: a random one. */
  readonly instance?: string;
}

/** Who takes part in the fleet, and knows the others. */
export interface FleetMember {
  /** The other instances, as of the last heartbeat. */
  readonly peers: readonly Peer[];
}

/** Makes the session service; it opens nothing before the first mode is applied. */
export function createSessions(options: SessionsOptions): Sessions & Service & FleetMember {
  return new SessionService(options);
}

class SessionService implements Sessions, Service, FleetMember {
  readonly name = 'sessions';
  readonly #options: SessionsOptions;
  readonly #truth: Truth;
  readonly #redis: RedisTier;
  readonly #postgres: PostgresTier;
  readonly #memory: MemoryTier;
  readonly #journal: Journal;
  readonly #tiers: SharedTiers;
  readonly #records: SessionRecords;
  readonly #replayer: Replayer;
  readonly #resealer: Resealer;
  readonly #plain: PlainSessions | undefined;
  readonly #fleet: Fleet;
  readonly #reconciler: Reconciler;
  readonly #pruner: Pruner;
  readonly #counts = createCounts();
  #mode: Mode | undefined;
  readonly #secrets: SecretSource;
  readonly #sealers = new Map<string, Sealer>();
  readonly #plainNotice: PlainNotice;
  #closed = false;

  constructor(options: SessionsOptions) {
    const { config, redis, sql, clock, random } = options;
    const { sessions } = config;
    this.#options = options;
    this.#truth = sql.kind === 'none' ? 'redis' : 'postgres';
    this.#redis = new RedisTier({
      redis,
      clock,
      keyPrefix: config.redis.keyPrefix,
      deadlineMs: sessions.deadlineMs,
      waitingMax: sessions.memoryMax,
    });
    const pgStore = createPgStore(sql, sessions.table, sessions.ttlMs);
    this.#secrets = new SecretSource(config, options.log);
    const plainOptions = { config, sql, redis, pgStore, wallNow: () => clock.wallNow() };
    this.#plain = createPlainSessions(plainOptions);
    this.#plainNotice = new PlainNotice({ places: everyPlainPlace(plainOptions), clock, log: options.log });
    this.#postgres = new PostgresTier({
      sql,
      table: pgStore,
      epochSql: EPOCH_SQL,
      expirySlackMs: sessions.touchEveryMs,
      waitingMax: sessions.memoryMax,
      // Where Redis is there to answer instead, nobody waits for the whole deadline of PostgreSQL.
      deadlineMs: () =>
        this.#tiers.takesWrites('redis')
          ? Math.min(config.fleet.leaseMs, config.postgres.deadlineMs)
          : config.postgres.deadlineMs,
    });
    this.#memory = new MemoryTier(clock, sessions.memoryMax);
    this.#journal = new Journal(clock, sessions.memoryMax);
    this.#fleet = new Fleet({
      sql,
      clock,
      instance: options.instance ?? randomUUID(),
      leaseMs: config.fleet.leaseMs,
      heartbeatMs: config.fleet.heartbeatMs,
      statementMs: config.postgres.deadlineMs,
    });
    const strict = sessions.disjoint === 'strict';
    const notSaved = (): RedoubtError =>
      new RedoubtError('ERR_SESSION_NOT_SAVED', { retryAfterMs: sessions.retryAfterMs });
    const shared = { clock, counts: this.#counts, truth: this.#truth };
    this.#tiers = new SharedTiers({
      ...shared,
      redis: this.#redis,
      postgres: this.#postgres,
      fleet: this.#fleet,
      strict,
      notSaved,
      onPassedBy: () => this.#reconciler.oweRaise(),
    });
    this.#records = new SessionRecords({
      ...shared,
      tiers: this.#tiers,
      memory: this.#memory,
      journal: this.#journal,
      ttlMs: sessions.ttlMs,
      touchEveryMs: sessions.touchEveryMs,
      retryAfterMs: sessions.retryAfterMs,
      touchMax: sessions.memoryMax,
      strict,
      notSaved,
      onOwed: () => this.#replayer.schedule(),
    });
    this.#replayer = new Replayer({
      ...shared,
      random,
      tiers: this.#tiers,
      records: this.#records,
      redis: this.#redis,
      journal: this.#journal,
    });
    this.#reconciler = new Reconciler({
      redis: this.#redis,
      postgres: this.#postgres,
      tiers: this.#tiers,
      records: this.#records,
      replayer: this.#replayer,
      fleet: this.#fleet,
      truth: this.#truth,
    });
    this.#pruner = new Pruner({
      postgres: this.#postgres,
      isUsable: () => this.#tiers.reads('postgres'),
      everyMs: sessions.pruneEveryMs,
      clock,
      random,
    });
    this.#resealer = new Resealer({
      clock,
      max: sessions.memoryMax,
      isReady: () => this.#tiers.takesWrites(this.#truth),
    });
  }

  get peers(): readonly Peer[] {
    return this.#fleet.view.peers;
  }

  get isUsed(): boolean {
    return this.#sealers.size > 0;
  }

  middleware(given: SessionMiddlewareOptions = {}): Middleware {
    const options = readOptions(given, this.#options);
    const { signing, sealing } = this.#secrets.resolve(options.secret);
    // A store of its own: express-session puts generate() on it, with this middleware's cookie options.
    // Its types are those of Express 5, of which it uses nothing that Connect has not.
    return createMiddleware(this.#newStore(sealing), { ...options, secret: signing }) as Middleware;
  }

  store(): Store {
    return this.#newStore(this.#secrets.resolve().sealing);
  }

  applyMode(mode: Mode): void {
    const hadRedis = this.#tiers.reads('redis');
    this.#mode = mode;
    this.#tiers.applyMode(mode);
    if (hadRedis && !this.#tiers.reads('redis') && this.#tiers.reads('postgres') && this.#fleet.view.peers.length > 0) {
      // Ahead of the next write, which then waits the shorter.
      this.#fleet.blind().catch(() => undefined);
    }
    if (this.#journal.size > 0) this.#replayer.schedule();
    if (mode.usable.includes('postgres')) this.#pruner.schedule();
  }

  async reconcile(dependency: 'redis' | 'postgres', signal: AbortSignal): Promise<void> {
    if (dependency === 'postgres') await this.#reconciler.postgresBack(signal);
    else await this.#reconciler.redisBack(signal);
    signal.throwIfAborted();
  }

  report(): ServiceReport {
    const mode = this.#mode;
    const { blind, peers } = this.#fleet.view;
    const facts = { mode, truth: this.#truth, journal: this.#journal, refused: this.#counts.journalRefused };
    const notice = noticeOf({ ...facts, blind, blindPeers: peers.filter((peer) => peer.blind).length });
    return {
      backend: mode?.backend ?? 'none',
      preferred: mode?.preferred ?? 'none',
      scope: mode ? scopeOf(mode) : 'instance',
      ...(notice === undefined ? {} : { notice }),
      counters: {
        ...this.#counts,
        epoch: this.#redis.epoch,
        ...this.#fleetCounters(),
        journal: this.#journal.size,
        memoryEntries: this.#memory.size,
      },
    };
  }

  async close(signal: AbortSignal): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#replayer.stop();
    this.#resealer.stop();
    this.#pruner.stop();
    await this.#reconciler.stop();
    await this.#records.settled();
    if (this.#journal.size > 0 && this.#tiers.takesWrites(this.#truth)) {
      // What stays behind is said below.
      await this.#replayer.replay(this.#truth, signal).catch(() => undefined);
    }
    await this.#fleet.leave();
    const lost = this.#journal.unshared;
    if (lost > 0) this.#options.log.warn({ sessions: lost }, 'Sessions that only this process held end with it');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close(new AbortController().signal);
  }

  #fleetCounters(): Record<string, number> {
    const { leaseMs, blind, peers } = this.#fleet.view;
    return {
      leaseMs,
      blind: Number(blind),
      peers: peers.length,
      blindPeers: peers.filter((peer) => peer.blind).length,
    };
  }

  /** One for each list of secrets: what it has opened it remembers for all stores. */
  #sealerOf(secrets: readonly string[]): Sealer {
    const key = JSON.stringify(secrets);
    const sealer = this.#sealers.get(key) ?? rememberOpened(createSealer(secrets));
    this.#sealers.set(key, sealer);
    return sealer;
  }

  #newStore(secrets: readonly string[]): SealedStore {
    const { config, clock, log } = this.#options;
    const sealer = this.#sealerOf(secrets);
    const { ttlMs, touchEveryMs, retryAfterMs, conflict, conflictKeys, memoryMax: touchMax } = config.sessions;
    const counts = this.#counts;
    const plain = this.#plain;
    const facts = { counts, sealer, ttlMs, clock, log, conflict, conflictKeys };
    const sealed = createVault({ ...facts, records: this.#records, resealer: this.#resealer });
    const window = { vault: sealed, counts, now: () => clock.now(), touchEveryMs, touchMax, retryAfterMs };
    const vault = plain ? new AdoptingVault({ ...window, plain }) : sealed;
    const onMiss = (sid: string): void => {
      if (!plain?.isOpen()) this.#plainNotice.look(sid);
    };
    return new SealedStore({ vault, clock, touchEveryMs, retryAfterMs, onMiss, isClosed: () => this.#closed });
  }
}
