import { type Socket, io } from 'socket.io-client';

import { eventually } from '../support/eventually.ts';
import type { Board } from './adopt-rig.ts';

/** After this a visitor takes a page for dead; a stock board's queues would answer when Redis is back. */
const PATIENCE_MS = 4_000;

/** What a page says about its visitor; a dead or failed one says neither. */
export function stateOf(
  { name }: Visitor,
  { status, body }: Answer,
): 'signed in' | 'signed out' | `answered ${number}` {
  if (status !== 200) return `answered ${status}`;
  return body.includes(`${name} <button>Sign out</button>`) ? 'signed in' : 'signed out';
}

/** What came back, with everything out of it that no two answers share. */
export interface Answer {
  /** 0: none in time. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Somebody with a browser: it keeps cookies, and a form carries the token of the page before it. */
export class Visitor {
  readonly name: string;
  /** Where the next request goes: with several instances, the choice of a load balancer. */
  board: Board;
  #cookie = '';
  #csrf = '';

  constructor(board: Board, name: string) {
    this.board = board;
    this.name = name;
  }

  /** A second browser with the same cookie. */
  copy(): Visitor {
    const other = new Visitor(this.board, this.name);
    other.#cookie = this.#cookie;
    other.#csrf = this.#csrf;
    return other;
  }

  get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.#send(path, { headers });
  }

  post(path: string, fields: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.#send(path, { method: 'POST', body: new URLSearchParams({ csrf: this.#csrf, ...fields }) });
  }

  async signUp(): Promise<void> {
    await this.get('/sign-up');
    const { status, headers } = await this.post('/sign-up', { username: this.name, password: 'secret' });
    if (status !== 302 || headers['location'] !== '/') throw new Error(`${this.name} could not sign up: ${status}`);
    await this.get('/');
  }

  /** A socket of the page, with its cookie. */
  async listen(transports: readonly ('websocket' | 'polling')[] = ['websocket']): Promise<Listener> {
    const socket = io(this.board.url, {
      transports: [...transports],
      forceNew: true,
      extraHeaders: { cookie: this.#cookie },
    });
    const listener = new Listener(socket);
    try {
      await eventually(() => socket.connected, { withinMs: PATIENCE_MS, what: `the socket of ${this.name}` });
      return listener;
    } catch (error) {
      listener[Symbol.dispose]();
      throw error;
    }
  }

  async #send(path: string, init: RequestInit): Promise<Answer> {
    let answer: Response;
    let body: string;
    try {
      const headers = { ...init.headers, cookie: this.#cookie };
      const signal = AbortSignal.timeout(PATIENCE_MS);
      answer = await fetch(this.board.url + path, { ...init, headers, redirect: 'manual', signal });
      body = await answer.text();
    } catch (error) {
      return { status: 0, headers: {}, body: String(error) };
    }
    const cookies = answer.headers.getSetCookie();
    for (const cookie of cookies) this.#cookie = cookie.split(';', 1)[0] ?? '';
    const csrf = /name="csrf" value="(\w+)"/.exec(body)?.[1];
    if (csrf) this.#csrf = csrf;
    const { date: _, ...headers } = Object.fromEntries(answer.headers);
    if (cookies.length > 0) headers['set-cookie'] = cookies.map(comparableCookie).join(', ');
    // Of the page with its token.
    if (headers['etag']) headers['etag'] = headers['etag'].replace(/".*"/, '"…"');
    return { status: answer.status, headers, body: body.replaceAll(/value="\w{64,}"/g, 'value="…"') };
  }
}

/** A live socket, and what came over it. */
export class Listener implements Disposable {
  readonly heard: string[] = [];
  /** Why it was disconnected, each time. */
  readonly disconnects: string[] = [];
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('notice', ({ text }: { text: string }) => this.heard.push(text));
    socket.on('disconnect', (reason) => this.disconnects.push(reason));
  }

  [Symbol.dispose](): void {
    this.#socket.disconnect();
  }
}

function comparableCookie(cookie: string): string {
  return cookie
    .replace(/=s%3A[^;]+/, '=…')
    .replace(/Expires=([^;]+)/, (_, at: string) => `Expires=+${Math.round((Date.parse(at) - Date.now()) / 60_000)}min`);
}
