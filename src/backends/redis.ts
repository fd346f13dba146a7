import type { Redis } from 'ioredis';

import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import { withDeadline } from '../core/deadline.ts';
import { RedoubtError, isRedoubtError } from '../core/errors.ts';
import type { Observe } from '../core/outcome.ts';
import { Ramp } from './ramp.ts';
import { type Classified, classifyRedisError } from './redis-errors.ts';
import { type LinkEnvironment, ManagedLink } from './redis-link.ts';
import { type ProbeResult, type RedisIdentity, RedisProbe } from './redis-probe.ts';
import type { CallOptions, RedisBackend, RedisLink, RedisLinkOptions } from './types.ts';

export interface RedisBackendOptions {
  readonly config: Config;
  /** Names this process in the probe's key. */
  readonly instance: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** Takes the outcome of every call. */
  readonly observe: Observe;
  /** Told, once each, of what is odd but works. */
  readonly warn?: (text: string) => void;
}

/** What the composition root steers; services see only `RedisBackend`. */
export interface RedisControl extends RedisBackend, AsyncDisposable {
  /** Opens every link, so that calls work. @throws what kept one from opening; all are discarded then */
  engage(signal: AbortSignal): Promise<void>;
  /** Out of use: every client is thrown away and calls in flight reject, without waiting for anything. */
  disengage(): void;
  /** One full probe on its own connection. @throws the driver's error or `ERR_DEADLINE` */
  probe(signal?: AbortSignal): Promise<ProbeResult>;
  classify(error: unknown): Classified;
  /** Who answered the probe; `undefined` before the first one passed. */
  readonly identity: RedisIdentity | undefined;
  /** Called when a ready connection breaks by itself. */
  onBroken(listener: () => void): void;
  close(): Promise<void>;
}

/**
 * Redis behind deadlines. Nothing is connected until `engage`, nothing reconnects behind our back,
 * and no call waits longer than its deadline, whatever ioredis or Redis do.
 */
export function createRedisBackend(options: RedisBackendOptions): RedisControl {
  return new Backend(options);
}

class Backend implements RedisControl {
  readonly #config: Config['redis'];
  readonly #clock: Clock;
  readonly #observe: Observe;
  readonly #env: LinkEnvironment;
  readonly #probe: RedisProbe;
  readonly #ramp: Ramp;
  readonly #links = new Set<ManagedLink>();
  readonly #requests: ManagedLink;
  #onBroken: (() => void) | undefined;
  #engaged = false;
  /** A first start needs no ramp: nobody was waiting for Redis. */
  #wasEngaged = false;
  #closed = false;

  constructor({ config, instance, clock, random, observe, warn }: RedisBackendOptions) {
    const { url, connectTimeoutMs, probe, maxInFlight, ramp, keyPrefix } = config.redis;
    this.#config = config.redis;
    this.#clock = clock;
    this.#observe = observe;
    const warned = new Set<string>();
    const warnOnce = (text: string): void => {
      if (!warned.has(text)) warn?.(text);
      warned.add(text);
    };
    this.#env = {
      url,
      warn: warnOnce,
      timeoutMs: connectTimeoutMs,
      backoff: { baseMs: probe.backoffBaseMs, maxMs: probe.backoffMaxMs },
      clock,
      random,
      onBroken: () => this.#onBroken?.(),
      onClosed: (link) => this.#links.delete(link),
    };
    const key = `${keyPrefix}probe:${instance}`;
    this.#probe = new RedisProbe({ url, key, deadlineMs: probe.deadlineMs, clock, random, warn: warnOnce });
    this.#ramp = new Ramp({ start: ramp.start, stepMs: ramp.stepMs, maxInFlight }, clock);
    this.#requests = this.#addLink({ role: 'requests' });
  }

  get engaged(): boolean {
    return this.#engaged && this.#requests.client !== undefined;
  }

  get identity(): RedisIdentity | undefined {
    return this.#probe.identity;
  }

  tryGetClient(): Redis | undefined {
    return this.#engaged ? this.#requests.client : undefined;
  }

  async call<T>(work: (client: Redis) => Promise<T>, options: CallOptions = {}): Promise<T> {
    const client = this.tryGetClient();
    if (!client) throw new RedoubtError(this.#closed ? 'ERR_CLOSED' : 'ERR_REDIS_UNAVAILABLE');
    if (!this.#ramp.enter()) throw new RedoubtError('ERR_BACKPRESSURE', { bound: 'redis.maxInFlight' });
    const startedAt = this.#clock.now();
    const { deadlineMs = this.#config.deadlineMs, signal } = options;
    let working: Promise<T> | undefined;
    try {
      working = work(client);
      const value = await withDeadline(working, deadlineMs, { clock: this.#clock, signal, operation: 'redis' });
      this.#observe({ kind: 'ok', durationMs: this.#clock.now() - startedAt, voided: false });
      return value;
    } catch (error) {
      // The caller was in more of a hurry than makes Redis slow or dead: what it is, the answer will show.
      const hurried = isRedoubtError(error, 'ERR_DEADLINE') && !isLate(error) && deadlineMs < this.#config.deadlineMs;
      if (working && hurried) {
        void this.#await(working, startedAt);
        throw error;
      }
      throw this.#report(error, startedAt);
    } finally {
      this.#ramp.leave();
    }
  }

  link(options: RedisLinkOptions): RedisLink {
    const link = this.#addLink(options);
    if (this.#engaged) link.keepOpen();
    return link;
  }

  async engage(signal: AbortSignal): Promise<void> {
    if (this.#closed) throw new RedoubtError('ERR_CLOSED');
    try {
      await Promise.all([...this.#links].map((link) => link.open()));
      signal.throwIfAborted();
      if (this.#wasEngaged) this.#ramp.restart();
      this.#wasEngaged = true;
      this.#engaged = true;
      // A link that was asked for meanwhile was neither in the list nor opened by link().
      for (const link of this.#links) if (!link.client) link.keepOpen();
    } catch (error) {
      this.disengage();
      throw error;
    }
  }

  disengage(): void {
    this.#engaged = false;
    for (const link of this.#links) link.discard();
  }

  probe(signal?: AbortSignal): Promise<ProbeResult> {
    return this.#closed ? Promise.reject(new RedoubtError('ERR_CLOSED')) : this.#probe.run(signal);
  }

  classify(error: unknown): Classified {
    return classifyRedisError(error);
  }

  onBroken(listener: () => void): void {
    this.#onBroken = listener;
  }

  close(): Promise<void> {
    this.#closed = true;
    this.disengage();
    this.#links.clear();
    this.#probe.discard();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #addLink(options: RedisLinkOptions): ManagedLink {
    const link = new ManagedLink(options, this.#env);
    this.#links.add(link);
    return link;
  }

  /** Tells the detector of a call that nobody waits for any more. */
  async #await(working: Promise<unknown>, startedAt: number): Promise<void> {
    const leftMs = Math.max(0, startedAt + this.#config.deadlineMs - this.#clock.now());
    try {
      await withDeadline(working, leftMs, { clock: this.#clock, operation: 'redis' });
      this.#observe({ kind: 'ok', durationMs: this.#clock.now() - startedAt, voided: false });
    } catch (error) {
      this.#report(error, startedAt);
    }
  }

  /** Tells the detector, and turns the driver's error into ours. */
  #report(error: unknown, startedAt: number): unknown {
    const { kind, code } = classifyRedisError(error);
    const durationMs = this.#clock.now() - startedAt;
    // Clients that we threw away ourselves say nothing new about Redis.
    if (this.#engaged) this.#observe({ kind, durationMs, voided: isLate(error), code });
    if (isRedoubtError(error)) return error;
    if (kind === 'application') {
      return error instanceof Error && error.name === 'ReplyError'
        ? new RedoubtError('ERR_REDIS_REPLY', { reply: code }, { cause: error })
        : error;
    }
    return new RedoubtError('ERR_REDIS_UNAVAILABLE', { reason: code, executed: 'unknown' }, { cause: error });
  }
}

function isLate(error: unknown): boolean {
  return isRedoubtError(error, 'ERR_DEADLINE') && error.details['late'] === true;
}
