import { randomUUID } from 'node:crypto';

import type { RedisBackend } from '../../backends/types.ts';
import type { Config } from '../../config/schema.ts';
import type { Clock } from '../../core/clock.ts';
import { assertPeers } from '../../core/peers.ts';
import { type Mode, type Service, type ServiceReport, scopeOf } from '../../core/mode.ts';
import type { Logger } from '../../observe/log.ts';
import { createAdapterClass } from './adapter.ts';
import { Transport } from './transport.ts';
import type { Sockets } from './types.ts';

export interface SocketsOptions {
  readonly config: Config;
  readonly redis: RedisBackend;
  readonly log: Logger;
  readonly clock: Clock;
}

/**
 * Socket.IO over instances while Redis is in use, and over this instance alone while it is not. A
 * change of mode disconnects nobody and empties no room: only where messages are sent changes.
 *
 * What is sent while Redis is out of use reaches the clients of this instance only; how many
 * messages that were is counted and said in the report.
 */
export function createSockets(options: SocketsOptions): Sockets & Service & { readonly servers: readonly Closable[] } {
  return new SocketsService(options);
}

/** What can be ended, whatever else it is. */
export interface Closable {
  close(done?: (error?: Error) => void): unknown;
}

class SocketsService implements Sockets, Service {
  readonly name = 'sockets';
  readonly #options: SocketsOptions;
  readonly #transport: Transport;
  readonly #adapters = new Set<InstanceType<Sockets['adapter']>>();
  #adapter: Sockets['adapter'] | undefined;
  #mode: Mode | undefined;
  /** What had not reached other instances when the present mode began. */
  #lostBefore = 0;

  constructor(options: SocketsOptions) {
    const { config, redis, log, clock } = options;
    const { key, deadlineMs } = config.sockets;
    this.#options = options;
    this.#transport = new Transport({ redis, log, clock, instance: randomUUID(), key, deadlineMs });
  }

  /** Made when it is first asked for: whoever does has Socket.IO, and nobody else needs it. */
  get adapter(): Sockets['adapter'] {
    this.#adapter ??= this.#createAdapter();
    return this.#adapter;
  }

  /** The Socket.IO servers that use the adapter. */
  get servers(): readonly Closable[] {
    return [...new Set([...this.#adapters].map(({ nsp }) => nsp.server as unknown as Closable))];
  }

  get isUsed(): boolean {
    return this.#adapter !== undefined;
  }

  applyMode(mode: Mode): void {
    const before = this.#mode;
    this.#mode = mode;
    this.#transport.queue.open = mode.backend === 'redis';
    if (before?.backend !== mode.backend) this.#lostBefore = this.#transport.queue.lost;
  }

  /** Resolves when a message sent through Redis has come back: `available` means that messages flow. */
  async reconcile(dependency: 'redis' | 'postgres', signal: AbortSignal): Promise<void> {
    if (dependency === 'redis') await this.#transport.probe(signal);
  }

  report(): ServiceReport {
    const { queue, counters, subscriptions } = this.#transport;
    let clients = 0;
    for (const adapter of this.#adapters) clients += adapter.sids.size;
    const notice = this.#notice();
    return {
      backend: this.#mode?.backend ?? 'none',
      preferred: this.#mode?.preferred ?? 'none',
      scope: this.#mode ? scopeOf(this.#mode) : 'instance',
      ...(notice === undefined ? {} : { notice }),
      counters: { ...queue.counters, ...counters, subscriptions, namespaces: this.#adapters.size, clients },
    };
  }

  close(): Promise<void> {
    // Clients belong to the application's server, which goes on serving them locally until it is closed.
    this.#transport.close();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #createAdapter(): Sockets['adapter'] {
    // Socket.IO itself may be a framework's own, out of our sight; where it is in sight, an old one is refused here.
    assertPeers('Sockets need', ['socket.io-adapter', '@socket.io/redis-adapter'], { ifPresent: ['socket.io'] });
    const { key, requestsTimeoutMs } = this.#options.config.sockets;
    this.#transport.open();
    return createAdapterClass({
      transport: this.#transport,
      key,
      requestsTimeoutMs,
      onOpen: (adapter) => this.#adapters.add(adapter),
      onClose: (adapter) => this.#adapters.delete(adapter),
    });
  }

  #notice(): string | undefined {
    const mode = this.#mode;
    if (!mode || mode.backend === mode.preferred) return undefined;
    const unsent = this.#transport.queue.lost - this.#lostBefore;
    const sofar = unsent > 0 ? `; ${unsent} so far were not sent to other instances` : '';
    return `Single-instance mode: messages, joins and requests reach only the clients of this instance${sofar}; nobody is disconnected and no room is lost.`;
  }
}
