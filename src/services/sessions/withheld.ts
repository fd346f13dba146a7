// Node computes an answer at once and keeps its bytes while an earlier answer of the same connection is not done (HTTP
// pipelining). An answer is withheld in the same way: for everybody it is written and ended, with all that Node says of
// such an answer, and only its bytes wait. No wrapper of res.write, res.end or res.writeHead needs to know of it.
//
// The names below are Node's own, the same in 22, 24 and 26 (lib/_http_outgoing.js); test/conformance/answers.test.ts
// would notice another one.

import type * as http from 'node:http';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

type WriteCallback = (error?: Error | null) => void;

interface Chunk {
  readonly data: string | Uint8Array;
  readonly encoding: unknown;
  readonly callback: unknown;
}

/** What Node keeps of an answer. */
interface Outgoing extends ServerResponse {
  _header: string | null;
  _headerSent: boolean;
  _last: boolean;
  outputData: Chunk[];
  outputSize: number;
  _onPendingData(bytes: number): void;
  _writeRaw(data: string | Uint8Array, encoding?: unknown, callback?: unknown): boolean;
  _flush(): void;
}

/** What an answer changes as it is written, under its own name or as the description of a symbol. */
const WRITTEN = new Set([
  '_contentLength',
  '_hasBody',
  '_header',
  '_headerSent',
  '_removedConnection',
  '_removedContLen',
  '_removedTE',
  '_trailer',
  'chunkedEncoding',
  'corked',
  'finished',
  'kBytesWritten',
  'kChunkedBuffer',
  'kChunkedLength',
  'kNeedDrain',
]);

/** What others put before the answer's own methods, such as a compressor that has ended already. */
const WRAPPED = ['write', 'end', 'writeHead', 'on', 'addListener', '_writeRaw', '_flush'] as const;

/** Gives an answer its own methods back, without what others do at its beginning and its end. */
export function unwrap(res: ServerResponse): void {
  for (const name of WRAPPED) Reflect.deleteProperty(res, name);
}

let Answer: typeof http.ServerResponse | undefined;

/** Not by an import: node:http as an ES module brings HTTP/2 and fetch, 6 MB that a process without sessions never uses. */
function answerClass(): typeof http.ServerResponse {
  Answer ??= process.getBuiltinModule('node:http').ServerResponse;
  return Answer;
}

/** Whether this is Node's own answer to a request; a handshake's or an HTTP/2 answer is none. */
export function canWithhold(res: unknown): res is ServerResponse {
  return res instanceof answerClass() && typeof (res as Outgoing)._writeRaw === 'function';
}

/** An answer that waits. */
export interface Waiting {
  /** Sends what was kept; what is written from now on goes out at once. */
  release(): void;
  /**
   * Forgets the answer, so that another one can be given in its place: what has been set by setHeader stays.
   *
   * @param error - what the callbacks of its writes are told
   * @returns `false` where nothing can be said any more, since some of it was out or somebody has closed the connection
   */
  takeBack(error: Error): boolean;
}

/** The bytes of one answer, kept from now on until they are released or taken back. */
export class Withheld implements Waiting {
  /** Whether some of the answer had been sent before. */
  readonly #wasOut: boolean;
  readonly #res: Outgoing;
  readonly #callbacks: WriteCallback[] = [];
  readonly #socket: Socket | null;
  // Put back by assignment: an object from which a property was deleted is a slow one for V8, and sockets live long.
  readonly #natives: Pick<Outgoing, '_writeRaw' | '_flush'>;
  readonly #socketNatives: Pick<Socket, 'destroy' | 'end'> | undefined;
  #mustClose = false;

  constructor(res: ServerResponse) {
    this.#res = res as Outgoing;
    const { _writeRaw, _flush } = this.#res;
    this.#natives = { _writeRaw, _flush };
    this.#wasOut = this.#res._headerSent;
    this.#res._writeRaw = (data, encoding, callback) => this.#keep(data, encoding, callback);
    // A pipelined answer gets its turn: not yet.
    this.#res._flush = () => undefined;
    this.#socket = res.socket;
    if (this.#socket === null) return;
    const socket = this.#socket;
    const { destroy, end } = socket;
    this.#socketNatives = { destroy, end };
    // Whoever closes the connection behind an ended answer (Express, where a handler throws then; a server that closes
    // its idle connections) does so when the answer has been sent. A connection that is broken or over is another matter.
    socket.destroy = (error?: Error): Socket => {
      if (error !== undefined || !res.writableEnded || !socket.writable) return destroy.call(socket, error);
      this.#mustClose = true;
      return socket;
    };
    // Node ends the connection of a client that has sent all it wants to send; it still reads.
    socket.end = (...args: unknown[]): Socket => {
      if (args.length > 0) return end.apply(socket, args as never);
      this.#res._last = true;
      return socket;
    };
  }

  release(): void {
    this.#letGo();
    if (this.#mustClose) this.#res._last = true;
    this.#res._flush();
    if (this.#mustClose && !this.#socket?.writable) this.#socket?.destroy();
  }

  takeBack(error: Error): boolean {
    const res = this.#res;
    // Still withheld: in Node 22 this tells the one who writes that there is room again, and it writes on.
    while (res.outputSize > 0) {
      const size = res.outputSize;
      res.outputData = [];
      res.outputSize = 0;
      res._onPendingData(-size);
    }
    this.#letGo();
    for (const callback of this.#callbacks) process.nextTick(callback, error);
    if (this.#wasOut || this.#mustClose || res.destroyed) return false;
    unwrap(res);
    const fresh = new (answerClass())(res.req);
    for (const key of Reflect.ownKeys(fresh)) {
      const name = typeof key === 'symbol' ? key.description : key;
      if (name !== undefined && WRITTEN.has(name)) Reflect.set(res, key, Reflect.get(fresh, key));
    }
    return !res.headersSent && !res.writableEnded;
  }

  #keep(data: string | Uint8Array, encoding: unknown, callback: unknown): boolean {
    const res = this.#res;
    if (res.socket?.destroyed) return false;
    const done = typeof encoding === 'function' ? encoding : callback;
    // Node's own callback at the end tells that the answer is finished, which one that is taken back never is.
    if (typeof done === 'function' && !done.name.startsWith('bound ')) this.#callbacks.push(done as WriteCallback);
    res.outputData.push({ data, encoding: typeof encoding === 'function' ? null : encoding, callback: done });
    res.outputSize += data.length;
    res._onPendingData(data.length);
    return res.outputSize < res.writableHighWaterMark;
  }

  #letGo(): void {
    Object.assign(this.#res, this.#natives);
    if (this.#socket) Object.assign(this.#socket, this.#socketNatives);
  }
}
