import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { RedoubtError } from '../core/errors.ts';
import type { OutcomeKind } from '../core/outcome.ts';
import type { Logger } from '../observe/log.ts';
import type { MachineEvent } from './events.ts';
import type { Machines } from './types.ts';
import type { Documented } from './documented.ts';

type Params = Readonly<Record<string, unknown>>;

/** A guard of your own. A throw counts as false and is logged. */
export interface GuardExtension extends Documented {
  readonly test: (event: MachineEvent, params: Params) => boolean;
}

/** An action of your own. A throw is logged and changes nothing. */
export interface ActionExtension extends Documented {
  readonly run: (event: MachineEvent, params: Params) => void;
}

/** An actor of your own, for `invoke`; `signal` is aborted when the state is left. */
export interface ActorExtension extends Documented {
  readonly run: (signal: AbortSignal) => Promise<unknown>;
}

/** What a machine of your own follows: probed as Redis is, with Redis' thresholds. */
export interface DetectorExtension {
  /** One full probe; it must end by itself, and rejects where the dependency cannot be used. */
  readonly probe: (signal: AbortSignal) => Promise<{ readonly latencyMs: number }>;
  /** Default: every rejection is `lost`. */
  readonly classify?: (error: unknown) => { readonly kind: OutcomeKind; readonly code: string };
}

/** What `start` gets. */
export interface ExtensionContext {
  readonly machines: Machines;
  readonly log: Logger;
  /** Sends one of the events that `events` declares. @throws {RedoubtError} `ERR_MACHINE`, `ERR_EVENT` */
  send(machine: string, event: { readonly type: string }): void;
}

/** Parts of your own for machine files; checked and documented like the built-in ones. */
export interface Extensions {
  readonly guards?: Readonly<Record<string, GuardExtension>>;
  readonly actions?: Readonly<Record<string, ActionExtension>>;
  readonly actors?: Readonly<Record<string, ActorExtension>>;
  /** Events by type, each with a sentence that says when it is sent. */
  readonly events?: Readonly<Record<string, string>>;
  /** More machines, by id: each has a file `<id>.machine.json`. */
  readonly detectors?: Readonly<Record<string, DetectorExtension>>;
  /** Called once when the machines run; what it returns is called at the end. */
  readonly start?: (context: ExtensionContext) => void | (() => void);
}

/** Types the default export of a `runtime.extensions` module. */
export function defineExtensions(extensions: Extensions): Extensions {
  return extensions;
}

/**
 * Loads the module of `runtime.extensions`.
 *
 * @param path - relative to `cwd`; empty for none
 * @throws {RedoubtError} `ERR_EXTENSIONS` when it cannot be loaded or has no object as its default export
 */
export async function loadExtensions(path: string, cwd: string): Promise<Extensions> {
  if (path === '') return {};
  const file = resolve(cwd, path);
  try {
    const { default: extensions } = (await import(pathToFileURL(file).href)) as { default?: unknown };
    if (typeof extensions !== 'object' || extensions === null) throw new TypeError('its default export is no object');
    return extensions as Extensions;
  } catch (error) {
    // The module is the user's own: its message is for the one who starts the server.
    const message = error instanceof Error ? error.message : 'it threw something that is not an Error';
    throw new RedoubtError('ERR_EXTENSIONS', { message: `${file}: ${message}` }, { cause: error });
  }
}
