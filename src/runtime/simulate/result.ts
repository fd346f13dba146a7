import type { ServiceName } from '../../core/mode.ts';
import type { Transition } from '../types.ts';
import type { WeatherName } from './weather.ts';

/** What one simulation showed. All times are milliseconds since its start. */
export interface SimulationResult {
  readonly title: string;
  readonly seed: number;
  readonly durationMs: number;
  readonly transitions: readonly SimulatedTransition[];
  readonly weather: readonly WeatherChange[];
  readonly operator: readonly { readonly atMs: number; readonly machine: string; readonly event: string }[];
  /** Actions of extensions that would have run; a simulation runs none of them. */
  readonly actions: readonly { readonly atMs: number; readonly machine: string; readonly action: string }[];
  /** Where each service worked, from when to when. */
  readonly services: Readonly<Record<ServiceName, readonly Span[]>>;
  readonly faults: readonly Fault[];
  readonly calls: FeltCalls;
  /** Milliseconds for which jobs were refused. */
  readonly jobsRefusedMs: number;
  /** Milliseconds for which session reads were answered by this backend. */
  readonly sessionsOnPostgresMs: number;
  readonly sessionsOnMemoryMs: number;
  readonly cacheOnMemoryMs: number;
  /** The most transitions of one machine within a minute. */
  readonly mostTransitionsPerMinute: number;
  /** Machines that were called flapping at some time. */
  readonly flapping: readonly string[];
  /** The last state of each machine. */
  readonly states: Readonly<Record<string, string>>;
}

export interface SimulatedTransition extends Omit<Transition, 'at'> {
  readonly atMs: number;
}

export interface WeatherChange {
  readonly atMs: number;
  readonly machine: string;
  readonly is: WeatherName;
}

export interface Span {
  readonly backend: string;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** A stretch of the script in which a dependency was not well. */
export interface Fault {
  readonly machine: string;
  readonly is: readonly WeatherName[];
  readonly fromMs: number;
  /** `null`: to the end. */
  readonly untilMs: number | null;
  /** From its begin until the dependency was out of use; `null`: it never was. */
  readonly tripMs: number | null;
  /** From its end until the dependency was used again; `null`: never taken out of use, or never used again. */
  readonly returnMs: number | null;
}

export interface FeltCalls {
  readonly total: number;
  /** Waited for a whole deadline before the next backend was asked. */
  readonly deadline: number;
  readonly deadlineShare: number;
  /** Failed by a backend and answered by the next one. */
  readonly fellBack: number;
  readonly longestMs: number;
}
