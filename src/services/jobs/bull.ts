import type * as bullmq from 'bullmq';
import type { ConnectionOptions, Queue, QueueBaseOptions } from 'bullmq';
import type { Redis } from 'ioredis';

import { assertPeers } from '../../core/peers.ts';

/** BullMQ, loaded at its first use: its modules would cost start-up time that most starts do not need. */
export type Bull = typeof bullmq;

/**
 * Makes sure that there is a BullMQ to load.
 *
 * @throws {RedoubtError} `ERR_PEER`
 */
export function assertBull(): void {
  installed ||= (assertPeers('Jobs need', ['bullmq']), true);
}

let installed = false;

/** Loads BullMQ; later calls get the same module. */
export function loadBull(): Promise<Bull> {
  return import('bullmq');
}

/** The clients that one BullMQ worker runs on. */
export interface WorkerClients {
  readonly main: Redis;
  /** For the blocking fetch alone. */
  readonly blocking: Redis;
}

/** Makes BullMQ's backend for a queue of this name. */
export type BackendFactory = (name: string, opts: QueueBaseOptions) => bullmq.RedisQueueBackend;

/** Queues that are kept for one client; names may come from requests, so there is a bound. */
const MAX_QUEUES = 1_000;

/** BullMQ's queue objects over the requests client of the moment; they go when the client goes. */
export class QueueObjects {
  readonly #prefix: string;
  readonly #onError: (error: unknown) => void;
  readonly #byClient = new WeakMap<Redis, Map<string, Queue>>();

  constructor(prefix: string, onError: (error: unknown) => void) {
    this.#prefix = prefix;
    this.#onError = onError;
  }

  get(bull: Bull, client: Redis, name: string): Queue {
    let queues = this.#byClient.get(client);
    if (!queues) this.#byClient.set(client, (queues = new Map()));
    const known = queues.get(name);
    if (known) return known;
    const queue = new bull.Queue(name, {
      connection: client as ConnectionOptions,
      prefix: this.#prefix,
      // Both would send commands of their own past our deadlines.
      skipMetasUpdate: true,
      skipVersionCheck: true,
    });
    queue.on('error', this.#onError);
    queues.set(name, queue);
    if (queues.size > MAX_QUEUES) {
      const [oldest] = queues;
      if (oldest) {
        queues.delete(oldest[0]);
        // Lets go of its listeners; the client is shared and stays.
        oldest[1].close().catch(this.#onError);
      }
    }
    return queue;
  }
}

/**
 * How a BullMQ worker gets its connections: both are ours, so BullMQ opens, reopens and closes none.
 * By itself it would connect a client again that the backend has thrown away.
 *
 * @param interrupt - ends the blocking fetch by closing its link
 */
export function backendOn(bull: Bull, prefix: string, clients: WorkerClients, interrupt: () => void): BackendFactory {
  class SuppliedBackend extends bull.RedisQueueBackend {
    override disconnectBlocking(): Promise<void> {
      interrupt();
      return Promise.resolve();
    }

    override reconnectBlocking(): Promise<void> {
      // A lost client ends the whole worker; a new one is built on the link's next clients.
      return Promise.resolve();
    }
  }
  return (name: string, opts: QueueBaseOptions) => {
    const shared = { shared: true, skipVersionCheck: true };
    const main = new bull.RedisConnection(clients.main as ConnectionOptions, { ...shared, blocking: false });
    const blocking = new bull.RedisConnection(clients.blocking as ConnectionOptions, { ...shared, blocking: true });
    void allowFractions(blocking);
    const keys = new bull.QueueKeys(prefix);
    return new SuppliedBackend(main, name, keys.getKeys(name), (type) => keys.toKey(name, type), opts, blocking);
  };
}

/**
 * What BullMQ would find out with INFO, printing warnings at each reconnection: without fractions of
 * a second delayed jobs start up to a second late. Redis has them since 6.0.
 */
async function allowFractions(blocking: bullmq.RedisConnection): Promise<void> {
  try {
    await blocking.client;
    blocking.capabilities = { canDoubleTimeout: true, canBlockFor1Ms: false };
  } catch {
    // The worker reports the same failure through its error event.
  }
}
