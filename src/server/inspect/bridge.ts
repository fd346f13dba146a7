import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';

import { type WebSocket, WebSocketServer } from 'ws';

import { RedoubtError } from '../../core/errors.ts';
import type { Logger } from '../../observe/log.ts';
import type { Machines, Transition } from '../../runtime/types.ts';
import { createTeller, type Teller, type WireMessage } from './protocol.ts';
import { renderViewer, VIEWER_SCRIPT, VIEWER_STYLE } from './viewer.ts';

const HOST = '127.0.0.1';
const MAX_VIEWERS = 8;
const MAX_REMEMBERED = 200;
/** Viewers say nothing that we act on; what they may send is bounded all the same. */
const MAX_PAYLOAD_BYTES = 4096;
/** A viewer that leaves this many bytes unread is dropped; it attaches again and gets a replay. */
const MAX_UNREAD_BYTES = 1024 * 1024;
const INSPECTOR_URL = 'https://stately.ai/inspect';

export interface BridgeOptions {
  readonly machines: Machines;
  /** On 127.0.0.1; 0 for any free one. */
  readonly port: number;
  /** Origins of pages that may attach, beside those on loopback. */
  readonly origins: readonly string[];
  readonly log: Logger;
  /** The inspector's page; default: the official one. */
  readonly inspectorUrl?: string;
}

export interface InspectorBridge extends AsyncDisposable {
  /** The page to open: `http://127.0.0.1:8080/`. */
  readonly url: string;
  readonly port: number;
  /** Viewers attached now. */
  readonly viewers: number;
  /** Ends all connections at once. */
  close(): Promise<void>;
}

/**
 * Lets the official XState inspector attach: a page that holds it in a frame, and a WebSocket that
 * speaks its protocol, both on 127.0.0.1.
 *
 * A viewer gets the definition of every machine first, then the last transitions (200 at most), then
 * each new one. Refused are a Host that is not loopback (DNS rebinding), an Origin that is neither
 * loopback nor in `origins`, and more than 8 viewers. A client without an Origin is no browser and may
 * attach: a program on this machine could ask `/inspect` as well.
 *
 * @throws {RedoubtError} `ERR_LISTEN` when the port is in use
 */
export async function startInspectorBridge(options: BridgeOptions): Promise<InspectorBridge> {
  const { machines, log, origins, inspectorUrl = INSPECTOR_URL } = options;
  const replay = new Replay(machines);
  const http = createServer((request, response) => {
    if (isLoopbackHost(request.headers.host)) servePage(request, response, inspectorUrl, origins);
    else response.writeHead(403).end();
  });
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_PAYLOAD_BYTES, perMessageDeflate: false });
  http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    const refusal = refusalOf(request, origins, sockets.clients.size);
    if (refusal !== undefined) {
      log.warn({ status: refusal }, 'A viewer was kept from the inspector bridge');
      socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (viewer) => {
      // Nothing to do: a broken connection ends with `close`, and the set forgets it.
      viewer.on('error', () => undefined);
      for (const message of replay.messages()) send(viewer, message);
    });
  });
  const unsubscribe = machines.on('transition', (transition) => {
    const messages = replay.add(transition);
    for (const viewer of sockets.clients) for (const message of messages) send(viewer, message);
  });
  const close = async (): Promise<void> => {
    unsubscribe();
    for (const viewer of sockets.clients) viewer.terminate();
    sockets.close();
    await closeServer(http);
  };
  try {
    await listen(http, options.port);
  } catch (error) {
    unsubscribe();
    throw error;
  }
  const { port } = http.address() as AddressInfo;
  log.info(
    { url: `http://${HOST}:${port}/` },
    'The official XState inspector can attach; open the URL in a browser here',
  );
  return {
    url: `http://${HOST}:${port}/`,
    port,
    get viewers() {
      return sockets.clients.size;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Definitions and the last transitions, ready to be sent to a viewer that comes late. */
class Replay {
  readonly #machines: Machines;
  readonly #teller: Teller = createTeller();
  readonly #remembered: { readonly transition: Transition; readonly messages: readonly WireMessage[] }[] = [];

  constructor(machines: Machines) {
    this.#machines = machines;
    const earlier = machines.all.flatMap((machine) => machine.history).toSorted((a, b) => a.at - b.at);
    for (const transition of earlier) this.add(transition);
  }

  add(transition: Transition): readonly WireMessage[] {
    const messages = this.#teller.transition(transition);
    this.#remembered.push({ transition, messages });
    if (this.#remembered.length > MAX_REMEMBERED) this.#remembered.shift();
    return messages;
  }

  messages(): WireMessage[] {
    const actors = this.#machines.all.map((machine) => {
      // Each machine starts where the remembered transitions start, and is led to its state by them.
      const first = this.#remembered.find(({ transition }) => transition.machine === machine.id);
      return this.#teller.actor(machine, first?.transition.from ?? machine.state);
    });
    return [...actors, ...this.#remembered.flatMap(({ messages }) => messages)];
  }
}

function send(viewer: WebSocket, message: WireMessage): void {
  if (viewer.bufferedAmount > MAX_UNREAD_BYTES) viewer.terminate();
  else viewer.send(message);
}

function refusalOf(request: IncomingMessage, origins: readonly string[], viewers: number): string | undefined {
  const { host, origin } = request.headers;
  if (!isLoopbackHost(host)) return '403 Forbidden';
  if (origin !== undefined && !origins.includes(origin) && !isLoopbackOrigin(origin)) return '403 Forbidden';
  return viewers >= MAX_VIEWERS ? '503 Service Unavailable' : undefined;
}

/** A name that an attacker let point to 127.0.0.1 arrives with the attacker's Host. */
function isLoopbackHost(host: string | undefined): boolean {
  return /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(host ?? '');
}

function isLoopbackOrigin(origin: string): boolean {
  return /^https?:\/\//.test(origin) && isLoopbackHost(origin.replace(/^https?:\/\//, ''));
}

function servePage(
  { url, method }: IncomingMessage,
  response: ServerResponse,
  inspectorUrl: string,
  origins: readonly string[],
): void {
  const inspectorOrigin = new URL(inspectorUrl).origin;
  const allowed = [...new Set([inspectorOrigin, ...origins])];
  const files: Record<string, readonly [type: string, text: string]> = {
    '/': ['text/html; charset=utf-8', renderViewer(inspectorUrl, allowed)],
    '/viewer.js': ['text/javascript; charset=utf-8', VIEWER_SCRIPT],
    '/viewer.css': ['text/css; charset=utf-8', VIEWER_STYLE],
  };
  const file = method === 'GET' || method === 'HEAD' ? files[url ?? ''] : undefined;
  if (!file) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, {
    'Content-Type': file[0],
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': `default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; frame-src ${allowed.join(' ')}; base-uri 'none'; frame-ancestors 'none'`,
  });
  response.end(file[1]);
}

async function listen(http: Server, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    http.once('error', (cause: NodeJS.ErrnoException) => {
      const message = `inspect.port ${port} ${cause.code === 'EADDRINUSE' ? 'is in use' : `(${cause.code})`}`;
      reject(new RedoubtError('ERR_LISTEN', { message }, { cause }));
    });
    http.listen(port, HOST, resolve);
  });
}

async function closeServer(http: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => http.close(() => resolve()));
  http.closeAllConnections();
  await closed;
}
