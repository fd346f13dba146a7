import { type Server, type Socket, connect, createServer } from 'node:net';

import { HopConnection, type HopMode } from './hop-connection.ts';
import { LOOPBACK, freePort } from './ports.ts';

export type { HopMode } from './hop-connection.ts';
export { unanswered } from './syn-hole.ts';

/** How a hop begins. */
export interface HopStart {
  /** Port on 127.0.0.1 of the server behind it. */
  readonly to: number;
  /** Default: a free one. */
  readonly port?: number;
  /** Default: `pass`. */
  readonly mode?: HopMode;
  /** Hold of each chunk of replies in mode `slow`; default 400 ms. */
  readonly delayMs?: number;
  /** Time between two bytes in mode `trickle`; default 50 ms. */
  readonly trickleMs?: number;
}

/** Starts a breakable TCP hop on 127.0.0.1; it listens when this resolves, unless it begins with `refuse`. */
export async function startHop(start: HopStart): Promise<Hop> {
  const hop = new Hop(start.port ?? (await freePort()), start);
  await hop.settled();
  return hop;
}

/** A TCP hop between a client and a server that a test breaks and heals; made by `startHop()`. */
export class Hop implements AsyncDisposable {
  readonly port: number;
  /** Where new connections go; may be moved at any time. */
  to: number;
  delayMs: number;
  trickleMs: number;
  readonly #connections = new Set<HopConnection>();
  #mode: HopMode;
  #accepted = 0;
  #listener: Server | undefined;
  #listening: Promise<void> = Promise.resolve();

  constructor(port: number, start: HopStart) {
    this.port = port;
    this.to = start.to;
    this.delayMs = start.delayMs ?? 400;
    this.trickleMs = start.trickleMs ?? 50;
    this.#mode = start.mode ?? 'pass';
    if (this.#mode !== 'refuse') this.#listen();
  }

  get mode(): HopMode {
    return this.#mode;
  }

  /**
   * Breaks or heals the hop at once. A connection that lost a part of its stream is closed when the mode that
   * lost it ends, as a real cut ends. Only listening again after `refuse` takes a moment: `settled()`.
   */
  set mode(mode: HopMode) {
    if (mode === this.#mode) return;
    this.#mode = mode;
    for (const connection of this.#connections) {
      if (mode === 'reset') connection.reset();
      else if (mode === 'refuse' || (connection.torn && mode !== 'blackhole')) connection.destroy();
      else connection.modeChanged();
    }
    if (mode === 'refuse') this.#close();
    else if (!this.#listener) this.#listen();
  }

  /** Connections that a client holds open, the silent ones of a black hole included. */
  get connections(): number {
    return [...this.#connections].filter((connection) => connection.open).length;
  }

  /** Connections accepted since the start, the reset ones included: shows a storm of reconnects. */
  get accepted(): number {
    return this.#accepted;
  }

  /** The address of the hop as a URL of `protocol`, with `path` behind it: `hop.url('postgres', '/app')`. */
  url(protocol = 'redis', path = ''): string {
    return `${protocol}://${LOOPBACK}:${this.port}${path}`;
  }

  /** `url` with this hop's address in place of its own; user, database and options stay. */
  through(url: string): string {
    const there = new URL(url);
    there.host = `${LOOPBACK}:${this.port}`;
    return there.href;
  }

  /** Closes every connection and leaves the mode as it is. */
  cut(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  /** Resolves once the listener is in the state that the mode asks for. */
  settled(): Promise<void> {
    return this.#listening;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listening;
    this.cut();
    this.#close();
  }

  #accept(client: Socket): void {
    this.#accepted++;
    if (this.#mode === 'reset') {
      client.on('error', () => undefined);
      client.resetAndDestroy();
      return;
    }
    const server = this.#mode === 'blackhole' ? undefined : connect({ port: this.to, host: LOOPBACK });
    const connection: HopConnection = new HopConnection(client, server, this, () =>
      this.#connections.delete(connection),
    );
    this.#connections.add(connection);
  }

  #listen(): void {
    const listener = createServer((client) => this.#accept(client));
    this.#listener = listener;
    this.#listening = new Promise((resolve) => {
      // No handler for 'error': a port that somebody else took must fail the test loudly.
      listener.once('close', resolve);
      listener.listen({ port: this.port, host: LOOPBACK }, resolve);
    });
  }

  #close(): void {
    this.#listener?.close();
    this.#listener = undefined;
  }
}
