// The protocol.
//
// PostgreSQL is the truth, Redis only speed, memory the last resort. A session at rest is a record
// { version, sealed box } or a tombstone, under a hash of its id; the version counts its writes.
// docs/sessions.md gives the reasons; when Redis may be believed, fleet/fleet.ts says.
//
// Writing   Compare-and-set: a write carries the version after the one that its request read. PostgreSQL takes it if
//           the row is older and no tombstone; then Redis does, under the epoch that PostgreSQL's own statement
//           saw, never under a later one: there, something newer may have been and gone. Where another request was
//           quicker, the two are joined key by key or the answer is 409. A tombstone is taken over everything, with
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
//   Redis silent        a call without an answer: none is sent for a second, so that no request waits twice.
//   Redis lost          applyMode: no call waits for Redis any more; we list ourselves as blind.
//   reconcile(redis)    journal and dirty set → PostgreSQL; epoch + 1 where Redis may lack something: a write passed it
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
import type { Clock, Timer } from '../../core/clock.ts';
import { RedoubtError } from '../../core/errors.ts';
import { type Mode, type Service, type ServiceReport, scopeOf } from '../../core/mode.ts';
import { EPOCH_SQL, Fleet, type Peer } from '../../fleet/fleet.ts';
import type { Logger } from '../../observe/log.ts';
import { AdoptingVault } from './adopt.ts';
import { Journal, MemoryTier } from './memory-tier.ts';
import { createMiddleware } from './middleware.ts';
import { type Truth, createCounts, noticeOf } from './notice.ts';
import { createPgStore } from './pg-store.ts';
import { type PlainSessions, createPlainSessions } from './plain.ts';
import { PostgresTier } from './postgres-tier.ts';
import { SessionRecords } from './records.ts';
import { type RedisIdentity, RedisTier } from './redis-tier.ts';
import { Replayer } from './replay.ts';
import { Resealer } from './reseal.ts';
import { type Sealer, createSealer } from './seal.ts';
import { resolveSecrets } from './secrets.ts';
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
  readonly #ending = new AbortController();
  readonly #counts = createCounts();
  #mode: Mode | undefined;
  #keys: { readonly secrets: readonly string[]; readonly sealer: Sealer } | undefined;
  /** PostgreSQL has what Redis has not, or Redis an epoch that PostgreSQL does not know. */
  #raiseOwed = false;
  #tending: Promise<void> | undefined;
  #pruneTimer: Timer | undefined;
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
    this.#plain = createPlainSessions({ config, sql, redis, pgStore, wallNow: () => clock.wallNow() });
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
    this.#fleet.onBeat(() => void this.#tend());
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
      onPassedBy: () => (this.#raiseOwed = true),
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
    this.#resealer = new Resealer({
      clock,
      max: sessions.memoryMax,
      isReady: () => this.#tiers.takesWrites(this.#truth),
    });
  }

  get peers(): readonly Peer[] {
    return this.#fleet.view.peers;
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
    const hadRedis = this.#tiers.reads('redis');
    this.#mode = mode;
    this.#tiers.applyMode(mode);
    if (hadRedis && !this.#tiers.reads('redis') && this.#tiers.reads('postgres') && this.#fleet.view.peers.length > 0) {
      // Ahead of the next write, which then waits the shorter.
      this.#fleet.blind().catch(() => undefined);
    }
    if (this.#journal.size > 0) this.#replayer.schedule();
    if (mode.usable.includes('postgres')) this.#schedulePrune();
  }

  async reconcile(dependency: 'redis' | 'postgres', signal: AbortSignal): Promise<void> {
    if (dependency === 'postgres') await this.#reconcilePostgres(signal);
    else await this.#reconcileRedis(signal);
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
    this.#ending.abort();
    this.#replayer.stop();
    this.#resealer.stop();
    this.#options.clock.clearTimeout(this.#pruneTimer);
    await this.#tending;
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

  async #reconcileRedis(signal: AbortSignal): Promise<void> {
    const identity = await this.#redis.identify();
    const stored = await this.#redis.storedEpoch();
    if (this.#truth === 'postgres' && this.#tiers.reads('postgres')) {
      await this.#replayer.replay('postgres', signal);
      await this.#believe(identity, stored, signal);
      // Those under way may be for PostgreSQL alone; nobody may fill the epoch before they are done.
      await this.#records.settled();
      return;
    }
    const known = this.#redis.epoch;
    if (stored !== undefined) this.#redis.adopt(stored);
    if (stored === undefined || stored < known) await this.#redis.raiseHere();
    this.#raiseOwed = this.#truth === 'postgres';
    this.#tiers.admit('redis');
    identity.accept();
    await this.#replayer.replay('redis', signal);
    if (this.#truth === 'postgres') this.#replayer.schedule();
  }

  async #reconcilePostgres(signal: AbortSignal): Promise<void> {
    await this.#fleet.join(signal);
    await this.#postgres.prepare({ signal });
    this.#tiers.admit('postgres');
    await this.#replayer.replay('postgres', signal);
    if (!this.#tiers.reads('redis')) return;
    // Redis is the smaller matter here: where it fails now, the heartbeats go on with it.
    await this.#tendOnce(signal).catch(() => undefined);
  }

  /** After each heartbeat: makes sure that Redis is the one that the epoch is about, and holds what it should. */
  #tend(): Promise<void> {
    const both = this.#tiers.reads('redis') && this.#tiers.reads('postgres') && !this.#fleet.failing;
    if (!both || this.#ending.signal.aborted) return Promise.resolve();
    // A failure has been told to the detector, and the next heartbeat tries again.
    this.#tending ??= this.#tendOnce(this.#ending.signal)
      .catch(() => undefined)
      .finally(() => {
        this.#tending = undefined;
      });
    return this.#tending;
  }

  async #tendOnce(signal: AbortSignal): Promise<void> {
    const { isAccepted, lost, epoch } = this.#redis;
    if (!isAccepted || lost || this.#raiseOwed || this.#fleet.isBlind || epoch !== this.#fleet.epoch) {
      const identity = await this.#redis.identify();
      await this.#believe(identity, await this.#redis.storedEpoch(), signal);
    }
    // Only then: without traffic of its own, this instance leaves Redis to the probes.
    if (this.#fleet.missesPeer) await this.#replayer.drain(signal);
  }

  /** Takes Redis for what it says it is, under a new epoch where what it holds may not be everything. */
  async #believe(identity: RedisIdentity, stored: number | undefined, signal: AbortSignal): Promise<void> {
    const fleet = this.#fleet;
    const redis = this.#redis;
    // Before the listing ends: a write for PostgreSQL alone would begin the next one.
    if (!this.#tiers.reads('redis')) this.#tiers.admit('redis');
    await this.#replayer.drain(signal);
    await fleet.refresh();
    if (stored !== undefined) redis.adopt(stored);
    const isSame = stored !== undefined && identity.runId === fleet.runId && redis.epoch <= fleet.epoch;
    if (isSame && !fleet.isBlind && !this.#raiseOwed && !redis.lost) {
      redis.adopt(fleet.epoch);
    } else {
      this.#raiseOwed = false;
      redis.adopt(await fleet.raise(identity.runId, redis.epoch));
      await redis.publishEpoch();
    }
    // What is under way may have begun under the old epoch, and must not be passed by a reader.
    await this.#records.settled();
    identity.accept();
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

  #unlock(): { readonly secrets: readonly string[]; readonly sealer: Sealer } {
    if (this.#keys === undefined) {
      const secrets = resolveSecrets(this.#options.config, this.#options.log);
      this.#keys = { secrets, sealer: createSealer(secrets) };
    }
    return this.#keys;
  }

  #newStore(sealer: Sealer): SealedStore {
    const { config, clock, log } = this.#options;
    const { ttlMs, touchEveryMs, retryAfterMs, conflict, memoryMax: touchMax } = config.sessions;
    const counts = this.#counts;
    const plain = this.#plain;
    const facts = { counts, sealer, ttlMs, clock, log, conflict };
    const sealed = createVault({ ...facts, records: this.#records, resealer: this.#resealer });
    const window = { vault: sealed, counts, now: () => clock.now(), touchEveryMs, touchMax, retryAfterMs };
    const vault = plain ? new AdoptingVault({ ...window, plain }) : sealed;
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
    if (this.#tiers.reads('postgres')) await this.#postgres.prune().catch(() => undefined);
    this.#pruneTimer = undefined;
    this.#schedulePrune();
  }
}
