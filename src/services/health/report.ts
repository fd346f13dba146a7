import type { ServiceName, ServiceReport } from '../../core/mode.ts';
import type { Revision } from '../../runtime/revision.ts';
import type { Machine } from '../../runtime/types.ts';
import { isDisabled } from './machines.ts';
import type { HealthOptions } from './options.ts';
import { summarise } from './summary.ts';
import type { HealthReport, MachineReport } from './types.ts';

/** How many transitions of each machine the report shows. */
const SHOWN_TRANSITIONS = 20;

/**
 * An explicit projection: only what is named here leaves the process, so that no host, password or
 * driver text can slip in with an object that was passed on whole.
 */
export function buildReport(options: HealthOptions): HealthReport {
  const { machines, version, instance, clock, startedAt = 0 } = options;
  const services = Object.fromEntries(options.services.map((service) => [service.name, service.report()])) as Record<
    ServiceName,
    ServiceReport
  >;
  const draining = options.draining();
  const status = statusOf(machines.all, Object.values(services), draining);
  return {
    status,
    summary: summarise({ status, machines: machines.all, services, draining, nowMs: clock.wallNow() }),
    version,
    uptime: Math.round((clock.now() - startedAt) / 100) / 10,
    instance,
    revision: revisionReport(options.revision()),
    machines: Object.fromEntries(machines.all.map((machine) => [machine.id, machineReport(machine)])),
    services,
    fleet: (options.peers?.() ?? []).map((peer) => ({ instance: peer.instance, blind: peer.blind })),
  };
}

/**
 * - `fail`: this instance should get no more requests: it is stopping, or a service has no backend at all.
 *   `reject` is a backend: a typed error at once is an answer that callers can work with.
 * - `warn`: everything is answered, but something is less than it should be.
 * - `pass`: every machine is up and every service is on its preferred backend. What was not configured is not missed.
 */
export function statusOf(
  machines: readonly Machine[],
  services: readonly ServiceReport[],
  draining: boolean,
): HealthReport['status'] {
  if (draining || services.some(({ backend }) => backend === 'none')) return 'fail';
  const well =
    machines.every((machine) => machine.status === 'up' || isDisabled(machine)) &&
    services.every(({ backend, preferred }) => backend === preferred);
  return well ? 'pass' : 'warn';
}

function revisionReport({ id, loadedAt, source, pending, refused }: Revision): HealthReport['revision'] {
  return {
    id,
    loadedAt: isoDate(loadedAt),
    source,
    pending,
    refused: refused && { at: isoDate(refused.at), source: refused.source, message: refused.message },
  };
}

function machineReport(machine: Machine): MachineReport {
  return {
    state: machine.state,
    status: machine.status,
    since: isoDate(machine.since),
    reason: { code: machine.reason.code, message: machine.reason.message },
    nextProbeAt: machine.nextProbeAt === null || isDisabled(machine) ? null : isoDate(machine.nextProbeAt),
    flapping: machine.flapping,
    transitions: machine.history.slice(-SHOWN_TRANSITIONS).map(({ from, to, event, reason, at, spentMs }) => ({
      from,
      to,
      event,
      reason: { code: reason.code, message: reason.message },
      at: isoDate(at),
      spentMs: Math.round(spentMs),
    })),
  };
}

function isoDate(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
