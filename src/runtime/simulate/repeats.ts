import type { RecordedTransition } from './read-record.ts';

/** One machine's path in a record and in its simulation. */
export interface Repetition {
  readonly machine: string;
  readonly equal: boolean;
  readonly recorded: readonly string[];
  readonly simulated: readonly string[];
}

type Step = Pick<RecordedTransition, 'machine' | 'from' | 'to' | 'event'>;

/**
 * Compares the transitions of a simulation with the recorded ones, machine by machine: the same states
 * in the same order, by the same events.
 *
 * One difference is allowed for: `<machine>.lost` and `probe.failed` count as the same event. Both are a
 * failed probe; which of the two it is says only whether a call or a broken connection had accused the
 * backend a moment before, and a record does not hold the calls.
 */
export function compareWithRecord(recorded: readonly Step[], simulated: readonly Step[]): readonly Repetition[] {
  const machines = new Set(recorded.map(({ machine }) => machine));
  return [...machines].map((machine) => {
    const real = pathOf(recorded, machine);
    const whole = pathOf(simulated, machine);
    // A record that begins in the middle of a run is simulated with a lead-in that it does not hold.
    const played = beginOf(whole) === beginOf(real) ? whole : whole.slice(-real.length);
    return { machine, equal: real.join('\n') === played.join('\n'), recorded: real, simulated: played };
  });
}

function beginOf(path: readonly string[]): string {
  return path[0]?.split(' ')[0] ?? '';
}

function pathOf(steps: readonly Step[], machine: string): readonly string[] {
  return steps
    .filter((step) => step.machine === machine)
    .map(({ from, to, event }) => `${from} → ${to} (${event === `${machine}.lost` ? 'probe.failed' : event})`);
}
