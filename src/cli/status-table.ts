import type { HealthReport, MachineReport } from '../services/health/types.ts';
import { roughLength } from '../services/health/summary.ts';
import { columns } from './usage.ts';

const SHOWN_TRANSITIONS = 10;

/**
 * A health report as text.
 *
 * @param report - without details where the server shows none
 */
export function statusTable(report: Partial<HealthReport>, nowMs: number): string {
  const { status, summary, machines, services } = report;
  if (!machines || !services) return `${status}  (this server shows details only with its API token)`;
  const parts = [
    `${status}  ${summary}`,
    `Machines\n${columns(
      Object.entries(machines).map(([id, machine]) => machineRow(id, machine, nowMs)),
      '  ',
    )}`,
    `Services\n${columns(Object.entries(services).map(serviceRow), '  ')}`,
    `Last transitions\n${transitionTable(machines)}`,
    `redoubt ${report.version}, instance ${report.instance}, up for ${roughLength((report.uptime ?? 0) * 1000)}`,
  ];
  return parts.join('\n\n');
}

function machineRow(id: string, machine: MachineReport, nowMs: number): string[] {
  const probe = machine.nextProbeAt === null ? -1 : Date.parse(machine.nextProbeAt) - nowMs;
  return [
    id,
    machine.state,
    machine.status + (machine.flapping ? ', flapping' : ''),
    `for ${roughLength(nowMs - Date.parse(machine.since))}`,
    machine.reason.message +
      (machine.status !== 'up' && probe > 0 ? ` (next probe in ${(probe / 1000).toFixed(1)}s)` : ''),
  ];
}

function serviceRow([name, { backend, preferred, scope, notice }]: [
  string,
  HealthReport['services']['cache'],
]): string[] {
  return [name, backend, backend === preferred ? '' : `prefers ${preferred}`, scope, notice ?? ''];
}

function transitionTable(machines: HealthReport['machines']): string {
  const rows = Object.entries(machines)
    .flatMap(([machine, { transitions }]) => transitions.map((transition) => ({ ...transition, machine })))
    .toSorted((a, b) => a.at.localeCompare(b.at))
    .slice(-SHOWN_TRANSITIONS)
    .map(({ at, machine, from, to, event }) => [at, machine, `${from} → ${to}`, event]);
  return rows.length > 0 ? columns(rows, '  ') : '  none yet';
}
