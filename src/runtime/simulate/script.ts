import JSON5 from 'json5';

import { RedoubtError } from '../../core/errors.ts';
import { OPERATOR_EVENTS } from '../events.ts';
import { classify, errorOf } from './errors.ts';
import { Reader } from './reader.ts';
import { WEATHERS, type Weather, type WeatherName } from './weather.ts';

/** A scripted outage, checked and in milliseconds. */
export interface Script {
  readonly title: string;
  readonly description: string;
  readonly seed: number;
  readonly durationMs: number;
  readonly calls: CallsScript;
  /** By machine. */
  readonly weather: Readonly<Record<string, readonly Weather[]>>;
  /** Machines whose dependency is not configured. */
  readonly disabled: readonly string[];
  readonly operator: readonly OperatorEntry[];
  readonly reconcile: readonly ReconcileEntry[];
}

export interface CallsScript {
  readonly ratePerSecond: number;
  /** Share of the calls that are session calls, the rest the cache's: 0 to 1. */
  readonly sessions: number;
  /** Share of the calls that write. */
  readonly writes: number;
  /** Other rates from a time on. */
  readonly changes: readonly { readonly atMs: number; readonly ratePerSecond: number }[];
}

export interface OperatorEntry {
  readonly atMs: number;
  readonly machine: string;
  readonly event: string;
}

/** How reconciling goes: from a time on, or one attempt of it. */
export interface ReconcileEntry {
  readonly atMs: number;
  /** From 1; it wins over entries that only say from when on. */
  readonly attempt?: number;
  readonly machine: string;
  readonly takesMs: number;
  /** It fails with this code when its time is over. */
  readonly code?: string;
}

/** What a script may name. */
export interface ScriptNames {
  readonly machines: readonly string[];
  /** Beside the operator's own events. */
  readonly events: readonly string[];
}

const KEYS = ['title', 'description', 'seed', 'duration', 'calls', 'redis', 'postgres', 'machines'];
const LATER_KEYS = ['operator', 'reconcile'];
const DAY_MS = 86_400_000;
const ANY_TIME = [0, DAY_MS] as const;
const MAX_ENTRIES = 10_000;
/** Shorter parts of flapping than this say nothing that longer ones do not, and cost time. */
const MIN_FLAP_MS = 10;
const MAX_RATE = 10_000;
const DEFAULTS = { seed: 1, ratePerSecond: 50, sessions: 0.2, writes: 0.3, takesMs: 20 } as const;

/**
 * Reads and checks a script (JSON5).
 *
 * @param file - its name, for the messages
 * @throws {RedoubtError} `ERR_SCRIPT` naming every mistake at once: path, what was found, what is allowed; the
 * findings are its cause
 */
export function parseScript(text: string, file: string, names: ScriptNames): Script {
  const reader = new Reader(file);
  let raw: unknown;
  try {
    raw = JSON5.parse(text);
  } catch (error) {
    reader.add('', `cannot be read: ${(error as Error).message.replace(/^JSON5: /, '')}`);
    throw scriptError(reader);
  }
  const script = readScript(raw, reader, names);
  if (reader.findings.length > 0) throw scriptError(reader);
  return script;
}

function scriptError({ findings }: Reader): RedoubtError {
  const lines = findings.map(({ file, path, message }) => `${file}: ${path ? `${path}: ` : ''}${message}`);
  const details = { message: `\n  ${lines.join('\n  ')}`, findings: findings.length };
  return new RedoubtError('ERR_SCRIPT', details, { cause: findings });
}

function readScript(raw: unknown, reader: Reader, names: ScriptNames): Script {
  const fields = reader.object(raw, '', [...KEYS, ...LATER_KEYS]);
  if (fields['duration'] === undefined) reader.add('duration', 'is missing: how long the simulation runs');
  const further = names.machines.filter((id) => id !== 'redis' && id !== 'postgres');
  const machines = fields['machines'] === undefined ? {} : reader.object(fields['machines'], 'machines', further);
  const isDisabled = fields['postgres'] === 'none';
  const weather = {
    redis: readWeather(reader, fields, 'redis', ''),
    postgres: isDisabled ? [] : readWeather(reader, fields, 'postgres', ''),
    ...Object.fromEntries(further.map((id) => [id, readWeather(reader, machines, id, 'machines')])),
  };
  return {
    title: reader.text(fields, 'title', ''),
    description: reader.text(fields, 'description', '', ''),
    seed: reader.number(fields, 'seed', '', [0, 2 ** 32 - 1]) ?? DEFAULTS.seed,
    durationMs: reader.duration(fields, 'duration', '', [1, DAY_MS]) ?? 0,
    calls: readCalls(fields['calls'] ?? {}, reader),
    weather,
    disabled: isDisabled ? ['postgres'] : [],
    operator: reader.list(fields, 'operator', '', MAX_ENTRIES, (item, path) => readOperator(item, path, reader, names)),
    reconcile: reader.list(fields, 'reconcile', '', MAX_ENTRIES, (item, path) =>
      readReconcile(item, path, reader, names),
    ),
  };
}

function readCalls(value: unknown, reader: Reader): CallsScript {
  const fields = reader.object(value, 'calls', ['ratePerSecond', 'sessions', 'writes', 'changes']);
  const share = (key: 'sessions' | 'writes'): number => reader.number(fields, key, 'calls', [0, 1]) ?? DEFAULTS[key];
  return {
    ratePerSecond: reader.number(fields, 'ratePerSecond', 'calls', [0, MAX_RATE]) ?? DEFAULTS.ratePerSecond,
    sessions: share('sessions'),
    writes: share('writes'),
    changes: reader.list(fields, 'changes', 'calls', MAX_ENTRIES, (item, path) => {
      const change = reader.object(item, path, ['at', 'ratePerSecond']);
      return {
        atMs: readAt(change, path, reader),
        ratePerSecond: reader.number(change, 'ratePerSecond', path, [0, MAX_RATE]) ?? DEFAULTS.ratePerSecond,
      };
    }),
  };
}

function readWeather(
  reader: Reader,
  fields: Readonly<Record<string, unknown>>,
  id: string,
  parent: string,
): readonly Weather[] {
  const entries = reader.list(fields, id, parent, MAX_ENTRIES, (item, path) => readEntry(item, path, id, reader));
  entries.forEach(({ atMs, untilMs }, i) => {
    const path = `${parent === '' ? '' : `${parent}.`}${id}[${i}]`;
    const next = entries[i + 1];
    if (next && next.atMs <= atMs) reader.add(`${path}.at`, 'must lie before the next entry');
    if (untilMs !== undefined && untilMs <= atMs) reader.add(`${path}.until`, 'must lie after "at"');
    if (untilMs !== undefined && next && untilMs > next.atMs) {
      reader.add(`${path}.until`, 'must not lie after the next entry');
    }
  });
  return entries;
}

function readEntry(item: unknown, path: string, id: string, reader: Reader): Weather {
  const is = reader.word((item ?? {}) as Record<string, unknown>, 'is', path, Object.keys(WEATHERS) as WeatherName[]);
  // After an unknown weather no parameter can be judged.
  const takes: readonly string[] = is ? WEATHERS[is].takes : ['latency', 'share', 'code', 'up', 'down'];
  const fields = reader.object(item, path, ['at', 'is', 'until', ...takes]);
  const given = {
    untilMs: reader.duration(fields, 'until', path, ANY_TIME),
    latencyMs: reader.duration(fields, 'latency', path, [0, 60_000]),
    share: reader.number(fields, 'share', path, [0, 1]),
    upMs: reader.duration(fields, 'up', path, [MIN_FLAP_MS, DAY_MS]),
    downMs: reader.duration(fields, 'down', path, [MIN_FLAP_MS, DAY_MS]),
    code: fields['code'] === undefined ? undefined : reader.text(fields, 'code', path),
  };
  if (is === 'flapping') {
    for (const key of ['up', 'down']) {
      if (fields[key] === undefined) reader.add(`${path}.${key}`, 'is missing: how long each part lasts');
    }
  }
  if (is && given.code) checkCode(given.code, is, `${path}.code`, id, reader);
  const present = Object.entries(given).filter(([, value]) => value !== undefined);
  return { atMs: readAt(fields, path, reader), is: is ?? 'up', ...Object.fromEntries(present) };
}

/** A code must mean to the real classifier what the weather says. */
function checkCode(code: string, is: WeatherName, path: string, id: string, reader: Reader): void {
  const postgres = id === 'postgres';
  const wanted = is === 'flapping' ? 'lost' : WEATHERS[is].on.probe;
  const { kind } = classify(errorOf(code, postgres), postgres);
  if (kind !== wanted) reader.add(path, `${JSON.stringify(code)} counts as ${kind}, and "${is}" is ${wanted}`);
}

function readOperator(item: unknown, path: string, reader: Reader, names: ScriptNames): OperatorEntry {
  const fields = reader.object(item, path, ['at', 'machine', 'event']);
  return {
    atMs: readAt(fields, path, reader),
    machine: reader.word(fields, 'machine', path, names.machines) ?? '',
    event: reader.word(fields, 'event', path, [...OPERATOR_EVENTS, ...names.events]) ?? '',
  };
}

function readReconcile(item: unknown, path: string, reader: Reader, names: ScriptNames): ReconcileEntry {
  const fields = reader.object(item, path, ['at', 'attempt', 'machine', 'takes', 'code']);
  const attempt = reader.number(fields, 'attempt', path, [1, MAX_ENTRIES]);
  return {
    atMs: attempt === undefined ? readAt(fields, path, reader) : 0,
    ...(attempt === undefined ? {} : { attempt }),
    machine: reader.word(fields, 'machine', path, names.machines) ?? '',
    takesMs: reader.duration(fields, 'takes', path, ANY_TIME) ?? DEFAULTS.takesMs,
    ...(fields['code'] === undefined ? {} : { code: reader.text(fields, 'code', path) }),
  };
}

function readAt(fields: Readonly<Record<string, unknown>>, path: string, reader: Reader): number {
  if (fields['at'] === undefined) reader.add(`${path}.at`, 'is missing: when it begins, such as "30s"');
  return reader.duration(fields, 'at', path, ANY_TIME) ?? 0;
}
