import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

import { type Waiting, unwrap } from './withheld.ts';

/**
 * Whether an answer goes to a connection. One that an adapter makes for a function in a cloud, or for a test that
 * injects requests, is looked at by its maker as soon as it is ended: nothing of it can be kept back then.
 */
export function isConnection(socket: unknown): boolean {
  Connection ??= process.getBuiltinModule('node:net').Socket;
  return socket instanceof Connection;
}

let Connection: typeof Socket | undefined;

/** An answer whose end waits, where its bytes cannot: its maker takes it for whole at its end, and not before. */
export class Deferred implements Waiting {
  readonly #res: ServerResponse;
  #end: (() => void) | undefined;

  constructor(res: ServerResponse) {
    this.#res = res;
  }

  /** Takes the end in the place of the answer; a second one has no effect, as behind an end. */
  keepEnd(end: () => void): void {
    this.#end ??= end;
  }

  release(): void {
    this.#end?.();
  }

  takeBack(): boolean {
    if (this.#res.headersSent || this.#res.destroyed) return false;
    unwrap(this.#res);
    return true;
  }
}
