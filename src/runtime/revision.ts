import { createHash } from 'node:crypto';

import type { Config } from '../config/schema.ts';
import type { MachineDefinition } from './types.ts';

/** What asked for a definition to be loaded. */
export type RevisionSource = 'start' | 'signal' | 'watch' | 'operator' | 'call';

/** What runs: which machine files and thresholds, since when, and what came of the last attempt to change them. */
export interface Revision {
  /** Of the machines' content and the numbers they use: the same files give the same id everywhere. */
  readonly id: string;
  /** Wall-clock milliseconds. */
  readonly loadedAt: number;
  readonly source: RevisionSource;
  /** Changed settings that only a restart takes over, by path. */
  readonly pending: readonly string[];
  /** The last attempt, where it was refused; the revision before it goes on. */
  readonly refused: { readonly at: number; readonly source: RevisionSource; readonly message: string } | null;
}

/** Settings that a reload takes over; every other one waits for a restart. */
const RELOADABLE =
  /^(redis|postgres)\.(detect\.|delays\.|holdDown\.|probe\.(everyMs|backoffBaseMs|backoffMaxMs|refusedBackoffAfter|refusedBackoffMaxMs)$)|^runtime\.delays(\.|$)/;

/** The id of what runs: twelve hex digits of a SHA-256. */
export function revisionId(definitions: readonly MachineDefinition[], config: Config): string {
  const { redis, postgres, runtime } = config;
  const numbers = [redis, postgres].map(({ probe, detect, delays, holdDown }) => ({ probe, detect, delays, holdDown }));
  const content = JSON.stringify([definitions, numbers, runtime.delays]);
  return createHash('sha256').update(content).digest('hex').slice(0, 12);
}

/**
 * The configuration that runs after a reload: `next` where a reload may change it, `running` elsewhere.
 *
 * @returns it, and the paths of settings that differ and wait for a restart; paths only, values can be secret
 */
export function mergeReloadable(
  running: Config,
  next: Config,
): { readonly config: Config; readonly pending: string[] } {
  const pending: string[] = [];
  const merge = (a: unknown, b: unknown, path: string): unknown => {
    if (isGroup(a) && isGroup(b)) {
      const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
      const merged = [...keys].map((key) => [key, merge(a[key], b[key], path === '' ? key : `${path}.${key}`)]);
      return Object.freeze(Object.fromEntries(merged.filter(([, value]) => value !== undefined)));
    }
    if (RELOADABLE.test(path) || JSON.stringify(a) === JSON.stringify(b)) return b;
    pending.push(path.replace(/Ms$/, ''));
    return a;
  };
  return { config: merge(running, next, '') as Config, pending };
}

function isGroup(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
