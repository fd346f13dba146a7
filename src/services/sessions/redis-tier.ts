import { createHash } from 'node:crypto';

import type { Redis } from 'ioredis';

import type { RedisBackend } from '../../backends/types.ts';
import type { SessionRecord, WriteResult } from './record.ts';

// KEYS: record, epoch, dirty set. ARGV: my epoch, version, box ('' for a tombstone), life in ms, dirty member or ''.
// A write of an older epoch is refused, and so is one that is not newer than what is there; a
// tombstone stays. A write that Redis executes late, after a freeze, therefore changes nothing.
// A Redis that does not know the epoch has lost its data, and takes nothing before the next raise.
const WRITE = `
local epoch = tonumber(redis.call('GET', KEYS[2]) or '-1')
if epoch < 0 then return {'lost', 0, ''} end
if epoch > tonumber(ARGV[1]) then return {'fenced', epoch, ''} end
local life = tonumber(ARGV[4])
local text = ARGV[2] .. '|' .. ARGV[3]
local held = redis.call('GET', KEYS[1])
if held and held ~= text then
  local bar = string.find(held, '|', 1, true)
  if bar == #held then return {'dead', 0, ''} end
  local version = tonumber(string.sub(held, 1, bar - 1))
  if ARGV[3] == '' then life = math.max(life, redis.call('PTTL', KEYS[1]))
  elseif version >= tonumber(ARGV[2]) then return {'conflict', version, held} end
end
redis.call('SET', KEYS[1], text, 'PX', life)
if ARGV[5] ~= '' then redis.call('SADD', KEYS[3], ARGV[5]) end
if epoch < tonumber(ARGV[1]) then redis.call('SET', KEYS[2], ARGV[1]) end
return {'stored', 0, ''}`;

const PUBLISH = `
local epoch = tonumber(redis.call('GET', KEYS[1]) or '-1')
if epoch < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return math.max(epoch, tonumber(ARGV[1]))`;

// KEYS: dirty set. ARGV: prefix, how many. Answers member, record, life in ms of each.
const DIRTY = `
local found = {}
for _, member in ipairs(redis.call('SRANDMEMBER', KEYS[1], ARGV[2])) do
  local key = ARGV[1] .. member
  table.insert(found, member)
  table.insert(found, redis.call('GET', key) or '')
  table.insert(found, redis.call('PTTL', key))
end
return found`;

// KEYS: dirty set, record. ARGV: member, what the record was when it was replayed.
const CLEAN = `
if (redis.call('GET', KEYS[2]) or '') == ARGV[2] then redis.call('SREM', KEYS[1], ARGV[1]) end
return 1`;

const WRITE_SHA = createHash('sha1').update(WRITE).digest('hex');
const EPOCH_MOVES = 3;

export interface RedisTierOptions {
  readonly redis: RedisBackend;
  readonly keyPrefix: string;
  readonly deadlineMs: number;
  /** Most ids that may be distrusted at a time. */
  readonly distrustMax: number;
}

/** Which Redis a connection leads to. */
export interface RedisIdentity {
  /** New at each start of a Redis; empty where it does not tell. */
  readonly runId: string;
  /** Believes the connection that was asked. */
  readonly accept: () => void;
}

/** How a write goes to Redis. */
export interface RedisWriteOptions {
  /** The epoch that was current when PostgreSQL took it: under another one it must not be seen. */
  readonly epoch?: number;
  /** PostgreSQL does not have it: whoever reaches both brings it there. */
  readonly dirty?: boolean;
}

/** A record that PostgreSQL has not got yet. */
export interface DirtyRecord {
  readonly member: string;
  readonly id: string;
  readonly text: string;
  /** `undefined` where it has expired. */
  readonly record: SessionRecord | undefined;
  readonly lifeMs: number;
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
  #lost = false;
  #accepted: Redis | undefined;

  constructor({ redis, keyPrefix, deadlineMs, distrustMax }: RedisTierOptions) {
    this.#redis = redis;
    this.#prefix = `${keyPrefix}s:`;
    this.#callOptions = { deadlineMs };
    this.#distrustMax = distrustMax;
  }

  /** Whether Redis was seen without its epoch: it has lost its data. */
  get lost(): boolean {
    return this.#lost;
  }

  /** Whether this connection is known to lead to the Redis that the epoch is about. */
  get isAccepted(): boolean {
    const client = this.#redis.tryGetClient();
    return client !== undefined && client === this.#accepted;
  }

  /**
   * The run id of the Redis behind the present connection; `accept` then believes this connection. Another
   * connection may lead to another Redis, or to the same one restarted from an old snapshot.
   */
  async identify(): Promise<RedisIdentity> {
    const client = this.#redis.tryGetClient();
    this.#accepted = undefined;
    const info = await this.#redis.call((asked) => asked.info('server'), this.#callOptions);
    const runId = /^run_id:(\w+)/m.exec(info)?.[1] ?? '';
    return { runId, accept: () => void (this.#accepted = client) };
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

  /** @param follow - goes on under a higher epoch that Redis knows; otherwise that is a miss */
  async read(id: string, follow: boolean): Promise<SessionRecord | undefined> {
    for (let move = 0; ; move += 1) {
      const epoch = this.#epoch;
      const keys = [`${this.#prefix}epoch`, this.#key(epoch, id)];
      const [stored, text] = await this.#redis.call((client) => client.mget(keys), this.#callOptions);
      if (stored === null) this.#lost = true;
      else this.adopt(Number(stored));
      if (this.#epoch === epoch || (follow && move === EPOCH_MOVES)) return text ? parse(text) : undefined;
      if (!follow) return undefined;
    }
  }

  /**
   * Writes the record unless a tombstone or one that is not older is there. Without an epoch of the caller's it
   * goes under whatever epoch Redis knows, and a Redis that has lost it is given a new one.
   */
  async write(
    id: string,
    record: SessionRecord,
    lifeMs: number,
    options: RedisWriteOptions = {},
  ): Promise<WriteResult> {
    for (let move = 0; move < EPOCH_MOVES; move += 1) {
      const epoch = options.epoch ?? this.#epoch;
      const member = options.dirty ? `${epoch}:${id}` : '';
      const args = [epoch, record.version, record.box ?? '', Math.ceil(lifeMs), member].map(String);
      const keys = [this.#key(epoch, id), `${this.#prefix}epoch`, `${this.#prefix}dirty`];
      const [status, value, held] = await this.#redis.call(
        (client) => runWrite(client, [...keys, ...args]),
        this.#callOptions,
      );
      if (status === 'lost') this.#lost = true;
      if (status === 'fenced') this.adopt(value);
      // Whatever it answers, it holds this version or better now, or nothing that anybody reads.
      if (status !== 'fenced') this.#distrusted.delete(id);
      if (status === 'conflict') return { status, held: parse(held) };
      if (options.epoch !== undefined) return { status: status === 'stored' || status === 'dead' ? status : 'void' };
      if (status === 'lost') await this.raiseHere();
      // Another call may have moved us on meanwhile: then this write landed in a fenced epoch, and goes again.
      else if (status !== 'fenced' && this.#epoch === epoch) return { status };
    }
    return { status: 'failed' };
  }

  /** Some of the records that PostgreSQL has not got. */
  async dirty(limit: number): Promise<readonly DirtyRecord[]> {
    const found = (await this.#redis.call(
      (client) => client.eval(DIRTY, 1, `${this.#prefix}dirty`, this.#prefix, String(limit)),
      this.#callOptions,
    )) as (string | number)[];
    return Array.from({ length: found.length / 3 }, (_, i) => {
      const [member, text] = [String(found[i * 3]), String(found[i * 3 + 1])];
      const record = text === '' ? undefined : parse(text);
      const id = member.slice(member.indexOf(':') + 1);
      return { member, id, text, record, lifeMs: Math.max(1, Number(found[i * 3 + 2])) };
    });
  }

  /** PostgreSQL has this record now; one that was changed since stays dirty. */
  async clean({ member, text }: DirtyRecord): Promise<void> {
    const keys = [`${this.#prefix}dirty`, `${this.#prefix}${member}`];
    await this.#redis.call((client) => client.eval(CLEAN, 2, ...keys, member, text), this.#callOptions);
  }

  /** Prolongs what is there, and makes nothing that is not. */
  async touch(id: string, lifeMs: number): Promise<void> {
    const key = this.#key(this.#epoch, id);
    await this.#redis.call((client) => client.pexpire(key, Math.ceil(lifeMs)), this.#callOptions);
  }

  /** The epoch that Redis knows; `undefined` where it has none: it is new, or has lost its data. */
  async storedEpoch(): Promise<number | undefined> {
    const stored = await this.#redis.call((client) => client.get(`${this.#prefix}epoch`), this.#callOptions);
    return stored === null ? undefined : Number(stored);
  }

  /** After a raise: tells the other instances through Redis, and learns of a higher epoch. */
  async publishEpoch(): Promise<void> {
    const epoch = this.#epoch;
    const stored = await this.#redis.call(
      (client) => client.eval(PUBLISH, 1, `${this.#prefix}epoch`, String(epoch)),
      this.#callOptions,
    );
    this.#lost = false;
    this.adopt(Number(stored));
  }

  /** Gives Redis a new epoch where PostgreSQL cannot be asked for one. */
  async raiseHere(): Promise<void> {
    this.adopt(this.#epoch + 1);
    await this.publishEpoch();
  }

  #key(epoch: number, id: string): string {
    return `${this.#prefix}${epoch}:${id}`;
  }
}

type ScriptReply = ['stored' | 'dead' | 'conflict' | 'fenced' | 'lost', number, held: string];

async function runWrite(client: Redis, keysAndArgs: readonly string[]): Promise<ScriptReply> {
  try {
    return (await client.evalsha(WRITE_SHA, 3, ...keysAndArgs)) as ScriptReply;
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return (await client.eval(WRITE, 3, ...keysAndArgs)) as ScriptReply;
  }
}

function parse(text: string): SessionRecord {
  const bar = text.indexOf('|');
  return { version: Number(text.slice(0, bar)), box: text.slice(bar + 1) || null };
}
