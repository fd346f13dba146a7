import type { Reason, ServiceName, ServiceReport } from '../../core/mode.ts';
import type { Machine, MachineStatus, Transition } from '../../runtime/types.ts';
import type { HealthReport } from '../../services/health/types.ts';

/** A machine as the page shows it; times in wall-clock milliseconds. */
export interface MachineView {
  readonly id: string;
  readonly state: string;
  readonly status: MachineStatus;
  readonly since: number;
  readonly reason: Reason;
  readonly nextProbeAt: number | null;
  readonly flapping: boolean;
}

type ServiceView = Pick<ServiceReport, 'backend' | 'preferred' | 'scope' | 'notice'>;

/** `event: health`: everything that changes without a transition. */
export interface HealthEvent {
  /** The server's clock, so that the page can say how long ago something was. */
  readonly now: number;
  readonly status: HealthReport['status'];
  readonly summary: string;
  readonly machines: readonly MachineView[];
  readonly services: Readonly<Record<ServiceName, ServiceView>>;
}

/** A transition under the id that a stream is resumed after. */
export interface Numbered extends Transition {
  readonly id: string;
}

/** `event: snapshot`: the first of every stream. */
export interface SnapshotEvent extends HealthEvent {
  /** Changes with the definitions: a page made from other ones loads itself again. */
  readonly page: string;
  /** The stream goes on where it broke off: what was missed follows as `transition` events. */
  readonly resumed: boolean;
  /** The last ones, oldest first; none in a resumed stream. */
  readonly transitions: readonly Numbered[];
}

/** `event: transition`, with the machine as it is when the event is sent. */
export interface TransitionEvent {
  readonly transition: Numbered;
  readonly machine: MachineView;
}

/** Picks what the page shows of a machine. */
export function viewMachine(machine: Machine): MachineView {
  const { id, state, status, since, reason, nextProbeAt, flapping } = machine;
  return { id, state, status, since, reason, nextProbeAt, flapping };
}

/** Picks what the page shows of the health report; counters are left to `/metrics`. */
export function viewServices(report: HealthReport): HealthEvent['services'] {
  const views = Object.entries(report.services).map(([name, { backend, preferred, scope, notice }]) => [
    name,
    { backend, preferred, scope, ...(notice === undefined ? {} : { notice }) },
  ]);
  return Object.fromEntries(views) as HealthEvent['services'];
}
