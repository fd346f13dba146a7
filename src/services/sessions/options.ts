import type { SessionOptions } from 'express-session';

import type { Config } from '../../config/schema.ts';
import { RedoubtError } from '../../core/errors.ts';
import { suggest } from '../../core/format.ts';
import type { Logger } from '../../observe/log.ts';
import type { SessionMiddlewareOptions } from './types.ts';

/** express-session's, `key` being its old word for `name`. */
const KNOWN = [
  'cookie',
  'genid',
  'key',
  'name',
  'proxy',
  'resave',
  'rolling',
  'saveUninitialized',
  'secret',
  'store',
  'unset',
] as const;

/** The options of one middleware, complete but for the store. */
export type ReadOptions = Partial<Omit<SessionOptions, 'store' | 'resave' | 'saveUninitialized' | 'name'>> & {
  readonly name: string;
  readonly resave: boolean;
  readonly saveUninitialized: boolean;
};

/**
 * Completes express-session's options; one that is `undefined` is one that was not given.
 *
 * Its defaults are express-session's own, but for two that express-session itself calls deprecated: `resave` and
 * `saveUninitialized` are false. The name of the cookie comes from `sessions.cookieName`.
 *
 * @throws {RedoubtError} `ERR_SESSION_OPTION` for a `store`, and for what is no object
 */
export function readOptions(
  given: SessionMiddlewareOptions & { readonly key?: string | undefined },
  { config, log }: { readonly config: Config; readonly log: Logger },
): ReadOptions {
  if (typeof given !== 'object' || given === null) {
    throw new RedoubtError('ERR_SESSION_OPTION', { message: 'the options are an object' });
  }
  const options = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  for (const name of Object.keys(options)) {
    if ((KNOWN as readonly string[]).includes(name)) continue;
    const near = suggest(name, [...KNOWN]);
    log.warn(
      { option: name },
      `express-session has no option "${name}"${near ? `, but "${near}"` : ''}: it has no effect`,
    );
  }
  if ('store' in options) {
    throw new RedoubtError('ERR_SESSION_OPTION', { message: 'found "store"; Redoubt is the store', option: 'store' });
  }
  const { key, ...others } = options as SessionMiddlewareOptions & { key?: string };
  return {
    resave: false,
    saveUninitialized: false,
    ...others,
    name: others.name || key || config.sessions.cookieName,
  };
}
