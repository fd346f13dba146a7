import { formatDuration } from '../../core/format.ts';
import type { SimulationResult } from './result.ts';

/** One line of a summary: what was measured, as a number for programs and as a text for people. */
export interface Measure {
  readonly name: string;
  readonly label: string;
  /** Milliseconds, a count or a share; `null`: it did not happen. */
  readonly value: number | string | null;
  readonly text: string;
}

/** One measure under two policies. */
export interface ComparedMeasure {
  readonly name: string;
  readonly label: string;
  readonly first: Measure['value'];
  readonly second: Measure['value'];
  readonly firstText: string;
  readonly secondText: string;
  readonly differs: boolean;
}

const NEVER = 'never';

/** What users felt and how the machines behaved, in the order in which a report tells it. */
export function measuresOf(result: SimulationResult): readonly Measure[] {
  const { calls, faults, transitions } = result;
  return [
    countOf('calls', 'calls', calls.total),
    {
      name: 'callsAtDeadline',
      label: 'calls that waited for a deadline',
      value: calls.deadline,
      text: `${calls.deadline} (${percent(calls.deadlineShare)})`,
    },
    countOf('callsFellBack', 'calls answered by the next backend', calls.fellBack),
    lengthOf('longestCallMs', 'longest call', calls.longestMs),
    lengthOf('jobsRefusedMs', 'jobs refused for', result.jobsRefusedMs),
    lengthOf('cacheOnMemoryMs', 'cache on memory for', result.cacheOnMemoryMs),
    lengthOf('sessionsOnPostgresMs', 'sessions on PostgreSQL for', result.sessionsOnPostgresMs),
    lengthOf('sessionsOnMemoryMs', 'sessions on memory for', result.sessionsOnMemoryMs),
    ...faults.flatMap(({ machine, is, fromMs, untilMs, tripMs, returnMs }, i) => {
      const label = `${machine} ${[...new Set(is)].join(', ')} at ${clockTime(fromMs)}`;
      return [
        lengthOf(`faults.${i}.tripMs`, `${label}: out of use after`, tripMs),
        ...(untilMs === null || tripMs === null
          ? []
          : [lengthOf(`faults.${i}.returnMs`, `${label}: used again after its end`, returnMs)]),
      ];
    }),
    countOf('transitions', 'transitions', transitions.length),
    countOf('mostTransitionsPerMinute', 'most transitions of a machine in a minute', result.mostTransitionsPerMinute),
    {
      name: 'flapping',
      label: 'called flapping',
      value: result.flapping.join(', '),
      text: result.flapping.join(', ') || 'none',
    },
    ...Object.entries(result.states).map(([machine, state]) => ({
      name: `states.${machine}`,
      label: `${machine} at the end`,
      value: state,
      text: state,
    })),
  ];
}

function lengthOf(name: string, label: string, value: number | null): Measure {
  return { name, label, value, text: value === null ? NEVER : exact(value) };
}

function countOf(name: string, label: string, value: number): Measure {
  return { name, label, value, text: `${value}` };
}

/** Two simulations of one script, measure by measure. */
export function compareResults(first: SimulationResult, second: SimulationResult): readonly ComparedMeasure[] {
  const others = new Map(measuresOf(second).map((measure) => [measure.name, measure]));
  const own = measuresOf(first);
  const missing: Measure = { name: '', label: '', value: null, text: '' };
  const rows = own.map((measure) => [measure, others.get(measure.name) ?? missing] as const);
  const known = new Set(own.map(({ name }) => name));
  const further = [...others.values()].filter(({ name }) => !known.has(name)).map((each) => [missing, each] as const);
  return [...rows, ...further].map(([a, b]) => ({
    name: a.name || b.name,
    label: a.label || b.label,
    first: a.value,
    second: b.value,
    firstText: a.text,
    secondText: b.text,
    differs: a.value !== b.value,
  }));
}

/** `0:30.621`, `1:02:03.000`: the time since the start. */
export function clockTime(ms: number): string {
  const whole = Math.round(ms);
  const [hours, minutes, seconds] = [
    Math.floor(whole / 3_600_000),
    Math.floor(whole / 60_000) % 60,
    (whole % 60_000) / 1000,
  ];
  const rest = `${seconds.toFixed(3).padStart(6, '0')}`;
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}

/** A length: to the millisecond below a second, to the tenth of a second below a minute, else in minutes and seconds. */
function exact(ms: number): string {
  if (ms < 60_000) return formatDuration(ms);
  const minutes = Math.floor(ms / 60_000);
  return `${minutes}m ${((ms % 60_000) / 1000).toFixed(1)}s`;
}

function percent(share: number): string {
  return share === 0 ? '0 %' : `${(share * 100).toFixed(share < 0.01 ? 2 : 1)} %`;
}
