import type { Socket } from 'node:net';

/**
 * What a hop does with traffic.
 *
 * - `pass` forwards.
 * - `refuse` closes the listener (ECONNREFUSED) and every connection.
 * - `reset` accepts, then resets, and resets what was open.
 * - `blackhole` keeps connections open and accepts new ones; nothing passes in either direction, ends and
 *   resets included, and what arrives is lost.
 * - `mute` forwards requests and loses the replies: the server executes what nobody hears of.
 * - `slow` holds each chunk of the replies for `delayMs`.
 * - `trickle` lets the replies through one byte every `trickleMs`.
 */
export type HopMode = 'pass' | 'refuse' | 'reset' | 'blackhole' | 'mute' | 'slow' | 'trickle';

/** What a connection asks of its hop, at each chunk anew. */
export interface HopPolicy {
  readonly mode: HopMode;
  readonly delayMs: number;
  readonly trickleMs: number;
}

interface Held {
  readonly dueMs: number;
  readonly chunk: Buffer;
}

/** Replies held back for one connection; past it the server's side is no longer read. */
const HIGH_WATER_BYTES = 1024 * 1024;

/** One connection through the hop: client on one side, server on the other. */
export class HopConnection {
  readonly #client: Socket;
  readonly #server: Socket | undefined;
  readonly #policy: HopPolicy;
  readonly #closed: () => void;
  readonly #held: Held[] = [];
  #heldBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #serverEnded = false;
  #torn = false;
  #done = false;

  /**
   * @param server - not yet connected, or `undefined` where the hop must not reach it
   * @param closed - called once when the connection is gone
   */
  constructor(client: Socket, server: Socket | undefined, policy: HopPolicy, closed: () => void) {
    this.#client = client;
    this.#server = server;
    this.#policy = policy;
    this.#closed = closed;
    // Without a server's side nothing of its stream can ever arrive.
    this.#torn = server === undefined;
    client.setNoDelay(true);
    client.on('data', (chunk: Buffer) => this.#request(chunk));
    client.on('drain', () => this.#resumeServer());
    client.on('end', () => this.#forwards(() => this.#server?.end()));
    client.on('error', () => this.#forwards(() => this.reset()));
    client.on('close', () => this.#forwards(() => this.destroy()));
    if (!server) return;
    server.setNoDelay(true);
    server.on('data', (chunk: Buffer) => this.#reply(chunk));
    server.on('drain', () => client.resume());
    server.on('end', () => this.#forwards(() => this.#endClient()));
    server.on('error', () => this.#forwards(() => this.reset()));
    server.on('close', () => this.#forwards(() => this.#endClient()));
  }

  /** Whether a part of its stream was lost, so that it must not be used once the hop passes again. */
  get torn(): boolean {
    return this.#torn;
  }

  /** Whether the client still holds its end. */
  get open(): boolean {
    return !this.#client.destroyed;
  }

  /** The hop changed its mode: what was held for a mode that is over goes out now, in order. */
  modeChanged(): void {
    const { mode } = this.#policy;
    if (mode === 'blackhole') return this.#tear();
    if (mode === 'mute' && this.#held.length > 0) return this.#tear();
    this.#pump();
  }

  /** Closes both sides. */
  destroy(): void {
    this.#finish(() => this.#client.destroy());
  }

  /** Closes both sides, the client's with a TCP reset. */
  reset(): void {
    this.#finish(() => this.#client.resetAndDestroy());
  }

  #request(chunk: Buffer): void {
    const { mode } = this.#policy;
    if (mode === 'blackhole') return this.#tear();
    // Past a lost reply only a mute hop goes on forwarding, since there nobody reads the answers.
    if (this.#torn && mode !== 'mute') return;
    if (this.#server?.write(chunk) === false) this.#client.pause();
  }

  #reply(chunk: Buffer): void {
    const { mode, delayMs } = this.#policy;
    if (mode === 'blackhole' || mode === 'mute') return this.#tear();
    if (this.#torn) return;
    if (mode === 'pass' && this.#held.length === 0) return this.#toClient(chunk);
    this.#held.push({ dueMs: performance.now() + (mode === 'slow' ? delayMs : 0), chunk });
    this.#heldBytes += chunk.length;
    if (this.#heldBytes > HIGH_WATER_BYTES) this.#server?.pause();
    // A timer that runs belongs to the head of the queue; pumping now would let trickled bytes overtake it.
    if (!this.#timer) this.#pump();
  }

  /** Sends what is due and sets the timer for what is not. */
  #pump(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { mode, trickleMs } = this.#policy;
    const now = performance.now();
    while (!this.#done && this.#held.length > 0) {
      const { dueMs, chunk } = this.#held[0]!;
      if (mode === 'slow' && dueMs > now) {
        this.#timer = setTimeout(() => this.#pump(), dueMs - now);
        return;
      }
      this.#take(mode === 'trickle' ? 1 : chunk.length);
      if (mode === 'trickle') {
        this.#timer = setTimeout(() => this.#pump(), trickleMs);
        return;
      }
    }
    if (this.#serverEnded && !this.#done) this.#client.end();
  }

  #take(bytes: number): void {
    const { dueMs, chunk } = this.#held.shift()!;
    if (bytes < chunk.length) this.#held.unshift({ dueMs, chunk: chunk.subarray(bytes) });
    this.#heldBytes -= bytes;
    this.#toClient(chunk.subarray(0, bytes));
    this.#resumeServer();
  }

  #toClient(chunk: Buffer): void {
    if (!this.#client.write(chunk)) this.#server?.pause();
  }

  #resumeServer(): void {
    if (this.#heldBytes <= HIGH_WATER_BYTES && !this.#client.writableNeedDrain) this.#server?.resume();
  }

  #endClient(): void {
    this.#serverEnded = true;
    if (!this.#done && this.#held.length === 0) this.#client.end();
  }

  /** Ends and resets are traffic too: a black hole swallows them. */
  #forwards(act: () => void): void {
    if (this.#policy.mode === 'blackhole') this.#tear();
    else act();
  }

  #tear(): void {
    this.#torn = true;
    this.#drop();
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#held.length = 0;
    this.#heldBytes = 0;
    this.#client.resume();
    this.#server?.resume();
  }

  #finish(closeClient: () => void): void {
    if (this.#done) return;
    this.#done = true;
    this.#drop();
    closeClient();
    this.#server?.destroy();
    this.#closed();
  }
}
