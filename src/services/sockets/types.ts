import type { Adapter } from 'socket.io-adapter';

/** The sockets of `redoubt.sockets`. */
export interface Sockets {
  /** `new Server(http, { adapter: redoubt.sockets.adapter })`: one adapter for the life of the server. */
  readonly adapter: typeof Adapter;
}
