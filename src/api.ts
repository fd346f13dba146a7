import type { Registry } from 'prom-client';

import type { Config } from './config/schema.ts';
import type { Logger } from './observe/log.ts';
import type { Machines } from './runtime/types.ts';
import type { Cache } from './services/cache/types.ts';
import type { Health } from './services/health/types.ts';
import type { Jobs } from './services/jobs/types.ts';
import type { Sessions } from './services/sessions/types.ts';
import type { Sockets } from './services/sockets/types.ts';
import type { ShutdownTarget } from './shutdown.ts';

export interface RedoubtOptions {
  /** A config file on top of the shipped ones, or settings in the shape of one. */
  readonly config?: string | object;
  /** Folder of `*.machine.json` files; default: Redoubt's own. */
  readonly machines?: string;
  /** Default: pino on standard output at `log.level`. */
  readonly logger?: Logger;
}

/** What came of a reload. */
export type ReloadResult =
  | {
      readonly applied: true;
      /** The id of what runs now. */
      readonly revision: string;
      /** Changed settings that only a restart takes over, by path. */
      readonly pending: readonly string[];
    }
  | { readonly applied: false; readonly revision: string; readonly message: string };

/** What `createRedoubt` gives an application. */
export interface Redoubt extends AsyncDisposable {
  readonly cache: Cache;
  readonly sessions: Sessions;
  readonly sockets: Sockets;
  readonly jobs: Jobs;
  readonly health: Health;
  readonly machines: Machines;
  /** prom-client's registry with all of Redoubt's metrics, to be merged or served. */
  readonly metrics: Registry;
  /** Frozen; durations in milliseconds. Holds secrets: never print it. */
  readonly config: Config;
  /**
   * Says that this instance is about to stop: `/health/ready` answers 503 from now on.
   * `close` does so too.
   */
  drain(): void;
  /**
   * Reads configuration and machines again, checks them, and goes on with them; a mistake changes
   * nothing and is logged and shown by health. Machines stay in their state where it still exists.
   */
  reload(): ReloadResult;
  /**
   * Ends the application's servers and then Redoubt, in the order in which nobody loses anything: readiness answers 503,
   * no new connection is accepted and idle ones are closed, requests under way are answered and their sessions saved,
   * sockets are closed, and at last `close()`. What takes longer than `server.shutdownTimeout` is cut. Later calls join
   * the first.
   *
   *     process.once('SIGTERM', () => redoubt.shutdown(server));
   *
   * @param servers - a server of Node's or Socket.IO's, or several; Socket.IO's on `sockets.adapter` come with their HTTP
   * server. Default: none, which is `close()`
   * @returns whether everything was done in time and nobody was cut; never rejects
   */
  shutdown(servers?: ShutdownTarget | readonly ShutdownTarget[]): Promise<boolean>;
  /** Flushes and lets go of everything, within `server.shutdownTimeout`; later calls join the first. */
  close(): Promise<void>;
}
