// Redis and PostgreSQL as one: what the protocol at the top of sessions.ts says of reading and writing is done here.

import type { RedoubtError } from '../../core/errors.ts';
import type { Mode } from '../../core/mode.ts';
import type { Fleet } from '../../fleet/fleet.ts';
import type { Counts, Truth } from './notice.ts';
import type { PostgresTier, PostgresWriteResult } from './postgres-tier.ts';
import type { SessionRecord, WriteResult } from './record.ts';
import type { RedisTier } from './redis-tier.ts';

const SHARED_TIERS = ['redis', 'postgres'] as const;
export type SharedTier = (typeof SHARED_TIERS)[number];

export interface TiersOptions {
  readonly redis: RedisTier;
  readonly postgres: PostgresTier;
  readonly counts: Counts;
  /** Whose acknowledgement makes a write safe. */
  readonly truth: Truth;
  /** The other instances; nothing is asked of them where no PostgreSQL is configured. */
  readonly fleet: Fleet;
  /** Without PostgreSQL nothing is read or acknowledged. */
  readonly strict: boolean;
  /** The error of a write that nobody may acknowledge. */
  readonly notSaved: () => RedoubtError;
  /** Called when PostgreSQL has a write that Redis has not: the next epoch must be a new one. */
  readonly onPassedBy: () => void;
}

/** What became of a write. */
export type TierWrite =
  | {
      readonly status: 'stored';
      readonly version: number;
      /** Who has it: the truth, which settles it; Redis for the time being; or nobody but this process. */
      readonly by: 'truth' | 'redis' | 'nobody';
    }
  | {
      readonly status: 'held';
      /** What stands in its way. */
      readonly held: SessionRecord;
      readonly by: 'truth' | 'redis';
      /** PostgreSQL has taken it all the same: the two sides knew of different writes. */
      readonly split: boolean;
    };

/** The shared tiers of sealed records. */
export class SharedTiers {
  readonly #options: TiersOptions;
  readonly #reconciled = new Set<SharedTier>();
  #mode: Mode | undefined;

  constructor(options: TiersOptions) {
    this.#options = options;
  }

  get mode(): Mode | undefined {
    return this.#mode;
  }

  applyMode(mode: Mode): void {
    this.#mode = mode;
    // From here on the mode alone says whether they are written to; when it takes them away, nothing lingers.
    for (const tier of SHARED_TIERS) if (mode.usable.includes(tier)) this.#reconciled.delete(tier);
  }

  /** From now on writes go to `tier` too, although its mode is not given out yet. */
  admit(tier: SharedTier): void {
    this.#reconciled.add(tier);
  }

  /** Whether `tier` is read from. */
  reads(tier: SharedTier): boolean {
    return this.#mode?.usable.includes(tier) ?? false;
  }

  /** Whether `tier` is written to. */
  takesWrites(tier: SharedTier): boolean {
    return this.reads(tier) || this.#reconciled.has(tier);
  }

  /**
   * @param knownVersion - the version that this process has seen: Redis is not believed with less
   * @returns a record or a tombstone, `undefined` where the session does not exist, `unknown` where nobody who may know
   * answers
   */
  async read(id: string, knownVersion: number): Promise<SessionRecord | undefined | 'unknown'> {
    const { redis, postgres, counts, truth, strict, fleet } = this.#options;
    const usesRedis = this.reads('redis');
    const redisFirst = usesRedis && this.#believesRedis() && !(redis.isSilent && this.#hasPostgres);
    let answered = false;
    if (redisFirst) {
      try {
        const alone = truth === 'redis' || !this.#hasPostgres;
        const found = this.#judge(await redis.read(id, alone), knownVersion);
        // Accepted before and after: it was one connection all the time.
        if (found && (alone || redis.isAccepted)) return found;
        answered = true;
      } catch {
        // The backend has told the detector; here the next tier answers.
      }
    }
    if (this.reads('postgres')) {
      try {
        const { record, lifeMs, epoch } = await postgres.read(id);
        counts.readsPostgres += 1;
        fleet.see(epoch);
        const isShown = !record || (await this.#show(id, record, lifeMs, epoch));
        return isShown || !strict ? record : 'unknown';
      } catch {
        // As above.
      }
    }
    if (usesRedis && !redisFirst && !strict) {
      const found = await redis.read(id, true).catch(() => undefined);
      const record = this.#judge(found, knownVersion);
      if (record) return record;
    }
    // What Redis does not know is not, only where Redis is the truth.
    return answered && truth === 'redis' ? undefined : 'unknown';
  }

  /** PostgreSQL first: what it refuses must not be seen in Redis by anybody. */
  async write(id: string, record: SessionRecord, lifeMs: number): Promise<TierWrite> {
    const { redis: tier, truth, strict, counts, notSaved } = this.#options;
    const taken = await this.#writePostgres(id, record, lifeMs);
    if (taken?.status === 'held') {
      // Whoever wrote it may have died before it reached Redis; read there again, it would be in the way for ever.
      await this.#show(id, taken.held, taken.lifeMs, taken.epoch);
      return { status: 'held', held: taken.held, by: 'truth', split: false };
    }
    if (taken === undefined && strict && truth === 'postgres') {
      counts.notSaved += 1;
      throw notSaved();
    }
    let inRedis: WriteResult = { status: 'failed' };
    if (this.takesWrites('redis') && !(taken && tier.isSilent)) {
      const options = taken ? { epoch: taken.epoch } : { dirty: truth === 'postgres' };
      inRedis = await tier
        .write(id, { ...record, version: taken?.version ?? record.version }, lifeMs, options)
        .catch(() => inRedis);
    }
    if (inRedis.status === 'failed') this.#reconciled.delete('redis');
    if (inRedis.status === 'held') {
      const by = truth === 'redis' ? 'truth' : 'redis';
      if (taken === undefined) return { status: 'held', held: inRedis.held, by, split: false };
      if (await this.#isSplit(id, inRedis.held)) return { status: 'held', held: inRedis.held, by, split: true };
    }
    const version = taken?.version ?? (inRedis.status === 'stored' ? inRedis.version : record.version);
    if (taken && (inRedis.status !== 'failed' || (await this.#blind())))
      return { status: 'stored', version, by: 'truth' };
    if (taken && strict) throw notSaved();
    if (inRedis.status !== 'stored') return { status: 'stored', version, by: 'nobody' };
    return { status: 'stored', version, by: truth === 'redis' ? 'truth' : 'redis' };
  }

  /** Prolongs a record wherever it is. @returns whether every tier that should know of it does */
  async touch(id: string, lifeMs: number): Promise<boolean> {
    const { redis, postgres } = this.#options;
    const results = await Promise.allSettled([
      this.reads('redis') ? redis.touch(id, lifeMs) : undefined,
      this.#hasPostgres ? postgres.touch(id, lifeMs) : undefined,
    ]);
    return results.every(({ status }) => status === 'fulfilled');
  }

  /** How many sessions live; `undefined` where nobody can count them. */
  async count(): Promise<number | undefined> {
    // Redis keeps them beside everything else, and could only be walked through.
    return this.reads('postgres') ? this.#options.postgres.count().catch(() => undefined) : undefined;
  }

  /** Whether PostgreSQL is in use; one that left the last heartbeat unanswered is not waited for where Redis is there. */
  get #hasPostgres(): boolean {
    return this.takesWrites('postgres') && !(this.#options.fleet.failing && this.takesWrites('redis'));
  }

  /** Whether Redis may be believed: with everybody's consent where PostgreSQL is the truth and answers. */
  #believesRedis(): boolean {
    const { redis, fleet, truth, strict } = this.#options;
    if (truth === 'redis' || (!this.#hasPostgres && !strict)) return true;
    return redis.isAccepted && redis.epoch === fleet.epoch && fleet.trusts();
  }

  /** What was read in Redis, if it may be told. */
  #judge(record: SessionRecord | undefined, knownVersion: number): SessionRecord | undefined {
    if (record === undefined) return undefined;
    const { counts } = this.#options;
    if (record.box === null || record.version >= knownVersion) {
      counts.readsRedis += 1;
      return record;
    }
    // Less than this process has seen: Redis came back with old data that nothing announced.
    counts.staleRedis += 1;
    return undefined;
  }

  /**
   * Makes sure that nobody finds less in Redis than what PostgreSQL has just told: whoever wrote it may not have got
   * there yet, and the next reader would go back in time. Fills Redis besides.
   *
   * @returns whether it may be told
   */
  async #show(id: string, record: SessionRecord, lifeMs: number, epoch: number): Promise<boolean> {
    const { redis, fleet } = this.#options;
    if (fleet.isCovered(epoch)) return true;
    if (this.takesWrites('redis') && !redis.isSilent) {
      try {
        if (fleet.phaseOf(epoch) === 'unsure') await fleet.refresh();
        const phase = fleet.phaseOf(epoch);
        // What was read in the hold of a new epoch may be what a statement from before it is about to replace.
        if (phase === 'held') await redis.announceEpoch(fleet.epoch);
        if (phase === 'open') await redis.write(id, record, lifeMs, { epoch });
        if (phase !== 'unsure') return true;
      } catch {
        // As if Redis were out of use.
      }
    }
    return this.#blind();
  }

  /** What Redis does not get may be acknowledged, and told, once nobody believes Redis any more. */
  async #blind(): Promise<boolean> {
    const { fleet, onPassedBy } = this.#options;
    onPassedBy();
    return fleet.blind().then(
      () => true,
      () => false,
    );
  }

  /**
   * Whether Redis holds what PostgreSQL does not have, instead of what came after ours there: an instance without
   * PostgreSQL wrote it, which `strict` forbids.
   */
  async #isSplit(id: string, held: SessionRecord): Promise<boolean> {
    const { postgres, strict } = this.#options;
    if (strict) return false;
    const { record } = await postgres.read(id).catch(() => ({ record: undefined }));
    if (record === undefined || record.box === null) return false;
    return held.box === null || (record.version <= held.version && record.box !== held.box);
  }

  async #writePostgres(id: string, record: SessionRecord, lifeMs: number): Promise<PostgresWriteResult | undefined> {
    const { postgres, fleet } = this.#options;
    if (!this.#hasPostgres) return undefined;
    try {
      const result = await postgres.write(id, record, lifeMs);
      fleet.see(result.epoch);
      return result;
    } catch {
      this.#reconciled.delete('postgres');
      return undefined;
    }
  }
}
