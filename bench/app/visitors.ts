/**
 * The load, in a process of its own, started by app.ts: clients that each keep one connection open, have a session,
 * and ask again as soon as they are answered. They speak HTTP by hand, since a client that costs as much as the
 * application would hide what the application costs. Answers each order with one message, and ends with its parent.
 */
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';

/** What visitors do. */
export type Act = 'session read' | 'cached item' | 'page with both' | 'session write';

/** What the parent asks for. */
export type Order =
  | { readonly kind: 'login'; readonly app: string; readonly port: number; readonly clients: number }
  | { readonly kind: 'round'; readonly app: string; readonly act: Act; readonly ms: number };

/** What a round came to; times in microseconds. */
export interface Round {
  readonly done: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

const ITEMS = 1000;
const REQUESTS: Readonly<Record<Act, (i: number) => string>> = {
  'session read': () => 'GET /session',
  'cached item': (i) => `GET /item/${i % ITEMS}`,
  'page with both': (i) => `GET /page/${i % ITEMS}`,
  'session write': () => 'POST /visit',
};

/** One client: one request at a time on its own connection. */
class Visitor {
  readonly #socket: Socket;
  #cookie = '';
  #text = '';
  #answered: ((text: string) => void) | undefined;
  #asked = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true).setEncoding('latin1');
    socket.on('data', (chunk: string) => this.#take(chunk));
    socket.once('close', () => {
      throw new Error('the application has closed a connection');
    });
  }

  static async login(port: number): Promise<Visitor> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const visitor = new Visitor(socket);
    const head = await visitor.#send('POST /login');
    visitor.#cookie = /^set-cookie: ([^;\r]*)/im.exec(head)?.[1] ?? '';
    if (visitor.#cookie === '') throw new Error(`no cookie after login: ${head}`);
    return visitor;
  }

  /** @returns milliseconds to the answer */
  async act(act: Act, from: number): Promise<number> {
    const startedAt = performance.now();
    this.#asked += 1;
    await this.#send(REQUESTS[act](from + this.#asked));
    return performance.now() - startedAt;
  }

  #send(line: string): Promise<string> {
    const cookie = this.#cookie === '' ? '' : `Cookie: ${this.#cookie}\r\n`;
    const length = line.startsWith('POST') ? 'Content-Length: 0\r\n' : '';
    return new Promise((resolve) => {
      this.#answered = resolve;
      this.#socket.write(`${line} HTTP/1.1\r\nHost: app\r\n${cookie}${length}\r\n`, 'latin1');
    });
  }

  #take(chunk: string): void {
    this.#text += chunk;
    const head = this.#text.indexOf('\r\n\r\n');
    if (head === -1) return;
    const length = Number(/^content-length: (\d+)/im.exec(this.#text)?.[1]);
    // A failed request must not count, and an answer without its length could not be read.
    if (!this.#text.startsWith('HTTP/1.1 200') || Number.isNaN(length)) throw new Error(this.#text);
    if (this.#text.length < head + 4 + length) return;
    const text = this.#text;
    this.#text = '';
    this.#answered?.(text);
  }
}

const visitors = new Map<string, readonly Visitor[]>();
process.on('disconnect', () => process.exit());
process.on('message', (order: Order) => void carryOut(order).then((answer) => process.send?.(answer)));
process.send?.('ready');

async function carryOut(order: Order): Promise<Round | 'ready'> {
  if (order.kind === 'round') return await run(visitors.get(order.app) ?? [], order);
  const logins = Array.from({ length: order.clients }, () => Visitor.login(order.port));
  visitors.set(order.app, await Promise.all(logins));
  return 'ready';
}

async function run(all: readonly Visitor[], { act, ms }: { readonly act: Act; readonly ms: number }): Promise<Round> {
  const times: number[] = [];
  const startedAt = performance.now();
  const work = async (visitor: Visitor, i: number): Promise<void> => {
    while (performance.now() - startedAt < ms) times.push(await visitor.act(act, i * 31));
  };
  await Promise.all(all.map(work));
  const perSecond = (times.length * 1000) / (performance.now() - startedAt);
  const sorted = Float64Array.from(times).toSorted();
  const at = (share: number): number => Math.round((sorted[Math.floor(sorted.length * share)] ?? 0) * 1000);
  return { done: times.length, perSecond, p50: at(0.5), p99: at(0.99) };
}
