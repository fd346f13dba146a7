import { EventEmitter } from 'node:events';

import type { Redis } from 'ioredis';

import type { RedisBackend, RedisLink } from '../../backends/types.ts';
import { type Clock, sleepInBackground } from '../../core/clock.ts';
import { withDeadline } from '../../core/deadline.ts';
import { RedoubtError } from '../../core/errors.ts';
import type { Logger } from '../../observe/log.ts';
import { PublishQueue } from './publish-queue.ts';
import { Subscriber } from './subscriber.ts';

export interface TransportOptions {
  readonly redis: RedisBackend;
  readonly log: Logger;
  readonly clock: Clock;
  /** Names this process in the probe's channel. */
  readonly instance: string;
  /** Prefix of the channels. */
  readonly key: string;
  /** Longest wait for Redis in one publish or request. */
  readonly deadlineMs: number;
}

/** Between two attempts of the probe. */
const RETRY_MS = 50;

/**
 * What carries messages between instances while Redis is in use, under adapters that never notice.
 *
 * The stock adapter gets a publisher and a subscriber that live as long as the server; behind them
 * Redis clients come and go. Published is only while `shared`; received is whenever Redis sends.
 * Each new subscriber client first subscribes to everything that is recorded, so an outage costs
 * no subscription.
 */
export class Transport {
  readonly counters = { received: 0, receiveErrors: 0, subscribeFailures: 0, localAnswers: 0 };
  readonly publisher: Publisher;
  readonly queue: PublishQueue;
  readonly #options: TransportOptions;
  readonly #subscribers = new Set<Subscriber>();
  #link: RedisLink | undefined;
  readonly #probeChannel: string;
  #client: Redis | undefined;
  #awaited: { readonly token: string; readonly arrived: AbortController } | undefined;
  #probes = 0;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#probeChannel = `${options.key}-probe#${options.instance}#`;
    this.queue = new PublishQueue(options.redis, options.deadlineMs);
    this.publisher = new Publisher((channel, message) => this.queue.push(channel, message));
  }

  /** Opens the connection that receives, once; an application without Socket.IO needs none. */
  open(): void {
    this.#link ??= this.#options.redis.link({
      role: 'subscriber',
      onReady: (client) => this.#attach(client),
      onLost: () => {
        this.#client = undefined;
      },
    });
  }

  /** Whether messages go to the other instances now. */
  get shared(): boolean {
    return this.queue.open;
  }

  /** Whether the answers of other instances can reach us. */
  get subscribed(): boolean {
    return this.#link?.client !== undefined;
  }

  /** Channels and patterns that are recorded. */
  get subscriptions(): number {
    let total = 0;
    for (const { channels, patterns } of this.#subscribers) total += channels.size + patterns.size;
    return total;
  }

  /** A subscriber of its own for one adapter, until the adapter unsubscribes from everything. */
  subscriber(): Subscriber {
    const subscriber = new Subscriber({
      changed: (command, names) => this.#change(subscriber, command, names),
      failed: (error) => this.#failedToHandle(error),
    });
    return subscriber;
  }

  /** Runs one request on Redis under the deadline; `fallback` where Redis cannot be asked. */
  async ask<T>(work: (client: Redis) => Promise<T>, fallback: T): Promise<T> {
    if (!this.shared || !this.subscribed) return fallback;
    try {
      return await this.#options.redis.call(work, { deadlineMs: this.#options.deadlineMs });
    } catch {
      // The backend has told the detector; the caller goes on with what this instance knows.
      this.counters.localAnswers += 1;
      return fallback;
    }
  }

  /**
   * Publishes a token on an own channel until it arrives: only then do messages really flow. Nothing to do before
   * `open()`.
   *
   * @throws the signal's reason when it is aborted before
   */
  async probe(signal: AbortSignal): Promise<void> {
    if (!this.#link) return;
    const { redis, clock, deadlineMs } = this.#options;
    const token = `${(this.#probes += 1)}`;
    const arrived = new AbortController();
    this.#awaited = { token, arrived };
    while (!arrived.signal.aborted) {
      signal.throwIfAborted();
      if (this.subscribed) {
        await redis.call((client) => client.publish(this.#probeChannel, token), { deadlineMs, signal }).catch(ignore);
      }
      await sleepInBackground(clock, RETRY_MS, AbortSignal.any([arrived.signal, signal]));
    }
  }

  close(): void {
    this.queue.open = false;
    this.#link?.close();
    this.#client = undefined;
    this.#subscribers.clear();
  }

  async #attach(client: Redis): Promise<void> {
    this.#client = client;
    client.on('messageBuffer', (channel: Buffer, message: Buffer) => this.#onMessage(channel, message));
    client.on('pmessageBuffer', (pattern: Buffer | string, channel: Buffer, message: Buffer) => {
      this.counters.received += 1;
      const name = pattern.toString();
      for (const subscriber of this.#subscribers) {
        if (subscriber.patterns.has(name)) subscriber.deliver('pmessageBuffer', name, channel, message);
      }
    });
    const all = [...this.#subscribers];
    const patterns = all.flatMap((subscriber) => [...subscriber.patterns]);
    const channels = [this.#probeChannel, ...all.flatMap((subscriber) => [...subscriber.channels])];
    const work = Promise.all([client.subscribe(...channels), patterns.length > 0 && client.psubscribe(...patterns)]);
    await withDeadline(work, this.#options.deadlineMs * 2, { clock: this.#options.clock, operation: 'subscribe' });
  }

  #onMessage(channel: Buffer, message: Buffer): void {
    const name = channel.toString();
    if (name === this.#probeChannel) {
      if (message.toString() === this.#awaited?.token) this.#awaited.arrived.abort();
      return;
    }
    this.counters.received += 1;
    for (const subscriber of this.#subscribers) {
      if (subscriber.channels.has(name)) subscriber.deliver('messageBuffer', channel, message);
    }
  }

  #change(subscriber: Subscriber, command: SubscribeCommand, names: readonly string[]): void {
    const idle = subscriber.channels.size + subscriber.patterns.size === 0;
    if (idle) this.#subscribers.delete(subscriber);
    else this.#subscribers.add(subscriber);
    // Without a client nothing is lost: the next one subscribes to all that is recorded.
    this.#client?.[command](...names).catch((error: unknown) => this.#failedToSubscribe(error));
  }

  #failedToSubscribe(error: unknown): void {
    this.counters.subscribeFailures += 1;
    // A client that was thrown away says nothing new; a refusal would stay unnoticed otherwise.
    if (this.#client) this.#options.log.warn({ err: error }, 'a sockets subscription failed');
  }

  #failedToHandle(error: unknown): void {
    this.counters.receiveErrors += 1;
    // Once: a sender that speaks another format would fill the log.
    if (this.counters.receiveErrors > 1) return;
    this.#options.log.error({ err: error }, 'a sockets message of another instance could not be handled');
  }
}

export type SubscribeCommand = 'subscribe' | 'psubscribe' | 'unsubscribe' | 'punsubscribe';

/** The stock adapter's `pubClient`: publishing never throws, rejects or waits. */
export class Publisher extends EventEmitter {
  readonly publish: (channel: string, message: string | Buffer) => void;

  constructor(publish: (channel: string, message: string | Buffer) => void) {
    super();
    // Each namespace adds an `error` listener, and namespaces may be many.
    this.setMaxListeners(0);
    this.publish = publish;
  }
}

function ignore(): void {
  // The loop publishes again until its signal ends it.
}

/** Whether `error` says that other instances did not answer in time, in the stock adapter's words. */
export function isRequestTimeout(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('timeout reached');
}

/** The typed form of a request that other instances did not answer in time. */
export function requestTimeout(operation: string, deadlineMs: number, cause: unknown): RedoubtError {
  return new RedoubtError('ERR_DEADLINE', { operation, deadlineMs }, { cause });
}
