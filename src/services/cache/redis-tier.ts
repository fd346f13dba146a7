import type { Redis } from 'ioredis';

import type { CallOptions, RedisBackend } from '../../backends/types.ts';
import type { Clock } from '../../core/clock.ts';
import { RedoubtError } from '../../core/errors.ts';
import { type Payload, type Stored, decodeStored, encodeStored } from './entry.ts';
import { EPOCH, WRITE, runScript } from './scripts.ts';
import type { VersionClock } from './version.ts';

/**
 * How long a deletion is remembered in Redis. What it has to outlive is an older write of the same
 * key that is still on its way: in the socket of a frozen Redis (executed within moments of its
 * waking, which is also when replayed deletions are written), in a proxy, or in the kernel of an
 * instance that was cut off, which sends again for at most some minutes (tcp_orphan_retries, RFC 1122).
 * A lifetime of its own value does not bound it: that one counts from when the late write is executed.
 */
const TOMBSTONE_MS = 600_000;

/** Each attempt follows a refusal with news (another epoch, a newer version); more are a storm of clears. */
const MAX_ATTEMPTS = 4;

/** A write: a value for `lifetimeMs`, or a deletion where there is no payload. */
export interface Write {
  readonly key: string;
  readonly version: string;
  readonly payload: Payload | undefined;
  /** How long ago it was written, and how long it has to live from now. */
  readonly ageMs: number;
  readonly lifetimeMs: number;
  /**
   * Asked when Redis has a newer version: whether to try again as the newest, or to yield to it. False as
   * soon as the caller has been answered: a late write with a new version is what the fences are there for.
   */
  readonly insists: () => boolean;
}

/** `version` is the one under which it was written; not applied: something newer is there. */
export type Written =
  | { readonly applied: true; readonly existed: boolean; readonly version: string }
  | { readonly applied: false };

export interface RedisTierOptions {
  readonly redis: RedisBackend;
  readonly keyPrefix: string;
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly versions: VersionClock;
  /** Called when the epoch has moved, with the version of the last clear(): what is older is void. */
  readonly onEpoch: (cleared: string) => void;
}

/**
 * Values in Redis under `<keyPrefix>c:<epoch>:<key>`, written through fences.
 *
 * Before its first command each connection asks for the time, for the run id and for the epoch, so
 * that a Redis that was restarted or failed over meanwhile starts a new epoch, whoever notices first.
 * Each command then carries the epoch it believes in: a read fetches it in the same MGET, a write
 * compares it in its script. So a clear() is seen by every instance at its next command.
 */
export class RedisTier {
  readonly #redis: RedisBackend;
  readonly #prefix: string;
  readonly #epochKey: string;
  readonly #metaKey: string;
  readonly #deadlineMs: number;
  readonly #clock: Clock;
  readonly #versions: VersionClock;
  readonly #onEpoch: (cleared: string) => void;
  /** Run id of each connection that has agreed on the epoch; empty where Redis does not tell it. */
  readonly #runIds = new WeakMap<Redis, string>();
  readonly #greetings = new WeakMap<Redis, Promise<void>>();
  #epoch = '0';
  #epochBytes = Buffer.from('0');
  #cleared = '';

  constructor({ redis, keyPrefix, deadlineMs, clock, versions, onEpoch }: RedisTierOptions) {
    this.#redis = redis;
    this.#prefix = `${keyPrefix}c:`;
    this.#epochKey = `${keyPrefix}c:epoch`;
    this.#metaKey = `${keyPrefix}c:meta`;
    this.#deadlineMs = deadlineMs;
    this.#clock = clock;
    this.#versions = versions;
    this.#onEpoch = onEpoch;
  }

  get engaged(): boolean {
    return this.#redis.engaged;
  }

  /** @returns what is there, tombstones included */
  read(key: string): Promise<Stored | undefined> {
    return this.#redis.call((client) => this.#read(client, key), { deadlineMs: this.#deadlineMs });
  }

  /** @param deadlineMs - default: `cache.deadline` */
  write(write: Write, deadlineMs = this.#deadlineMs): Promise<Written> {
    return this.#redis.call((client) => this.#write(client, write), { deadlineMs });
  }

  /** Many writes within one call; in order of `writes`. */
  writeAll(writes: readonly Write[], options: CallOptions): Promise<Written[]> {
    return this.#redis.call((client) => Promise.all(writes.map((write) => this.#write(client, write))), options);
  }

  /** Makes sure that the connection has agreed on time and epoch. */
  greet(options: CallOptions): Promise<void> {
    return this.#redis.call((client) => this.#greet(client), options);
  }

  /**
   * Starts a new epoch: every key is gone for everybody.
   *
   * @param cleared - version of the clear() that asks for it; empty where nobody cleared
   */
  raiseEpoch(cleared: string, options: CallOptions = { deadlineMs: this.#deadlineMs }): Promise<void> {
    return this.#redis.call(async (client) => {
      if (!this.#runIds.has(client)) await this.#greet(client);
      await this.#agree(client, cleared, true);
    }, options);
  }

  async #read(client: Redis, key: string): Promise<Stored | undefined> {
    if (!this.#runIds.has(client)) await this.#greet(client);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      // Taken before the wait: another call may learn of a new epoch meanwhile, and the value that
      // comes is of the epoch that was asked for.
      const asked = this.#epochBytes;
      const [epoch, bytes] = await client.mgetBuffer(this.#epochKey, this.#valueKey(key));
      if (epoch?.equals(asked)) {
        const stored = bytes ? decodeStored(bytes) : undefined;
        if (stored) this.#versions.observe(stored.version);
        return stored;
      }
      await this.#agree(client);
    }
    throw new RedoubtError('ERR_REDIS_UNAVAILABLE', { reason: 'EPOCH_MOVING' });
  }

  async #write(client: Redis, write: Write): Promise<Written> {
    const { key, payload, ageMs, lifetimeMs, insists } = write;
    let { version } = write;
    if (!this.#runIds.has(client)) await this.#greet(client);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      if (version < this.#cleared) {
        if (!insists()) return { applied: false };
        version = this.#versions.next();
      }
      const now = this.#versions.redisNow();
      const stored = encodeStored({ payload, version, writtenAt: now - ageMs, expiresAt: now + lifetimeMs });
      const reply = await runScript(
        client,
        WRITE,
        [this.#valueKey(key), this.#epochKey],
        [this.#epoch, version, payload ? lifetimeMs : TOMBSTONE_MS, stored],
      );
      if (typeof reply === 'number') return { applied: true, existed: reply === 1, version };
      if (reply === 'e') {
        await this.#agree(client);
        continue;
      }
      // Somebody's clock is ahead of ours. Who is asking right now is the newest, whatever clocks say.
      this.#versions.observe(String(reply).slice(1));
      if (!insists()) return { applied: false };
      version = this.#versions.next();
    }
    throw new RedoubtError('ERR_REDIS_UNAVAILABLE', { reason: 'EPOCH_MOVING', executed: 'no' });
  }

  /** Once for each connection; who comes meanwhile waits for the same answer. */
  #greet(client: Redis): Promise<void> {
    const known = this.#greetings.get(client);
    if (known) return known;
    const greeting = this.#exchange(client).catch((error: unknown) => {
      this.#greetings.delete(client);
      throw error;
    });
    this.#greetings.set(client, greeting);
    return greeting;
  }

  async #exchange(client: Redis): Promise<void> {
    await this.#synchronise(client);
    const info = await client.info('server').catch(nothingIfForbidden);
    const runId = /^run_id:(\w+)/m.exec(info)?.[1] ?? '';
    await this.#agree(client, '', false, runId);
    this.#runIds.set(client, runId);
  }

  /** The quickest of three answers tells the time best: its error is at most half its way (Cristian, 1989). */
  async #synchronise(client: Redis): Promise<void> {
    let best: { readonly redisMs: number; readonly askedAt: number; readonly answeredAt: number } | undefined;
    for (let sample = 0; sample < 3; sample += 1) {
      const askedAt = this.#clock.now();
      const [seconds, microseconds] = await client.time();
      const answeredAt = this.#clock.now();
      if (best && answeredAt - askedAt >= best.answeredAt - best.askedAt) continue;
      best = { redisMs: Number(seconds) * 1000 + Number(microseconds) / 1000, askedAt, answeredAt };
    }
    if (best) this.#versions.synchronise(best.redisMs, (best.askedAt + best.answeredAt) / 2);
  }

  async #agree(client: Redis, cleared = '', raise = false, runId = this.#runIds.get(client) ?? ''): Promise<void> {
    const keys = [this.#epochKey, this.#metaKey];
    const reply = await runScript(client, EPOCH, keys, [runId, this.#epoch, raise ? 1 : 0, cleared]);
    const [epoch, clearedThere] = reply as [string, string];
    if (clearedThere > this.#cleared) this.#cleared = clearedThere;
    if (clearedThere) this.#versions.observe(clearedThere);
    // Answers of two connections may cross; the epoch only grows.
    if (Number(epoch) <= Number(this.#epoch)) return;
    this.#epoch = epoch;
    this.#epochBytes = Buffer.from(epoch);
    this.#onEpoch(this.#cleared);
  }

  #valueKey(key: string): string {
    return `${this.#prefix}${this.#epoch}:${key}`;
  }
}

/** Managed servers may forbid INFO. Then a restart goes unnoticed unless the epoch itself was lost or went back. */
function nothingIfForbidden(error: unknown): string {
  if (error instanceof Error && error.message.startsWith('NOPERM')) return '';
  throw error;
}
