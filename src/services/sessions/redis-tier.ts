import type { Writable } from 'node:stream';

import type { Redis } from 'ioredis';

import type { RedisBackend } from '../../backends/types.ts';
import type { Clock } from '../../core/clock.ts';
import { isRedoubtError } from '../../core/errors.ts';
import { Batch, TurnEnd } from './batch.ts';
import type { SessionRecord, WriteResult } from './record.ts';
import { CLEAN, DIRTY, PUBLISH, WRITE, runScript } from './redis-scripts.ts';

const EPOCH_MOVES = 3;
/** Requests of one turn of the event loop share a call; so many calls may be under way. */
const PARALLEL = 16;
/** Small enough that Redis answers one group while the next one gathers; larger ones wait for each other in turn. */
const GROUP = 32;
/** About as long as the detector needs to judge; the next heartbeat asks sooner where PostgreSQL is there. */
const SILENCE_MS = 1000;

export interface RedisTierOptions {
  readonly redis: RedisBackend;
  readonly clock: Clock;
  readonly keyPrefix: string;
  readonly deadlineMs: number;
  /** Most reads, and most writes, that wait for a call. */
  readonly waitingMax: number;
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

interface Read {
  readonly id: string;
  readonly epoch: number;
}

/** What lay there, and the epoch that Redis knew at that moment; `undefined` where it knew none. */
interface ReadAnswer {
  readonly stored: number | undefined;
  readonly text: string | null;
}

interface Write extends Read {
  readonly record: SessionRecord;
  readonly lifeMs: number;
  readonly dirty: boolean;
}

/** A write's answer: stored, void, or the text that is held instead; and the epoch that Redis knew. */
interface WriteAnswer {
  readonly stored: number;
  readonly answer: number | string;
}

/**
 * Sessions in Redis under `<prefix>s:<epoch>:<id>`, as `version|box`; nothing behind the bar is a tombstone.
 *
 * The epoch is mirrored in `<prefix>s:epoch` and comes along with each call, so that all instances
 * move to a new one as soon as one of them has published it. Methods throw as `RedisBackend.call` does.
 */
export class RedisTier {
  readonly #redis: RedisBackend;
  readonly #clock: Clock;
  readonly #prefix: string;
  readonly #callOptions: { readonly deadlineMs: number };
  readonly #reads: Batch<Read, ReadAnswer>;
  readonly #writes: Batch<Write, WriteAnswer>;
  #epoch = 0;
  #published = 0;
  #lost = false;
  #accepted: Redis | undefined;
  #silentUntil = 0;

  constructor({ redis, clock, keyPrefix, deadlineMs, waitingMax }: RedisTierOptions) {
    this.#redis = redis;
    this.#clock = clock;
    this.#prefix = `${keyPrefix}s:`;
    this.#callOptions = { deadlineMs };
    const turn = new TurnEnd((leave) => this.#inOnePacket(leave));
    const shared = { turn, parallel: PARALLEL, size: GROUP, waitingMax, bound: 'sessions.memoryMax' };
    this.#reads = new Batch({ ...shared, run: (reads) => this.#readAll(reads) });
    this.#writes = new Batch({ ...shared, run: (writes) => this.#writeAll(writes) });
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
    this.#published = 0;
    const info = await this.#redis.call((asked) => asked.info('server'), this.#callOptions);
    this.#silentUntil = 0;
    const runId = /^run_id:(\w+)/m.exec(info)?.[1] ?? '';
    return { runId, accept: () => void (this.#accepted = client) };
  }

  /**
   * Whether Redis has just left a call without an answer. Who has PostgreSQL to ask asks that: a request that reads and
   * writes would wait for two deadlines. Whether Redis is to be given up is the detector's to say.
   */
  get isSilent(): boolean {
    return this.#clock.now() < this.#silentUntil;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Moves to a higher epoch, under which nothing old can be read; a lower one is ignored. */
  adopt(epoch: number): void {
    if (epoch > this.#epoch) this.#epoch = epoch;
  }

  /** @param follow - takes Redis' own word for the epoch, and goes on under it; otherwise another one is a miss */
  async read(id: string, follow: boolean): Promise<SessionRecord | undefined> {
    for (let move = 0; ; move += 1) {
      const epoch = this.#epoch;
      const { stored, text } = await this.#reads.add({ id, epoch });
      const isLast = stored === undefined || stored <= epoch || move === EPOCH_MOVES;
      if (follow ? isLast : stored !== undefined && stored <= epoch) return text ? parse(text) : undefined;
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
      const { stored, answer } = await this.#writes.add({ id, record, lifeMs, epoch, dirty: options.dirty ?? false });
      if (typeof answer === 'string') {
        const held = parse(answer);
        return held.box === null && record.box === null
          ? { status: 'stored', version: held.version }
          : { status: 'held', held };
      }
      if (options.epoch !== undefined && answer === 0) return { status: 'void' };
      if (stored < 0) await this.raiseHere();
      // Another call may have moved us on meanwhile: then this write landed in a fenced epoch, and goes again.
      else if (answer === 1 && (options.epoch !== undefined || this.#epoch === epoch))
        return { status: 'stored', version: record.version };
    }
    return { status: 'failed' };
  }

  /** Some of the records that PostgreSQL has not got. */
  async dirty(limit: number): Promise<readonly DirtyRecord[]> {
    const found = (await this.#redis.call(
      (client) => runScript(client, DIRTY, [`${this.#prefix}dirty`], [this.#prefix, String(limit)]),
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
    await this.#redis.call((client) => runScript(client, CLEAN, keys, [member, text]), this.#callOptions);
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
    await this.#publish(this.#epoch, 'given');
    this.#lost = false;
  }

  /**
   * Tells of an epoch that PostgreSQL knows; from then on nobody reads here under a lower one. A Redis that has lost its
   * data is left without: nobody reads there anyway, and only a raise may heal it.
   */
  async announceEpoch(epoch: number): Promise<void> {
    if (this.#published < epoch) await this.#publish(epoch, '');
  }

  /** Gives Redis a new epoch where PostgreSQL cannot be asked for one. */
  async raiseHere(): Promise<void> {
    this.adopt(this.#epoch + 1);
    await this.publishEpoch();
  }

  async #publish(epoch: number, ifNone: '' | 'given'): Promise<void> {
    const stored = await this.#redis.call(
      (client) => runScript(client, PUBLISH, [`${this.#prefix}epoch`], [String(epoch), ifNone]),
      this.#callOptions,
    );
    this.#see(Number(stored));
  }

  async #readAll(reads: readonly Read[]): Promise<readonly ReadAnswer[]> {
    const keys = [`${this.#prefix}epoch`, ...reads.map(({ id, epoch }) => this.#key(epoch, id))];
    const [epoch, ...texts] = await this.#call((client) => client.mget(keys));
    const stored = epoch === null || epoch === undefined ? undefined : Number(epoch);
    this.#see(stored ?? -1);
    return texts.map((text) => ({ stored, text }));
  }

  /** All of them in one call, but where the epoch has just moved, or PostgreSQL has just come or gone. */
  async #writeAll(writes: readonly Write[]): Promise<readonly WriteAnswer[]> {
    const [first] = writes;
    const goesWithFirst = ({ epoch, dirty }: Write): boolean => epoch === first?.epoch && dirty === first.dirty;
    if (first && writes.every(goesWithFirst)) return await this.#writeAlike(writes, first);
    const answers = new Map<Write, WriteAnswer>();
    const groups = Map.groupBy(writes, ({ epoch, dirty }) => `${epoch}:${dirty}`);
    await Promise.all(
      [...groups.values()].map(async (group) => {
        for (const [i, answer] of (await this.#writeAlike(group, group[0]!)).entries()) answers.set(group[i]!, answer);
      }),
    );
    return writes.map((write) => answers.get(write)!);
  }

  async #writeAlike(writes: readonly Write[], { epoch, dirty }: Write): Promise<readonly WriteAnswer[]> {
    const keys = [`${this.#prefix}epoch`, `${this.#prefix}dirty`];
    const args = [`${epoch}`, dirty ? `${Buffer.byteLength(this.#prefix)}` : ''];
    for (const { id, record, lifeMs } of writes) {
      keys.push(this.#key(epoch, id));
      args.push(`${record.version}|${record.box ?? ''}`, `${Math.ceil(lifeMs)}`);
    }
    const [stored = -1, ...answers] = (await this.#call((client) => runScript(client, WRITE, keys, args))) as [
      number,
      ...(number | string)[],
    ];
    this.#see(stored);
    return answers.map((answer) => ({ stored, answer }));
  }

  /** Reads and writes of one turn wake Redis once: to wake it costs both sides more than a command does. */
  #inOnePacket(leave: () => void): void {
    const { stream } = (this.#redis.tryGetClient() ?? {}) as { readonly stream?: Writable };
    stream?.cork();
    try {
      leave();
    } finally {
      stream?.uncork();
    }
  }

  async #call<T>(work: (client: Redis) => Promise<T>): Promise<T> {
    try {
      return await this.#redis.call(work, this.#callOptions);
    } catch (error) {
      if (isRedoubtError(error, 'ERR_DEADLINE') && error.details['late'] !== true) {
        this.#silentUntil = this.#clock.now() + SILENCE_MS;
      }
      throw error;
    }
  }

  /** Redis has told its epoch, or that it has none. */
  #see(stored: number): void {
    if (stored < 0) this.#lost = true;
    this.#published = stored;
    this.adopt(stored);
  }

  #key(epoch: number, id: string): string {
    return `${this.#prefix}${epoch}:${id}`;
  }
}

function parse(text: string): SessionRecord {
  const bar = text.indexOf('|');
  return { version: Number(text.slice(0, bar)), box: text.slice(bar + 1) || null };
}
