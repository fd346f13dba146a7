import type { Fleet } from '../../fleet/fleet.ts';
import type { Truth } from './notice.ts';
import type { PostgresTier } from './postgres-tier.ts';
import type { SessionRecords } from './records.ts';
import type { RedisIdentity, RedisTier } from './redis-tier.ts';
import type { Replayer } from './replay.ts';
import type { SharedTiers } from './tiers.ts';

export interface ReconcileOptions {
  readonly redis: RedisTier;
  readonly postgres: PostgresTier;
  readonly tiers: SharedTiers;
  readonly records: SessionRecords;
  readonly replayer: Replayer;
  readonly fleet: Fleet;
  readonly truth: Truth;
}

/** Takes a tier back into use, and keeps watch that Redis is still the one that the epoch is about. */
export class Reconciler {
  readonly #options: ReconcileOptions;
  readonly #ending = new AbortController();
  /** PostgreSQL has what Redis has not, or Redis an epoch that PostgreSQL does not know. */
  #raiseOwed = false;
  #tending: Promise<void> | undefined;

  constructor(options: ReconcileOptions) {
    this.#options = options;
    options.fleet.onBeat(() => void this.#tend());
  }

  /** Redis may lack a write: it is believed again only under a new epoch. */
  oweRaise(): void {
    this.#raiseOwed = true;
  }

  /** @throws whatever keeps Redis from being used */
  async redisBack(signal: AbortSignal): Promise<void> {
    const { redis, tiers, records, replayer, truth } = this.#options;
    const identity = await redis.identify();
    const stored = await redis.storedEpoch();
    if (truth === 'postgres' && tiers.reads('postgres')) {
      await replayer.replay('postgres', signal);
      await this.#believe(identity, stored, signal);
      // Those under way may be for PostgreSQL alone; nobody may fill the epoch before they are done.
      await records.settled();
      return;
    }
    const known = redis.epoch;
    if (stored !== undefined) redis.adopt(stored);
    if (stored === undefined || stored < known) await redis.raiseHere();
    this.#raiseOwed = truth === 'postgres';
    tiers.admit('redis');
    identity.accept();
    await replayer.replay('redis', signal);
    if (truth === 'postgres') replayer.schedule();
  }

  /** @throws whatever keeps PostgreSQL from being used */
  async postgresBack(signal: AbortSignal): Promise<void> {
    const { fleet, postgres, tiers, replayer } = this.#options;
    await fleet.join(signal);
    await postgres.prepare({ signal });
    tiers.admit('postgres');
    await replayer.replay('postgres', signal);
    if (!tiers.reads('redis')) return;
    // Redis is the smaller matter here: where it fails now, the heartbeats go on with it.
    await this.#tendOnce(signal).catch(() => undefined);
  }

  /** Ends the watch, and waits for what it is doing now. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#tending;
  }

  /** After each heartbeat: makes sure that Redis is the one that the epoch is about, and holds what it should. */
  #tend(): Promise<void> {
    const { tiers, fleet } = this.#options;
    const both = tiers.reads('redis') && tiers.reads('postgres') && !fleet.failing;
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
    const { redis, fleet, replayer } = this.#options;
    const { isAccepted, lost, epoch } = redis;
    if (!isAccepted || lost || this.#raiseOwed || fleet.isBlind || epoch !== fleet.epoch) {
      const identity = await redis.identify();
      await this.#believe(identity, await redis.storedEpoch(), signal);
    }
    // Only then: without traffic of its own, this instance leaves Redis to the probes.
    if (fleet.missesPeer) await replayer.drain(signal);
  }

  /** Takes Redis for what it says it is, under a new epoch where what it holds may not be everything. */
  async #believe(identity: RedisIdentity, stored: number | undefined, signal: AbortSignal): Promise<void> {
    const { fleet, redis, tiers, records, replayer } = this.#options;
    // Before the listing ends: a write for PostgreSQL alone would begin the next one.
    if (!tiers.reads('redis')) tiers.admit('redis');
    await replayer.drain(signal);
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
    await records.settled();
    identity.accept();
  }
}
