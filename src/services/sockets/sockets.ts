import { randomUUID } from 'node:crypto';

import type { Adapter } from 'socket.io-adapter';

import type { RedisBackend } from '../../backends/types.ts';
import type { Config } from '../../config/schema.ts';
import type { Clock } from '../../core/clock.ts';
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
export function createSockets(options: SocketsOptions): Sockets & Service {
  return new SocketsService(options);
}

class SocketsService implements Sockets, Service {
  readonly name = 'sockets';
  readonly adapter: Sockets['adapter'];
  readonly #transport: Transport;
  readonly #adapters = new Set<Adapter>();
  #mode: Mode | undefined;
  /** What had not reached other instances when the present mode began. */
  #lostBefore = 0;

  constructor({ config, redis, log, clock }: SocketsOptions) {
    const { key, deadlineMs, requestsTimeoutMs } = config.sockets;
    this.#transport = new Transport({ redis, log, clock, instance: randomUUID(), key, deadlineMs });
    this.adapter = createAdapterClass({
      transport: this.#transport,
      key,
      requestsTimeoutMs,
      onOpen: (adapter) => this.#adapters.add(adapter),
      onClose: (adapter) => this.#adapters.delete(adapter),
    });
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

  #notice(): string | undefined {
    const mode = this.#mode;
    if (!mode || mode.backend === mode.preferred) return undefined;
    const unsent = this.#transport.queue.lost - this.#lostBefore;
    const sofar = unsent > 0 ? `; ${unsent} so far were not sent to other instances` : '';
    return `Single-instance mode: messages, joins and requests reach only the clients of this instance${sofar}; nobody is disconnected and no room is lost.`;
  }
}
