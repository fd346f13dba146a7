import JSON5 from 'json5';

import { parseDuration, parseSize } from '../core/format.ts';
import type { Leaf } from './schema.ts';

interface Format {
  /** What is allowed, for the error message. */
  readonly allowed: string;
  /** The value in code for one in a file or in the environment; `undefined` where it is not allowed. */
  readonly read: (value: unknown) => unknown;
}

/** Environment variables are text: numbers and booleans are read from it, nothing else is guessed. */
const number = (value: unknown): number | undefined => {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  // An empty variable is a mistake, not a zero.
  if (typeof value !== 'string' || !/^-?\d+(\.\d+)?$/.test(value.trim())) return undefined;
  return Number(value);
};

const within = (value: number | undefined, from: number, to: number, whole: boolean): number | undefined =>
  value !== undefined && value >= from && value <= to && (!whole || Number.isInteger(value)) ? value : undefined;

/** An object with a value for each name; text from the environment is JSON5. */
const readMap = (value: unknown, read: (item: unknown) => unknown): Record<string, unknown> | undefined => {
  const map = typeof value === 'string' ? parseJson5(value) : value;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) return undefined;
  const entries = Object.entries(map).map(([name, item]) => [name, read(item)] as const);
  const isName = entries.every(([name, item]) => /^[a-z][a-zA-Z0-9]*$/.test(name) && item !== undefined);
  return isName ? Object.fromEntries(entries) : undefined;
};

const parseJson5 = (text: string): unknown => {
  try {
    return JSON5.parse(text);
  } catch {
    return undefined;
  }
};

/** RFC 3339, to the minute or finer. */
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/;

const FORMATS: Readonly<Record<string, Format>> = {
  duration: {
    allowed: 'a duration with its unit, such as "250ms", "5s", "2m" or "24h"',
    read: (value) => (typeof value === 'string' ? parseDuration(value) : undefined),
  },
  size: {
    allowed: 'a size with its unit, such as "512b", "64kb" or "64mb"',
    read: (value) => (typeof value === 'string' ? parseSize(value) : undefined),
  },
  count: {
    allowed: 'a whole number from 1',
    read: (value) => within(number(value), 1, Number.MAX_SAFE_INTEGER, true),
  },
  ratio: { allowed: 'a number from 0 to 1', read: (value) => within(number(value), 0, 1, false) },
  port: { allowed: 'a port from 0 to 65535', read: (value) => within(number(value), 0, 65_535, true) },
  boolean: {
    allowed: 'true or false',
    read: (value) =>
      value === true || value === 'true' ? true : value === false || value === 'false' ? false : undefined,
  },
  redisUrl: {
    allowed: 'redis://user:password@host:port/db, rediss:// for TLS, or none',
    read: (value) =>
      value === 'none' || (typeof value === 'string' && /^rediss?:\/\//.test(value) && URL.canParse(value))
        ? value
        : undefined,
  },
  postgresUrl: {
    allowed: 'postgres://user:password@host:port/db, pglite:DIR, none or empty',
    read: (value) => {
      if (typeof value !== 'string') return undefined;
      if (value === '' || value === 'none' || /^pglite:./.test(value)) return value;
      return /^postgres(ql)?:\/\//.test(value) && URL.canParse(value) ? value : undefined;
    },
  },
  durations: {
    allowed: 'an object of durations, such as { maintenanceMax: "30m" }',
    read: (value) => readMap(value, (item) => (typeof item === 'string' ? parseDuration(item) : undefined)),
  },
  redisUrls: {
    allowed: 'an object of Redis URLs by name, such as { socketsRedis: "redis://127.0.0.1:6380" }',
    // A further Redis is named in order to be used: there is no none.
    read: (value) => readMap(value, (item) => (item === 'none' ? undefined : FORMATS['redisUrl']?.read(item))),
  },
  instant: {
    allowed: 'an instant with its time zone, such as "2026-12-31T18:00:00Z", or empty',
    // Date.parse alone takes what differs from one machine's time zone to another's.
    read: (value) =>
      typeof value === 'string' && (value === '' || (INSTANT.test(value) && !Number.isNaN(Date.parse(value))))
        ? value
        : undefined,
  },
  text: { allowed: 'a text', read: (value) => (typeof value === 'string' ? value : undefined) },
  list: {
    allowed: 'a list of texts, or one text with commas between them',
    read: (value) => {
      if (Array.isArray(value)) return value.every((item) => typeof item === 'string') ? value : undefined;
      if (typeof value !== 'string') return undefined;
      return value
        .split(',')
        .map((item) => item.trim())
        .filter(Boolean);
    },
  },
};

/** The names of all formats but the lists of words. */
export const FORMAT_NAMES = Object.keys(FORMATS);

/** The format of a setting; a list of words allows just those. */
export function formatOf(leaf: Leaf): Format {
  const { format } = leaf;
  if (typeof format === 'string') {
    const known = FORMATS[format];
    if (known) return known;
    throw new TypeError(`Unknown format ${format}`);
  }
  const words = format as readonly string[];
  return {
    allowed: `one of ${words.map((word) => `"${word}"`).join(', ')}`,
    read: (value) => (words.includes(value as string) ? value : undefined),
  };
}
