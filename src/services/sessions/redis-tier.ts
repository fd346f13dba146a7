import { createHash } from 'node:crypto';

import type { Redis } from 'ioredis';

import type { RedisBackend } from '../../backends/types.ts';
import type { SessionRecord, WriteResult } from './record.ts';

// KEYS: record, epoch. ARGV: my epoch, version, box ('' for a tombstone), life in ms.
// A write of an older epoch is refused, and so is one that is not newer than what is there; a
// tombstone stays. A write that Redis executes late, after a freeze, therefore changes nothing.
const WRITE = `
local epoch = tonumber(redis.call('GET', KEYS[2]) or '-1')
if epoch > tonumber(ARGV[1]) then return {'fenced', epoch} end
local life = tonumber(ARGV[4])
local held = redis.call('GET', KEYS[1])
if held then
  local bar = string.find(held, '|', 1, true)
  if bar == #held then return {'dead', 0} end
  local version = tonumber(string.sub(held, 1, bar - 1))
  if ARGV[3] == '' then life = math.max(life, redis.call('PTTL', KEYS[1]))
  elseif version >= tonumber(ARGV[2]) then return {'conflict', version} end
end
redis.call('SET', KEYS[1], ARGV[2] .. '|' .. ARGV[3], 'PX', life)
if epoch < tonumber(ARGV[1]) then redis.call('SET', KEYS[2], ARGV[1]) end
return {'stored', 0}`;

const PUBLISH = `
local epoch = tonumber(redis.call('GET', KEYS[1]) or '-1')
if epoch < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return math.max(epoch, tonumber(ARGV[1]))`;

const WRITE_SHA = createHash('sha1').update(WRITE).digest('hex');
const EPOCH_MOVES = 3;

export interface RedisTierOptions {
  readonly redis: RedisBackend;
  readonly keyPrefix: string;
  readonly deadlineMs: number;
  /** Most ids that may be distrusted at a time. */
  readonly distrustMax: number;
}

/**
 * Sessions in Redis under `<prefix>s:<epoch>:<id>`, as `version|box`; nothing behind the bar is a tombstone.
 *
 * The epoch is mirrored in `<prefix>s:epoch` and comes along with each call, so that all instances
 * move to a new one as soon as one of them has published it. Methods throw as `RedisBackend.call` does.
 */
export class RedisTier {
  readonly #redis: RedisBackend;
  readonly #prefix: string;
  readonly #callOptions: { readonly deadlineMs: number };
  readonly #distrusted = new Set<string>();
  readonly #distrustMax: number;
  #distrustAll = false;
  #epoch = 0;

  constructor({ redis, keyPrefix, deadlineMs, distrustMax }: RedisTierOptions) {
    this.#redis = redis;
    this.#prefix = `${keyPrefix}s:`;
    this.#callOptions = { deadlineMs };
    this.#distrustMax = distrustMax;
  }

  get epoch(): number {
    return this.#epoch;
  }

  get distrusted(): number {
    return this.#distrusted.size;
  }

  /** Too many ids are distrusted to name them: nothing is read until the next epoch. */
  get overflowed(): boolean {
    return this.#distrustAll;
  }

  /** Whether what Redis holds of this id may be believed. */
  trusts(id: string): boolean {
    return !this.#distrustAll && !this.#distrusted.has(id);
  }

  /** A write of this id failed here and succeeded elsewhere: do not read it until the next epoch or a stored write. */
  distrust(id: string): void {
    if (this.#distrusted.size >= this.#distrustMax) this.#distrustAll = true;
    else this.#distrusted.add(id);
  }

  /** Believes everything again: whatever was distrusted has been written again. */
  trustAll(): void {
    this.#distrusted.clear();
    this.#distrustAll = false;
  }

  /** Moves to a higher epoch, under which nothing old can be read; a lower one is ignored. */
  adopt(epoch: number): void {
    if (epoch <= this.#epoch) return;
    this.#epoch = epoch;
    this.trustAll();
  }

  async read(id: string): Promise<SessionRecord | undefined> {
    for (let move = 0; ; move += 1) {
      const epoch = this.#epoch;
      const keys = [`${this.#prefix}epoch`, this.#key(epoch, id)];
      const [stored, text] = await this.#redis.call((client) => client.mget(keys), this.#callOptions);
      this.adopt(Number(stored ?? 0));
      if (this.#epoch === epoch || move === EPOCH_MOVES) return text ? parse(text) : undefined;
    }
  }

  async write(id: string, record: SessionRecord, lifeMs: number): Promise<WriteResult> {
    for (let move = 0; move < EPOCH_MOVES; move += 1) {
      const epoch = this.#epoch;
      const args = [epoch, record.version, record.box ?? '', Math.ceil(lifeMs)].map(String);
      const keys = [this.#key(epoch, id), `${this.#prefix}epoch`];
      const [status, value] = await this.#redis.call(
        (client) => runWrite(client, [...keys, ...args]),
        this.#callOptions,
      );
      // Whatever it answers, it holds this version or better now.
      if (status !== 'fenced') this.#distrusted.delete(id);
      if (status === 'conflict') return { status, version: value };
      if (status === 'fenced') this.adopt(value);
      // Another call may have moved us on meanwhile: then this write landed in a fenced epoch, and goes again.
      else if (this.#epoch === epoch) return { status };
    }
    return { status: 'failed' };
  }

  /** Prolongs what is there, and makes nothing that is not. */
  async touch(id: string, lifeMs: number): Promise<void> {
    const key = this.#key(this.#epoch, id);
    await this.#redis.call((client) => client.pexpire(key, Math.ceil(lifeMs)), this.#callOptions);
  }

  /** The epoch that Redis knows; 0 for none. */
  async storedEpoch(): Promise<number> {
    return Number((await this.#redis.call((client) => client.get(`${this.#prefix}epoch`), this.#callOptions)) ?? 0);
  }

  /** Tells the other instances through Redis, and learns of a higher epoch. */
  async publishEpoch(): Promise<void> {
    const epoch = this.#epoch;
    const stored = await this.#redis.call(
      (client) => client.eval(PUBLISH, 1, `${this.#prefix}epoch`, String(epoch)),
      this.#callOptions,
    );
    this.adopt(Number(stored));
  }

  #key(epoch: number, id: string): string {
    return `${this.#prefix}${epoch}:${id}`;
  }
}

type ScriptReply = ['stored' | 'dead' | 'conflict' | 'fenced', number];

async function runWrite(client: Redis, keysAndArgs: readonly string[]): Promise<ScriptReply> {
  try {
    return (await client.evalsha(WRITE_SHA, 2, ...keysAndArgs)) as ScriptReply;
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return (await client.eval(WRITE, 2, ...keysAndArgs)) as ScriptReply;
  }
}

function parse(text: string): SessionRecord {
  const bar = text.indexOf('|');
  return { version: Number(text.slice(0, bar)), box: text.slice(bar + 1) || null };
}
