import type { Redis } from 'ioredis';

import type { RedisBackend, RedisLink } from '../../../src/backends/types.ts';
import { RedoubtError } from '../../../src/core/errors.ts';
import { EPOCH, WRITE } from '../../../src/services/cache/scripts.ts';

/**
 * As much of Redis as the cache uses, with failures that a real one cannot be made to show in a chosen order:
 * `fail` refuses calls before they are executed, `hold` executes them and keeps their answers back, `freeze` lets
 * calls run past their deadline and executes their writes when it is thawed.
 */
export class FakeRedis implements RedisBackend {
  readonly values = new Map<string, Buffer>();
  readonly writes: string[] = [];
  engaged = true;
  fail: Error | undefined;
  calls = 0;
  runId = 'a1';
  #epoch = '';
  #run = '';
  #cleared = '';
  #held: Promise<void> | undefined;
  #frozen: Promise<void> | undefined;
  #client = this.#connect();

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

  link(): RedisLink {
    throw new Error('The cache asks for no connection of its own');
  }

  #connect(): Redis {
    const client = {
      time: () => Promise.resolve([1_800_000_000, 0]),
      info: () => Promise.resolve(`# Server\r\nrun_id:${this.runId}\r\n`),
      mgetBuffer: (_epochKey: string, key: string) =>
        Promise.resolve([Buffer.from(this.#epoch), this.values.get(key) ?? null]),
      evalsha: async (sha: string, _keys: number, ...args: (string | number | Buffer)[]) => {
        await this.#frozen;
        return sha === EPOCH.sha ? this.#agree(args) : this.#write(sha, args);
      },
    };
    return client as unknown as Redis;
  }

  #agree([, , runId, known, raise, cleared]: readonly (string | number | Buffer)[]): unknown {
    const restarted = this.#run !== runId;
    if (raise === 1 || this.#epoch === '' || Number(this.#epoch) < Number(known) || restarted) {
      this.#epoch = String(Math.max(Number(this.#epoch), Number(known), 1_800_000_000_000) + 1);
      this.#run = String(runId);
    }
    if (String(cleared) > this.#cleared) this.#cleared = String(cleared);
    return [this.#epoch, this.#cleared];
  }

  #write(sha: string, [key, , epoch, version, , stored]: readonly (string | number | Buffer)[]): unknown {
    if (sha !== WRITE.sha) throw new Error('unknown script');
    if (epoch !== this.#epoch) return 'e';
    const before = this.values.get(String(key));
    const newest = before?.toString('latin1', 2, 22) ?? '';
    if (newest > String(version)) return `v${newest}`;
    this.values.set(String(key), Buffer.from(stored as string));
    this.writes.push(String(key).split(':').slice(3).join(':'));
    return before && before[1] !== 120 ? 1 : 0;
  }
}
