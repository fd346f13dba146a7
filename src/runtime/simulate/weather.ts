import type { OutcomeKind } from '../../core/outcome.ts';

/** What an operation does; a probe reads and writes. */
export type Purpose = 'probe' | 'read' | 'write';

/** `silent`: no answer at all, until the weather changes. */
type Effect = Exclude<OutcomeKind, 'timeout' | 'application'> | 'silent';

interface WeatherEntry {
  readonly doc: string;
  /** What one operation meets. */
  readonly on: Readonly<Record<Purpose, Effect>>;
  /** Open connections break when it begins. */
  readonly breaks: boolean;
  /** Keys of a script's entry beside `at`, `is` and `until`. */
  readonly takes: readonly ('latency' | 'share' | 'code' | 'up' | 'down')[];
  /** The default error code; PostgreSQL has its own. */
  readonly code?: { readonly redis: string; readonly postgres: string };
  /** Milliseconds for one answer, where the script says nothing. */
  readonly latencyMs?: number;
}

const all = (effect: Effect) => ({ probe: effect, read: effect, write: effect });
const timedOut = { redis: 'TIMEOUT', postgres: 'TIMEOUT' };

/**
 * Every weather that a script may name: the one place that says what it does to a probe and to a call.
 * Codes are those of the drivers and servers, sorted by the product's own classifiers.
 */
export const WEATHERS = {
  up: { doc: 'Answers, after `latency`.', on: all('ok'), breaks: false, takes: ['latency'] },
  slow: {
    doc: 'Answers after `latency`; with `share` below 1 only that share of the answers is slow.',
    on: all('ok'),
    breaks: false,
    takes: ['latency', 'share'],
    latencyMs: 400,
  },
  gray: {
    doc: 'Probes pass, but a `share` of the calls is never answered.',
    on: { probe: 'ok', read: 'silent', write: 'silent' },
    breaks: false,
    takes: ['latency', 'share'],
    code: timedOut,
  },
  frozen: {
    doc: 'Connections stay open and nothing is answered: SIGSTOP, a silent partition.',
    on: all('silent'),
    breaks: false,
    takes: [],
    code: timedOut,
  },
  down: {
    doc: 'Connections break, and new ones fail with `code` (ECONNREFUSED): killed, restarted, cut.',
    on: all('lost'),
    breaks: true,
    takes: ['code'],
    code: { redis: 'ECONNREFUSED', postgres: 'ECONNREFUSED' },
  },
  loading: {
    doc: 'Every answer says that it cannot serve, with `code` (LOADING).',
    on: all('lost'),
    breaks: false,
    takes: ['latency', 'code'],
    code: { redis: 'LOADING', postgres: '57P03' },
  },
  readOnly: {
    doc: 'Reads are answered, writes refused with `code` (OOM).',
    on: { probe: 'writeRefused', read: 'ok', write: 'writeRefused' },
    breaks: false,
    takes: ['latency', 'code'],
    code: { redis: 'OOM', postgres: '25006' },
  },
  refused: {
    doc: 'Connections break, and new ones are refused with `code` (WRONGPASS): password, rights, room.',
    on: all('refused'),
    breaks: true,
    takes: ['latency', 'code'],
    code: { redis: 'WRONGPASS', postgres: '28P01' },
  },
  flapping: {
    doc: 'Up for `up`, then down for `down`, over and over.',
    on: all('ok'),
    breaks: false,
    takes: ['latency', 'code', 'up', 'down'],
    code: { redis: 'ECONNREFUSED', postgres: 'ECONNREFUSED' },
  },
} as const satisfies Record<string, WeatherEntry>;

export type WeatherName = keyof typeof WEATHERS;

/** One entry of a script's weather, checked and in milliseconds. */
export interface Weather {
  readonly atMs: number;
  readonly is: WeatherName;
  /** Back to `up` then; `undefined`: until the next entry. */
  readonly untilMs?: number;
  readonly latencyMs?: number;
  /** 0 to 1. */
  readonly share?: number;
  readonly code?: string;
  readonly upMs?: number;
  readonly downMs?: number;
}

/** A stretch of one weather; flapping is laid out into its parts. */
export interface Segment {
  readonly fromMs: number;
  /** `Infinity` for the last one. */
  readonly untilMs: number;
  readonly is: Exclude<WeatherName, 'flapping'>;
  readonly latencyMs: number;
  readonly share: number;
  readonly code: string;
  readonly breaks: boolean;
  /** Of a `slow` one, whether it is the common answer of a healthy backend in between. */
  readonly fairLatencyMs: number;
}

const FAIR_LATENCY_MS = 1;

/** Lays a script's weather out from 0 without a gap. Flapping goes on to `durationMs` at most. */
export function layOut(weather: readonly Weather[], postgres: boolean, durationMs: number): readonly Segment[] {
  const fair = weather.find(({ is }) => is === 'up')?.latencyMs ?? FAIR_LATENCY_MS;
  const starts: Weather[] = [{ atMs: 0, is: 'up', latencyMs: fair }];
  weather.forEach((entry, i) => {
    const endMs = Math.min(entry.untilMs ?? Infinity, weather[i + 1]?.atMs ?? Infinity);
    if (entry.is === 'flapping') starts.push(...flaps(entry, Math.min(endMs, durationMs)));
    else starts.push(entry);
    const nextAt = weather[i + 1]?.atMs ?? Infinity;
    if (entry.untilMs !== undefined && entry.untilMs < nextAt) starts.push({ atMs: entry.untilMs, is: 'up' });
  });
  return starts.flatMap((entry, i): Segment[] => {
    const untilMs = starts[i + 1]?.atMs ?? Infinity;
    if (untilMs <= entry.atMs) return [];
    const is = entry.is as Segment['is'];
    const known: WeatherEntry = WEATHERS[is];
    return [
      {
        fromMs: entry.atMs,
        untilMs,
        is,
        latencyMs: entry.latencyMs ?? known.latencyMs ?? fair,
        share: entry.share ?? 1,
        code: entry.code ?? known.code?.[postgres ? 'postgres' : 'redis'] ?? '',
        breaks: known.breaks,
        fairLatencyMs: fair,
      },
    ];
  });
}

function flaps({ atMs, upMs = 0, downMs = 0, latencyMs, code }: Weather, endMs: number): Weather[] {
  const parts: Weather[] = [];
  const up: Pick<Weather, 'latencyMs'> = latencyMs === undefined ? {} : { latencyMs };
  const down: Pick<Weather, 'code'> = code === undefined ? {} : { code };
  for (let at = atMs; at < endMs; at += upMs + downMs) {
    // Down first: it begins with what is felt.
    parts.push({ atMs: at, is: 'down', ...down });
    if (at + downMs < endMs) parts.push({ atMs: at + downMs, is: 'up', ...up });
  }
  return parts;
}

/** Where an operation stands on a laid-out weather: moves forward only, so that a long script costs nothing. */
export class Forecast {
  readonly segments: readonly Segment[];
  #index = 0;

  constructor(segments: readonly Segment[]) {
    this.segments = segments;
  }

  /** The index of the stretch at `atMs`, which never lies before that of the last call. */
  indexAt(atMs: number): number {
    while ((this.segments[this.#index]?.untilMs ?? Infinity) <= atMs) this.#index += 1;
    return this.#index;
  }

  at(atMs: number): Segment {
    return this.segments[this.indexAt(atMs)] as Segment;
  }

  /** Whether connections that were open at `fromMs` have broken by `toMs`. */
  brokeBetween(fromMs: number, toMs: number): boolean {
    for (let i = this.indexAt(toMs); i >= 0; i -= 1) {
      const segment = this.segments[i] as Segment;
      if (segment.fromMs <= fromMs) return false;
      if (segment.breaks) return true;
    }
    return false;
  }
}

/** One operation on a backend. */
export interface Operation {
  readonly atMs: number;
  readonly purpose: Purpose;
  readonly deadlineMs: number;
  /** Answers that it waits for, one after another: two where it has to connect first. */
  readonly rounds: number;
}

/** What becomes of it. */
export interface Answer {
  readonly endsAtMs: number;
  readonly kind: OutcomeKind;
  readonly code: string;
  /** Of the last round alone. */
  readonly latencyMs: number;
}

/**
 * What an operation meets. Pure but for `random`: since the weather is known in advance, so is the end.
 *
 * An operation that waits when the weather changes gets its answer from the new one, or loses its
 * connection where that breaks them.
 */
export function meet(forecast: Forecast, operation: Operation, random: () => number): Answer {
  const { atMs, purpose, deadlineMs, rounds } = operation;
  const dueMs = atMs + deadlineMs;
  let at = atMs;
  for (let i = forecast.indexAt(atMs); ; i += 1) {
    const segment = forecast.segments[i] as Segment;
    if (i > 0 && at > atMs && segment.breaks) {
      return { endsAtMs: at, kind: 'lost', code: 'CONNECTION_CLOSED', latencyMs: at - atMs };
    }
    const hit = segment.share >= 1 || random() < segment.share;
    const effect = segment.is === 'gray' && !hit ? 'ok' : WEATHERS[segment.is].on[purpose];
    const latencyMs = segment.is === 'slow' && !hit ? segment.fairLatencyMs : segment.latencyMs;
    const endsAtMs = at + latencyMs * (effect === 'ok' ? rounds : 1);
    if (effect !== 'silent' && endsAtMs <= segment.untilMs) {
      if (endsAtMs > dueMs) return timeout(dueMs, deadlineMs);
      return { endsAtMs, kind: effect, code: effect === 'ok' ? '' : segment.code, latencyMs };
    }
    if (segment.untilMs >= dueMs) return timeout(dueMs, deadlineMs);
    at = segment.untilMs;
  }
}

function timeout(endsAtMs: number, latencyMs: number): Answer {
  return { endsAtMs, kind: 'timeout', code: 'TIMEOUT', latencyMs };
}
