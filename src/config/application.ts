// What lies beside an application in its own config/ folder. The popular package `config` reads files of the same
// names there, so a file is taken only where it says by its keys that it is for Redoubt:
//
//   a key `redoubt` with an object    that section
//   none but Redoubt's own keys       the whole file
//   anything else                     somebody else's; left alone, and said once

import { existsSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

import { SCHEMA } from './schema.ts';

/** The key under which Redoubt's settings stand in a file that others read too. */
export const SECTION = 'redoubt';

/** What of a parsed file is meant for Redoubt; `undefined` where nothing is. */
export function ownPartOf(file: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> | undefined {
  const section = Object.hasOwn(file, SECTION) ? file[SECTION] : undefined;
  if (typeof section === 'object' && section !== null && !Array.isArray(section)) {
    return section as Readonly<Record<string, unknown>>;
  }
  return Object.keys(file).every((key) => key === '$schema' || Object.hasOwn(SCHEMA, key)) ? file : undefined;
}

/** The files of a folder that may be layers, lowest first. */
export function layersIn(dir: string, env: string): string[] {
  return [join(dir, 'default.json5'), join(dir, `${env}.json5`)].filter((file) => existsSync(file));
}

/** Whether two folders are one: in a checkout, the application's is Redoubt's own. */
export function isSameFolder(a: string, b: string): boolean {
  try {
    return realpathSync(a) === realpathSync(b);
  } catch {
    return false;
  }
}
