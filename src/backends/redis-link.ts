import type { Redis, RedisOptions } from 'ioredis';

import { type Backoff, nextBackoffMs } from '../core/backoff.ts';
import { type Clock, sleepInBackground } from '../core/clock.ts';
import { withDeadline } from '../core/deadline.ts';
import { RedoubtError } from '../core/errors.ts';
import { discardClient, openClient } from './redis-client.ts';
import type { RedisLink, RedisLinkOptions } from './types.ts';

/** What every link of a backend shares. */
export interface LinkEnvironment {
  readonly url: string;
  readonly timeoutMs: number;
  readonly backoff: Backoff;
  readonly clock: Clock;
  readonly random: () => number;
  readonly warn?: ((text: string) => void) | undefined;
  /** Told when a ready client breaks by itself, so that the detector can confirm. */
  readonly onBroken: () => void;
  readonly onClosed: (link: ManagedLink) => void;
}

/**
 * One connection that lives while Redis is engaged.
 *
 *     idle ── open() ──► opening ──► ready ── breaks ──► reopening (backoff, jitter) ──► ready
 *       ▲                                                    │
 *       └────────────── discard() / close() ◄────────────────┘
 *
 * Promises: a client is handed out only after `onReady` has resolved; each client that was handed
 * to `onReady` gets exactly one `onLost`; nothing is opened after `discard()` until the next `open()`.
 */
export class ManagedLink implements RedisLink {
  readonly #options: RedisLinkOptions;
  readonly #env: LinkEnvironment;
  #client: Redis | undefined;
  #wanted: AbortController | undefined;
  #opening: Promise<void> | undefined;

  constructor(options: RedisLinkOptions, env: LinkEnvironment) {
    this.#options = options;
    this.#env = env;
  }

  get client(): Redis | undefined {
    return this.#client;
  }

  /** Opens the link if it is not open; concurrent callers share the attempt. */
  open(): Promise<void> {
    if (this.#client) return Promise.resolve();
    this.#wanted ??= new AbortController();
    if (!this.#opening) {
      const opening = this.#connect(this.#wanted.signal).finally(() => {
        // A discard() in between may have made room for a newer attempt.
        if (this.#opening === opening) this.#opening = undefined;
      });
      this.#opening = opening;
    }
    return this.#opening;
  }

  /** Opens the link in the background and goes on trying until it is open or discarded. */
  keepOpen(): void {
    this.#wanted ??= new AbortController();
    void this.#reopen(this.#wanted.signal);
  }

  /** Throws the client away; the link can be opened again. */
  discard(): void {
    this.#wanted?.abort(new RedoubtError('ERR_REDIS_UNAVAILABLE'));
    this.#wanted = undefined;
    this.#opening = undefined;
    const client = this.#client;
    this.#client = undefined;
    if (client) this.#lose(client);
  }

  close(): void {
    this.discard();
    this.#env.onClosed(this);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  async #connect(signal: AbortSignal): Promise<void> {
    const { url, timeoutMs, clock, warn } = this.#env;
    const { role, onReady, options } = this.#options;
    const client = await openClient({ url, role, timeoutMs, clock, signal, overrides: options as RedisOptions, warn });
    let closed = false;
    client.once('close', () => {
      closed = true;
      if (this.#client !== client) return;
      this.#client = undefined;
      this.#lose(client);
      this.#env.onBroken();
      if (!signal.aborted) void this.#reopen(signal);
    });
    try {
      await withDeadline(Promise.resolve(onReady?.(client)), timeoutMs, { clock, signal, operation: `ready ${role}` });
      if (closed || signal.aborted) throw new RedoubtError('ERR_REDIS_UNAVAILABLE');
      this.#client = client;
    } catch (error) {
      this.#lose(client);
      throw error;
    }
  }

  #lose(client: Redis): void {
    discardClient(client);
    this.#options.onLost?.();
  }

  async #reopen(signal: AbortSignal): Promise<void> {
    const { clock, backoff, random } = this.#env;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        await this.open();
        return;
      } catch {
        // The detector's probe is what judges Redis; here it is only tried again, later.
        await sleepInBackground(clock, nextBackoffMs(backoff, attempt, random), signal);
      }
    }
  }
}
