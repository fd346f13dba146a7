import type * as redisAdapter from '@socket.io/redis-adapter';
import type { Namespace } from 'socket.io';
import type * as socketAdapter from 'socket.io-adapter';
import type { Adapter as StockAdapter, BroadcastOptions, Room } from 'socket.io-adapter';

import { requirePeer } from '../../core/peers.ts';
import { type Transport, isRequestTimeout, requestTimeout } from './transport.ts';

export interface AdapterOptions {
  readonly transport: Transport;
  /** Prefix of the Redis channels. */
  readonly key: string;
  /** Longest wait for the answers of other instances. */
  readonly requestsTimeoutMs: number;
  /** Told of each adapter when it is made and when it is closed. */
  readonly onOpen: (adapter: StockAdapter) => void;
  readonly onClose: (adapter: StockAdapter) => void;
}

/** Requests that every server applies to its own sockets; the stock adapter's numbers of them. */
const APPLIED_BY_ALL: ReadonlySet<unknown> = new Set([2, 3, 4]);

/**
 * The adapter class for `new Server(http, { adapter })`: the stock Redis adapter in format and
 * channels, so that servers on either exchange messages; but rooms and local clients are served by
 * this process alone, at once, whatever becomes of Redis.
 *
 * One object serves a namespace for its whole life. Exchanging it on a live server would empty every room.
 * Loads socket.io-adapter and @socket.io/redis-adapter, which the caller has made sure of.
 */
export function createAdapterClass(options: AdapterOptions): typeof StockAdapter {
  const RedoubtAdapter = defineAdapter(requirePeer('@socket.io/redis-adapter'), requirePeer('socket.io-adapter'));
  return class extends RedoubtAdapter {
    constructor(nsp: Namespace) {
      super(nsp, options);
    }
  };
}

/** The class itself, on the application's own copies of the packages; options come with each object. */
function defineAdapter({ RedisAdapter }: typeof redisAdapter, { Adapter }: typeof socketAdapter) {
  return class RedoubtAdapter extends RedisAdapter {
    readonly #options: AdapterOptions;
    readonly #transport: Transport;
    readonly #channel: string;
    readonly #requestChannel: string;

    constructor(nsp: Namespace, options: AdapterOptions) {
      const { transport, key, requestsTimeoutMs } = options;
      const subscriber = transport.subscriber();
      super(nsp, transport.publisher, subscriber, { key, requestsTimeout: requestsTimeoutMs });
      this.#options = options;
      this.#transport = transport;
      this.#channel = `${key}#${nsp.name}#`;
      this.#requestChannel = `${key}-request#${nsp.name}#`;
      subscriber.ignore = (channel, message) => this.#isOwnEcho(channel, message);
      options.onOpen(this);
    }

    /** Local clients first, without waiting; then the others, if there are any to be reached. */
    override broadcast(packet: Packet, opts: BroadcastOptions): void {
      Adapter.prototype.broadcast.call(this, packet, opts);
      if (opts.flags?.local) return;
      // Not even encoded: in an outage that would be work for nothing at each message.
      if (!this.#transport.shared) return this.#transport.queue.drop();
      const wire = { rooms: [...opts.rooms], except: [...(opts.except ?? [])], flags: opts.flags };
      const [room] = opts.rooms;
      const channel = opts.rooms.size === 1 ? `${this.#channel}${room}#` : this.#channel;
      this.#transport.publisher.publish(channel, this.parser.encode([this.uid, packet, wire]) as Buffer);
    }

    override broadcastWithAck(
      packet: Packet,
      opts: BroadcastOptions,
      clientCountCallback: (clientCount: number) => void,
      ack: (...args: unknown[]) => void,
    ): void {
      if (this.#remote(opts)) return super.broadcastWithAck(packet, opts, clientCountCallback, ack);
      Adapter.prototype.broadcastWithAck.call(this, packet, opts, clientCountCallback, ack);
    }

    // The stock adapter only publishes these three and waits for its own echo: in an outage, or a
    // freeze, local sockets would not follow. So they apply here at once and the echo is ignored.

    override addSockets(opts: BroadcastOptions, rooms: Room[]): void {
      Adapter.prototype.addSockets.call(this, opts, rooms);
      if (this.#remote(opts)) super.addSockets(opts, rooms);
    }

    override delSockets(opts: BroadcastOptions, rooms: Room[]): void {
      Adapter.prototype.delSockets.call(this, opts, rooms);
      if (this.#remote(opts)) super.delSockets(opts, rooms);
    }

    override disconnectSockets(opts: BroadcastOptions, close: boolean): void {
      Adapter.prototype.disconnectSockets.call(this, opts, close);
      if (this.#remote(opts)) super.disconnectSockets(opts, close);
    }

    /** The servers of the namespace as Redis counts them; 1 where it cannot be asked. Never rejects. */
    override serverCount(): Promise<number> {
      return this.#transport.ask(async (client) => {
        const [, count] = (await client.pubsub('NUMSUB', this.#requestChannel)) as [string, number];
        return Math.max(1, Number(count));
      }, 1);
    }

    /** @throws {RedoubtError} `ERR_DEADLINE` when another instance did not answer although Redis works */
    override fetchSockets(opts: BroadcastOptions): Promise<LocalSocket[]> {
      return this.#gather(
        'fetchSockets',
        () => super.fetchSockets(opts) as Promise<LocalSocket[]>,
        () => Adapter.prototype.fetchSockets.call(this, opts) as Promise<LocalSocket[]>,
      );
    }

    /** @throws {RedoubtError} `ERR_DEADLINE` when another instance did not answer although Redis works */
    override allRooms(): Promise<Set<Room>> {
      return this.#gather(
        'allRooms',
        () => super.allRooms(),
        () => Promise.resolve(new Set(this.rooms.keys())),
      );
    }

    override serverSideEmit(packet: unknown[]): void {
      if (this.#transport.shared) return super.serverSideEmit(packet);
      const ack = packet.at(-1);
      // Nobody else can be asked, so nobody else has answered: the same as on a single server.
      if (typeof ack === 'function') (ack as (error: null, answers: unknown[]) => void)(null, []);
      else this.#transport.queue.drop();
    }

    override close(): void {
      void super.close();
      this.#options.onClose(this);
    }

    /** Whether other instances are to be told, and can be; where they cannot, that is counted. */
    #remote(opts: BroadcastOptions): boolean {
      if (opts.flags?.local) return false;
      if (!this.#transport.shared) this.#transport.queue.drop();
      return this.#transport.shared;
    }

    /**
     * What all instances know; where Redis failed meanwhile what this one knows. Instances that keep
     * silent although Redis works are an error: a list that is short in silence is worse.
     */
    async #gather<T>(operation: string, everywhere: () => Promise<T>, here: () => Promise<T>): Promise<T> {
      if (!this.#transport.shared) return here();
      const { lost } = this.#transport.queue;
      try {
        return await everywhere();
      } catch (error) {
        if (!isRequestTimeout(error)) throw error;
        const broken = !this.#transport.shared || !this.#transport.subscribed || this.#transport.queue.lost > lost;
        if (!broken) throw requestTimeout(operation, this.requestsTimeout, error);
        this.#transport.counters.localAnswers += 1;
        return here();
      }
    }

    /**
     * Our own join, leave or disconnect come back from Redis: after a freeze seconds late, when it
     * would undo what has happened since, or disconnect clients that had come back.
     */
    #isOwnEcho(channel: Buffer, message: Buffer): boolean {
      if (message[0] !== 0x7b || !message.includes(this.uid as string)) return false;
      if (!channel.toString().startsWith(this.#requestChannel)) return false;
      const request = JSON.parse(message.toString()) as { uid?: unknown; type?: unknown };
      return request.uid === this.uid && APPLIED_BY_ALL.has(request.type);
    }
  };
}

interface Packet {
  nsp?: string;
}
type LocalSocket = Awaited<ReturnType<StockAdapter['fetchSockets']>>[number];
