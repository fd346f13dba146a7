import { type ComparedMeasure, clockTime, compareResults, measuresOf } from '../runtime/simulate/compare.ts';
import type { SimulationResult } from '../runtime/simulate/result.ts';
import { columns } from './usage.ts';

/** More lines of a timeline than this are cut out of its middle. */
const SHOWN_LINES = 200;

/** A simulation as text: the timeline, where each service worked, what users felt. */
export function simulationText(result: SimulationResult): string {
  return [
    heading(result),
    `Timeline\n${timeline(result)}`,
    `Services\n${services(result)}`,
    `Felt\n${columns(
      measuresOf(result).map(({ label, text }) => [label, text]),
      '  ',
    )}`,
  ].join('\n\n');
}

/** Two simulations of one script under two policies; a line that differs is marked. */
export function comparisonText(
  first: SimulationResult,
  second: SimulationResult,
  [firstName, secondName]: readonly [string, string],
): string {
  const rows = compareResults(first, second).map(({ label, firstText, secondText, differs }: ComparedMeasure) => [
    differs ? '≠' : '',
    label,
    firstText,
    secondText,
  ]);
  return [
    heading(first),
    `Timeline of ${firstName}\n${timeline(first)}`,
    `Timeline of ${secondName}\n${timeline(second)}`,
    `Felt\n${columns([['', '', firstName, secondName], ...rows], '  ')}`,
  ].join('\n\n');
}

function heading({ title, durationMs, seed }: SimulationResult): string {
  return `${title}: ${clockTime(durationMs)} simulated, seed ${seed}`;
}

interface Line {
  readonly atMs: number;
  readonly cells: readonly string[];
}

function timeline({ transitions, weather, operator, actions }: SimulationResult): string {
  const lines: Line[] = [
    ...weather.map(({ atMs, machine, is }) => ({ atMs, cells: [machine, `~ ${is}`] })),
    ...operator.map(({ atMs, machine, event }) => ({ atMs, cells: [machine, `! ${event}`] })),
    ...transitions.map(({ atMs, machine, from, to, event, reason }) => ({
      atMs,
      cells: [machine, `${from} → ${to}`, event, reason.message],
    })),
    ...actions.map(({ atMs, machine, action }) => ({ atMs, cells: [machine, `would run ${action}`] })),
  ];
  const rows = lines.toSorted((a, b) => a.atMs - b.atMs).map(({ atMs, cells }) => [clockTime(atMs), ...cells]);
  const left = rows.length - SHOWN_LINES;
  if (left <= 0) return columns(rows, '  ');
  const half = SHOWN_LINES / 2;
  const shown = columns([...rows.slice(0, half), ...rows.slice(-half)], '  ').split('\n');
  return [...shown.slice(0, half), `  … ${left} more lines: --json has them all`, ...shown.slice(half)].join('\n');
}

function services({ services: all }: SimulationResult): string {
  return columns(
    Object.entries(all).map(([service, spans]) => {
      const shown = spans.slice(0, 8).map(({ backend, fromMs }) => `${backend} from ${clockTime(fromMs)}`);
      const left = spans.length - shown.length;
      return [service, shown.join(', ') + (left > 0 ? `, … ${left} more` : '')];
    }),
    '  ',
  );
}
