import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import type { Express } from 'express';
import type { Server } from 'socket.io';

import type { Redoubt } from '../api.ts';
import type { Config } from '../config/schema.ts';
import { RedoubtError } from '../core/errors.ts';

/** What a module of `server.app` is called with. */
export interface UserAppContext {
  readonly app: Express;
  readonly io: Server;
  readonly redoubt: Redoubt;
  /** Frozen; holds secrets: never print it. */
  readonly config: Config;
}

/** The default export of a module of `server.app`: adds routes and socket events; the server waits for it. */
export type UserApp = (context: UserAppContext) => void | Promise<void>;

/**
 * Loads the user's module and lets it add its routes.
 *
 * @param path - relative to `cwd`
 * @throws {RedoubtError} `ERR_APP_MODULE` when it cannot be loaded, exports no function, or throws
 */
export async function loadUserApp(path: string, cwd: string, context: UserAppContext): Promise<void> {
  const file = resolve(cwd, path);
  try {
    const { default: userApp } = (await import(pathToFileURL(file).href)) as { default?: unknown };
    if (typeof userApp !== 'function') throw new TypeError('it has no default export that is a function');
    await (userApp as UserApp)(context);
  } catch (error) {
    // The module is the user's own: its message is for the one who starts the server.
    const message = error instanceof Error ? error.message : 'it threw something that is not an Error';
    throw new RedoubtError('ERR_APP_MODULE', { message: `${file}: ${message}` }, { cause: error });
  }
}
