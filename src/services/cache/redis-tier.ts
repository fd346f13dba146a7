import type { Redis } from 'ioredis';

import type { CallOptions, RedisBackend } from '../../backends/types.ts';
import type { Clock } from '../../core/clock.ts';
import { RedoubtError } from '../../core/errors.ts';
import { type Payload, type Stored, decodeStored, encodeStored } from './entry.ts';
import { EPOCH, UNLOCK, VERSIONS, WRITE, runScript } from './scripts.ts';
import type { VersionClock } from './version.ts';

/**
 * How long a deletion is remembered in Redis. What it has to outlive is an older write of the same
 * key that is still on its way: in the socket of a frozen Redis (executed within moments of its
 * waking, which is also when replayed deletions are written), in a proxy, or in the kernel of an
 * instance that was cut off, which sends again for at most some minutes (tcp_orphan_retries, RFC 1122).
 * A lifetime of its own value does not bound it: that one counts from when the late write is executed.
 */
const TOMBSTONE_MS = 600_000;

/** Keys that Redis looks at before it answers: it does nothing else meanwhile. */
const SCAN_COUNT = 500;

/** Each attempt follows a refusal with news (another epoch, a newer version); more are a storm of clears. */
const MAX_ATTEMPTS = 4;

/**
 * A write: a value for `lifetimeMs`, or a deletion where there is no payload. A deletion of the version that Redis has
 * as a value leaves it there.
 */
export interface Write {
  /** The key with its namespace. */
  readonly key: string;
  readonly version: string;
  readonly payload: Payload | undefined;
  readonly tags: readonly string[];
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

const REFUSED: Written = { applied: false };

/** What Redis reports as changed in one turn of its event loop. */
export interface Report {
  /** Keys of the present epoch. */
  readonly keys: readonly string[];
  /** The epoch itself has changed. */
  readonly epoch: boolean;
  /** This instance wrote in that turn, and no other one did. */
  readonly own: boolean;
}

export interface RedisTierOptions {
  readonly redis: RedisBackend;
  readonly keyPrefix: string;
  readonly clock: Clock;
  readonly versions: VersionClock;
  /** Payloads of more bytes are compressed. */
  readonly compressAbove: number;
  /** The channel on which instances tell each other of changes, and as whom. */
  readonly channel: string;
  readonly sender: string;
  /** Whether writes are told there; else tracking tells them. */
  readonly publishes: () => boolean;
  /** Called when the epoch has moved, with the version of the last clear(): what is older is void. */
  readonly onEpoch: (cleared: string) => void;
  /** Called when a connection has told who answers it; empty where Redis does not tell. */
  readonly onRunId: (runId: string) => void;
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
  readonly #options: RedisTierOptions;
  readonly #prefix: string;
  readonly #epochKey: string;
  readonly #metaKey: string;
  /** Before the name of who wrote; changed by each of his scripts. */
  readonly #authors: string;
  readonly #authorKey: string;
  /** Run id of each connection that has agreed on the epoch; empty where Redis does not tell it. */
  readonly #runIds = new WeakMap<Redis, string>();
  readonly #greetings = new WeakMap<Redis, Promise<void>>();
  #epoch = '0';
  #epochBytes = Buffer.from('0');
  #cleared = '';

  constructor(options: RedisTierOptions) {
    this.#options = options;
    this.#prefix = `${options.keyPrefix}c:`;
    this.#epochKey = `${this.#prefix}epoch`;
    this.#metaKey = `${this.#prefix}meta`;
    this.#authors = `${this.#prefix}by:`;
    this.#authorKey = `${this.#authors}${options.sender}`;
  }

  get engaged(): boolean {
    return this.#options.redis.engaged;
  }

  /** What Redis' names mean that it reports. */
  readReport(names: readonly string[]): Report {
    const prefix = `${this.#prefix}${this.#epoch}:`;
    const keys: string[] = [];
    let epoch = false;
    let own = false;
    let others = false;
    for (const name of names) {
      if (name.startsWith(prefix)) keys.push(name.slice(prefix.length));
      else if (name === this.#authorKey) own = true;
      else if (name.startsWith(this.#authors)) others = true;
      else if (name === this.#epochKey) epoch = true;
    }
    return { keys, epoch, own: own && !others };
  }

  /** What is there under each key, tombstones included, in the order of `keys`. */
  readMany(keys: readonly string[], options: CallOptions): Promise<(Stored | undefined)[]> {
    return this.#options.redis.call((client) => this.#readMany(client, keys), options);
  }

  /** Many writes in one script; in order of `writes`. */
  writeMany(writes: readonly Write[], options: CallOptions): Promise<Written[]> {
    return this.#options.redis.call((client) => this.#writeMany(client, writes), options);
  }

  /** The version under each key, empty for none. */
  versionsOf(keys: readonly string[], options: CallOptions): Promise<string[]> {
    const names = keys.map((key) => this.#valueKey(key));
    return this.#options.redis.call((client) => runScript(client, VERSIONS, names, []) as Promise<string[]>, options);
  }

  /**
   * Some of the keys that begin so, and where to go on: at '0' that was all. A key may come twice, and one that is
   * written or deleted meanwhile may or may not.
   */
  scan(
    prefix: string,
    cursor: string,
    options: CallOptions,
  ): Promise<{ readonly next: string; readonly keys: string[] }> {
    return this.#options.redis.call(async (client) => {
      if (!this.#runIds.has(client)) await this.#greet(client);
      const epoch = this.#valueKey('');
      const pattern = `${(epoch + prefix).replaceAll(/[\\*?[\]]/g, String.raw`\$&`)}*`;
      const [next, names] = await client.scan(cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT);
      return { next, keys: names.map((name) => name.slice(epoch.length)) };
    }, options);
  }

  /** Takes a lock unless another one has it. */
  lock(key: string, owner: string, lengthMs: number, options: CallOptions): Promise<boolean> {
    const name = this.#lockKey(key);
    const work = async (client: Redis): Promise<boolean> => {
      return (await client.set(name, owner, 'PX', lengthMs, 'NX')) === 'OK';
    };
    return this.#options.redis.call(work, options);
  }

  unlock(key: string, owner: string, options: CallOptions): Promise<unknown> {
    return this.#options.redis.call((client) => runScript(client, UNLOCK, [this.#lockKey(key)], [owner]), options);
  }

  /** One way there and back, by which the connection agrees on time and epoch. */
  greet(options: CallOptions): Promise<void> {
    return this.#options.redis.call(async (client) => {
      if (this.#runIds.has(client)) await this.#agree(client);
      else await this.#greet(client);
    }, options);
  }

  /**
   * Starts a new epoch: every key is gone for everybody.
   *
   * @param cleared - version of the clear() that asks for it; empty where nobody cleared
   */
  raiseEpoch(cleared: string, options: CallOptions): Promise<void> {
    return this.#options.redis.call(async (client) => {
      if (!this.#runIds.has(client)) await this.#greet(client);
      await this.#agree(client, cleared, true);
    }, options);
  }

  async #readMany(client: Redis, keys: readonly string[]): Promise<(Stored | undefined)[]> {
    if (!this.#runIds.has(client)) await this.#greet(client);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      // Taken before the wait: another call may learn of a new epoch meanwhile, and the values that
      // come are of the epoch that was asked for.
      const asked = this.#epochBytes;
      const names = keys.map((key) => this.#valueKey(key));
      const [epoch, ...found] = await client.mgetBuffer(this.#epochKey, ...names);
      if (epoch?.equals(asked)) return found.map((bytes) => this.#decode(bytes));
      await this.#agree(client);
    }
    throw new RedoubtError('ERR_REDIS_UNAVAILABLE', { reason: 'EPOCH_MOVING' });
  }

  #decode(bytes: Buffer | null | undefined): Stored | undefined {
    const stored = bytes ? decodeStored(bytes) : undefined;
    if (stored) this.#options.versions.observe(stored.version);
    return stored;
  }

  async #writeMany(client: Redis, writes: readonly Write[]): Promise<Written[]> {
    if (!this.#runIds.has(client)) await this.#greet(client);
    const results = writes.map(() => REFUSED);
    let left = writes.map((write, index) => ({ write, index, version: write.version }));
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      left = left.filter((item) => item.version >= this.#cleared || this.#renew(item));
      if (left.length === 0) return results;
      const replies = await this.#send(client, left);
      if (replies === 'e') {
        await this.#agree(client);
        continue;
      }
      left = left.filter((item, at) => {
        const reply = replies[at];
        if (typeof reply === 'number') {
          results[item.index] = { applied: true, existed: reply === 1, version: item.version };
          return false;
        }
        // Somebody's clock is ahead of ours. Who is asking right now is the newest, whatever clocks say.
        this.#options.versions.observe(String(reply).slice(1));
        return this.#renew(item);
      });
    }
    if (left.length === 0) return results;
    throw new RedoubtError('ERR_REDIS_UNAVAILABLE', { reason: 'EPOCH_MOVING', executed: 'no' });
  }

  #renew(item: { readonly write: Write; version: string }): boolean {
    if (!item.write.insists()) return false;
    item.version = this.#options.versions.next();
    return true;
  }

  #send(
    client: Redis,
    items: readonly { readonly write: Write; readonly version: string }[],
  ): Promise<'e' | (number | string)[]> {
    const { versions, channel, sender, publishes, compressAbove } = this.#options;
    const now = versions.redisNow();
    const keys = [this.#epochKey, this.#authorKey];
    const args: (string | number | Buffer)[] = [this.#epoch, publishes() ? channel : '', sender];
    for (const { write, version } of items) {
      const { key, payload, tags, ageMs, lifetimeMs } = write;
      const times = { writtenAt: now - ageMs, expiresAt: now + lifetimeMs };
      keys.push(this.#valueKey(key));
      args.push(encodeStored({ payload, version, tags, ...times }, compressAbove), payload ? lifetimeMs : TOMBSTONE_MS);
    }
    return runScript(client, WRITE, keys, args) as Promise<'e' | (number | string)[]>;
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
    const runId = await runIdOf(client);
    await this.#agree(client, '', false, runId);
    this.#runIds.set(client, runId);
    this.#options.onRunId(runId);
  }

  /** The quickest of three answers tells the time best: its error is at most half its way (Cristian, 1989). */
  async #synchronise(client: Redis): Promise<void> {
    const { clock, versions } = this.#options;
    let best: { readonly redisMs: number; readonly askedAt: number; readonly answeredAt: number } | undefined;
    for (let sample = 0; sample < 3; sample += 1) {
      const askedAt = clock.now();
      const [seconds, microseconds] = await client.time();
      const answeredAt = clock.now();
      if (best && answeredAt - askedAt >= best.answeredAt - best.askedAt) continue;
      best = { redisMs: Number(seconds) * 1000 + Number(microseconds) / 1000, askedAt, answeredAt };
    }
    if (best) versions.synchronise(best.redisMs, (best.askedAt + best.answeredAt) / 2);
  }

  async #agree(client: Redis, cleared = '', raise = false, runId = this.#runIds.get(client) ?? ''): Promise<void> {
    const keys = [this.#epochKey, this.#metaKey];
    const { channel, sender } = this.#options;
    const args = [runId, this.#epoch, raise ? 1 : 0, cleared, channel, sender];
    const reply = await runScript(client, EPOCH, keys, args);
    const [epoch, clearedThere] = reply as [string, string];
    if (clearedThere > this.#cleared) this.#cleared = clearedThere;
    if (clearedThere) this.#options.versions.observe(clearedThere);
    // Answers of two connections may cross; the epoch only grows.
    if (Number(epoch) <= Number(this.#epoch)) return;
    this.#epoch = epoch;
    this.#epochBytes = Buffer.from(epoch);
    this.#options.onEpoch(this.#cleared);
  }

  /** Not under the prefix of the cache: nobody is to be told of locks. */
  #lockKey(key: string): string {
    return `${this.#options.keyPrefix}l:${key}`;
  }

  #valueKey(key: string): string {
    return `${this.#prefix}${this.#epoch}:${key}`;
  }
}

/** Who answers a connection; empty where INFO is forbidden, as managed servers may. Then a restart goes unnoticed
 * unless the epoch itself was lost or went back. */
export async function runIdOf(client: Redis): Promise<string> {
  try {
    return /^run_id:(\w+)/m.exec(await client.info('server'))?.[1] ?? '';
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('NOPERM')) return '';
    throw error;
  }
}
