import { type Mode, SERVICES, type ServiceName } from '../../core/mode.ts';
import type { Felt } from './callers.ts';
import type { Fault, FeltCalls, SimulatedTransition, Span } from './result.ts';
import type { Script } from './script.ts';
import type { Weather, WeatherName } from './weather.ts';

const MINUTE_MS = 60_000;

/** Keeps the books of a simulation: what users felt, and where services worked. */
export class Ledger {
  readonly #spans = new Map<ServiceName, { backend: string; fromMs: number }[]>(SERVICES.map((name) => [name, []]));
  #total = 0;
  #deadline = 0;
  #fellBack = 0;
  #longestMs = 0;

  felt({ waitedMs, deadline, fellBack }: Felt): void {
    this.#total += 1;
    if (deadline) this.#deadline += 1;
    if (fellBack) this.#fellBack += 1;
    if (waitedMs > this.#longestMs) this.#longestMs = waitedMs;
  }

  mode({ service, backend }: Mode, atMs: number): void {
    const spans = this.#spans.get(service);
    if (spans?.at(-1)?.backend !== backend) spans?.push({ backend, fromMs: atMs });
  }

  calls(): FeltCalls {
    return {
      total: this.#total,
      deadline: this.#deadline,
      deadlineShare: this.#total === 0 ? 0 : this.#deadline / this.#total,
      fellBack: this.#fellBack,
      longestMs: round(this.#longestMs),
    };
  }

  services(durationMs: number): Record<ServiceName, readonly Span[]> {
    const entries = [...this.#spans].map(([service, spans]) => [
      service,
      spans.map(({ backend, fromMs }, i) => ({
        backend,
        fromMs: round(fromMs),
        untilMs: round(spans[i + 1]?.fromMs ?? durationMs),
      })),
    ]);
    return Object.fromEntries(entries) as Record<ServiceName, readonly Span[]>;
  }
}

/** Milliseconds that a service spent on these backends. */
export function timeOn(spans: readonly Span[], backends: readonly string[]): number {
  const on = spans.filter(({ backend }) => backends.includes(backend));
  return round(on.reduce((sum, { fromMs, untilMs }) => sum + untilMs - fromMs, 0));
}

/** The most transitions of one machine in any minute. */
export function mostPerMinute(transitions: readonly SimulatedTransition[]): number {
  let most = 0;
  for (const times of Map.groupBy(transitions, ({ machine }) => machine).values()) {
    let first = 0;
    times.forEach(({ atMs }, i) => {
      while (atMs - (times[first] as SimulatedTransition).atMs >= MINUTE_MS) first += 1;
      most = Math.max(most, i - first + 1);
    });
  }
  return most;
}

/** The faults of a script, each with when it was noticed and when it was over for the users. */
export function faultsOf(
  script: Script,
  transitions: readonly SimulatedTransition[],
  usable: (machine: string, state: string) => boolean,
): readonly Fault[] {
  return Object.entries(script.weather).flatMap(([machine, weather]) =>
    stretches(weather, script.durationMs).map(({ is, fromMs, untilMs }): Fault => {
      const own = transitions.filter((transition) => transition.machine === machine);
      const trip = own.find(
        ({ atMs, from, to }) =>
          atMs >= fromMs && usable(machine, from) && !usable(machine, to) && atMs < nextFrom(weather, untilMs),
      );
      const back =
        untilMs === null || !trip ? undefined : returnAfter(own, Math.max(untilMs, trip.atMs), machine, usable);
      const tripMs = trip ? round(trip.atMs - fromMs) : null;
      return {
        machine,
        is,
        fromMs,
        untilMs,
        tripMs,
        returnMs: back === undefined ? null : round(back - (untilMs ?? 0)),
      };
    }),
  );
}

function returnAfter(
  own: readonly SimulatedTransition[],
  atMs: number,
  machine: string,
  usable: (machine: string, state: string) => boolean,
): number | undefined {
  return own.find((each) => each.atMs >= atMs && usable(machine, each.to))?.atMs;
}

/** When the fault after this one begins: a trip from then on is not this one's. */
function nextFrom(weather: readonly Weather[], untilMs: number | null): number {
  if (untilMs === null) return Number.POSITIVE_INFINITY;
  return weather.find(({ atMs, is }) => is !== 'up' && atMs > untilMs)?.atMs ?? Number.POSITIVE_INFINITY;
}

interface Stretch {
  readonly is: WeatherName[];
  readonly fromMs: number;
  untilMs: number | null;
}

function stretches(weather: readonly Weather[], durationMs: number): readonly Stretch[] {
  const found: Stretch[] = [];
  let open: Stretch | undefined;
  weather.forEach(({ is, atMs, untilMs }, i) => {
    if (atMs >= durationMs) return;
    if (is === 'up') {
      if (open) open.untilMs = atMs;
      open = undefined;
      return;
    }
    if (open) open.is.push(is);
    else found.push((open = { is: [is], fromMs: atMs, untilMs: null }));
    if (untilMs !== undefined && untilMs < (weather[i + 1]?.atMs ?? Infinity) && untilMs < durationMs) {
      open.untilMs = untilMs;
      open = undefined;
    }
  });
  return found;
}

/** Tenths of a millisecond are noise in a report. */
export function round(ms: number): number {
  return Math.round(ms);
}
