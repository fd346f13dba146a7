// oxlint-disable-next-line typescript/ban-ts-comment -- kept in the declarations, for applications without Socket.IO
/** @ts-ignore a peer that need not be installed */
import type { Adapter } from 'socket.io-adapter';

/** The sockets of `redoubt.sockets`. */
export interface Sockets {
  /**
   * `new Server(http, { adapter: redoubt.sockets.adapter })`: one adapter for the life of the server.
   *
   * @throws {RedoubtError} `ERR_PEER` without socket.io-adapter and @socket.io/redis-adapter, or beside an old Socket.IO
   */
  readonly adapter: typeof Adapter;
}
