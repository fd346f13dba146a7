import { EventEmitter } from 'node:events';

import type { Redis } from 'ioredis';

import type { RedisBackend, RedisLink, RedisLinkOptions } from '../../../src/backends/types.ts';
import { RedoubtError } from '../../../src/core/errors.ts';
import { EPOCH, UNLOCK, VERSIONS, WRITE, WRITE_ARGUMENTS } from '../../../src/services/cache/scripts.ts';

type Argument = string | number | Buffer;

/**
 * As much of Redis as the cache uses, with failures that a real one cannot be made to show in a chosen order:
 * `fail` refuses calls before they are executed, `hold` executes them and keeps their answers back, `freeze` lets
 * calls run past their deadline and executes their writes when it is thawed. Changes are reported once `hear` has
 * been called, and kept back between `deafen` and the function that it returns.
 */
export class FakeRedis implements RedisBackend {
  readonly values = new Map<string, Buffer>();
  readonly writes: string[] = [];
  readonly locks = new Map<string, string>();
  engaged = true;
  fail: Error | undefined;
  calls = 0;
  runId = 'a1';
  #epoch = '';
  #run = '';
  #cleared = '';
  #held: Promise<void> | undefined;
  #frozen: Promise<void> | undefined;
  #links: RedisLinkOptions[] = [];
  #hearers: FakeSubscriber[] = [];
  #deaf: string[] | undefined;
  #client = this.#connect();

  /** Opens what the cache asked for with `link`, as engaging does. */
  async hear(): Promise<void> {
    for (const options of this.#links) {
      const subscriber = new FakeSubscriber(this.runId, () => this.#drop(subscriber, options));
      await options.onReady?.(subscriber as unknown as Redis);
      this.#hearers.push(subscriber);
    }
  }

  /** Breaks the connections on which changes are reported. */
  breakHearing(): void {
    for (const hearer of this.#hearers.slice()) hearer.disconnect();
  }

  /**
   * Keeps reports back, and lets every PING go unanswered, until the returned function is called. They come as one
   * then, with `more` in it.
   */
  deafen(): (more?: readonly string[]) => void {
    this.#deaf = [];
    for (const hearer of this.#hearers) hearer.silent = true;
    return (more = []) => {
      const late = [...(this.#deaf ?? []), ...more];
      this.#deaf = undefined;
      for (const hearer of this.#hearers) hearer.silent = false;
      this.report(late);
    };
  }

  /** Reports changes; `null` for a flush. */
  report(keys: readonly string[] | null): void {
    if (keys && this.#deaf) return void this.#deaf.push(...keys);
    if (keys?.length === 0) return;
    for (const hearer of this.#hearers) {
      hearer.emit('messageBuffer', Buffer.from('__redis__:invalidate'), keys && keys.map((key) => Buffer.from(key)));
    }
  }

  /** Keeps every answer back until the returned function is called. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held = promise;
    return () => {
      this.#held = undefined;
      resolve();
    };
  }

  /** Answers no call in time, and executes what was sent when the returned function is called. */
  freeze(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#frozen = promise;
    return () => {
      this.#frozen = undefined;
      resolve();
    };
  }

  /** A new process on the same data, or without any, and a new connection to it. */
  restart(runId: string, options: { readonly empty: boolean }): void {
    this.runId = runId;
    this.breakHearing();
    this.#client = this.#connect();
    if (!options.empty) return;
    this.values.clear();
    this.#epoch = '';
    this.#run = '';
    this.#cleared = '';
  }

  get epoch(): string {
    return this.#epoch;
  }

  tryGetClient(): Redis | undefined {
    return this.engaged ? this.#client : undefined;
  }

  async call<T>(work: (client: Redis) => Promise<T>): Promise<T> {
    this.calls += 1;
    if (this.fail) throw this.fail;
    if (this.#frozen) {
      work(this.#client).catch(() => undefined);
      throw new RedoubtError('ERR_DEADLINE');
    }
    const value = await work(this.#client);
    await this.#held;
    if (this.fail) throw this.fail;
    return value;
  }

  link(options: RedisLinkOptions): RedisLink {
    this.#links.push(options);
    return { client: undefined, close: () => this.breakHearing(), [Symbol.asyncDispose]: () => Promise.resolve() };
  }

  #drop(subscriber: FakeSubscriber, options: RedisLinkOptions): void {
    if (!this.#hearers.includes(subscriber)) return;
    this.#hearers = this.#hearers.filter((hearer) => hearer !== subscriber);
    options.onLost?.();
  }

  #connect(): Redis {
    const client = {
      time: () => Promise.resolve([1_800_000_000, 0]),
      info: () => Promise.resolve(`# Server\r\nrun_id:${this.runId}\r\n`),
      mgetBuffer: (_epochKey: string, ...keys: string[]) =>
        Promise.resolve([Buffer.from(this.#epoch), ...keys.map((key) => this.values.get(key) ?? null)]),
      set: (name: string, owner: string) => {
        if (this.locks.has(name)) return Promise.resolve(null);
        this.locks.set(name, owner);
        return Promise.resolve('OK');
      },
      evalsha: async (sha: string, keyCount: number, ...args: Argument[]) => {
        await this.#frozen;
        const keys = args.slice(0, keyCount).map(String);
        const rest = args.slice(keyCount);
        if (sha === EPOCH.sha) return this.#agree(rest);
        if (sha === VERSIONS.sha) return keys.map((key) => this.#versionOf(key));
        if (sha === UNLOCK.sha) return this.locks.delete(keys[0] ?? '') ? 1 : 0;
        if (sha === WRITE.sha) return this.#write(keys, rest);
        throw new Error('unknown script');
      },
    };
    return client as unknown as Redis;
  }

  #agree([runId, known, raise, cleared]: readonly Argument[]): unknown {
    const restarted = this.#run !== runId;
    if (raise === 1 || this.#epoch === '' || Number(this.#epoch) < Number(known) || restarted) {
      this.#epoch = String(Math.max(Number(this.#epoch), Number(known), 1_800_000_000_000) + 1);
      this.#run = String(runId);
    }
    if (String(cleared) > this.#cleared) this.#cleared = String(cleared);
    return [this.#epoch, this.#cleared];
  }

  #versionOf(key: string): string {
    return this.values.get(key)?.toString('latin1', 2, 22) ?? '';
  }

  #write([, author, ...keys]: readonly string[], args: readonly Argument[]): unknown {
    if (args[0] !== this.#epoch) return 'e';
    const { shared, each } = WRITE_ARGUMENTS;
    const changed: string[] = [];
    const replies = keys.map((key, index) => {
      const stored = Buffer.from(args[shared + index * each] as string);
      const version = stored.toString('latin1', 2, 22);
      const newest = this.#versionOf(key);
      if (newest > version || (newest === version && stored[1] === 120)) return `v${newest}`;
      const before = this.values.get(key);
      this.values.set(key, stored);
      this.writes.push(key.split(':').slice(3).join(':'));
      changed.push(key);
      return before && before[1] !== 120 ? 1 : 0;
    });
    if (changed.length > 0) this.report([...changed, String(author)]);
    return replies;
  }
}

/** The connection on which changes are reported. */
class FakeSubscriber extends EventEmitter {
  silent = false;
  readonly #runId: string;
  readonly disconnect: () => void;

  constructor(runId: string, disconnect: () => void) {
    super();
    this.#runId = runId;
    this.disconnect = disconnect;
  }

  info(): Promise<string> {
    return Promise.resolve(`run_id:${this.#runId}\r\n`);
  }

  client(): Promise<number> {
    return Promise.resolve(7);
  }

  call(): Promise<string> {
    return Promise.resolve('OK');
  }

  subscribe(): Promise<number> {
    return Promise.resolve(1);
  }

  ping(): Promise<string> {
    return this.silent ? new Promise(() => undefined) : Promise.resolve('PONG');
  }
}
