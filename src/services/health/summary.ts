import type { BackendKind, ServiceName, ServiceReport } from '../../core/mode.ts';
import type { Machine } from '../../runtime/types.ts';
import { isDisabled } from './machines.ts';
import type { HealthReport } from './types.ts';

interface Facts {
  readonly status: HealthReport['status'];
  readonly machines: readonly Machine[];
  readonly services: Readonly<Record<ServiceName, ServiceReport>>;
  readonly draining: boolean;
  readonly nowMs: number;
}

const NAMES: Readonly<Record<string, string>> = { redis: 'Redis', postgres: 'PostgreSQL' };

/** What a state is called in a sentence; a user's own state is called by its name. */
const STATES: Readonly<Record<string, string>> = {
  connecting: 'connecting',
  recovering: 'recovering',
  degraded: 'out of use',
  unreachable: 'unreachable',
  slow: 'too slow to use',
  readOnly: 'refusing writes',
  refused: 'refusing our credentials or TLS',
  isolated: 'held out of use by an operator',
};

const BACKEND_WORDS: Readonly<Record<BackendKind | 'none', string>> = {
  redis: 'on Redis',
  postgres: 'on PostgreSQL',
  memory: 'on memory',
  local: 'on this instance alone',
  reject: 'refused with a typed error',
  none: 'without any backend',
};

/** The report in one sentence: what is wrong, for how long, and what serves instead. */
export function summarise({ status, machines, services, draining, nowMs }: Facts): string {
  if (status === 'pass') {
    const used = machines.filter((machine) => !isDisabled(machine)).map(({ id }) => nameOf(id));
    const unused = machines.filter((machine) => isDisabled(machine)).map(({ id }) => `no ${nameOf(id)}`);
    const facts = [
      ...(used.length > 0 ? [`${list(used)} ${used.length === 1 ? 'is' : 'are'} in use`] : []),
      ...(unused.length > 0 ? [`${list(unused)} is configured`] : []),
      'every service is on its preferred backend',
    ];
    return `${capitalise(facts.join('; '))}.`;
  }
  const troubles = [
    ...(draining ? ['this instance is stopping'] : []),
    ...machines.filter(({ status: machine }) => machine !== 'up').map((machine) => troubleOf(machine, nowMs)),
  ];
  const where = Object.entries(services).map(([name, { backend }]) => `${name} ${BACKEND_WORDS[backend]}`);
  const what = list(troubles.length > 0 ? troubles : ['not every service is on its preferred backend']);
  return `${capitalise(what)}: ${where.join(', ')}.`;
}

/** A length as people say it: `12s`, `5m`, `3h`, `2d`. */
export function roughLength(ms: number): string {
  // A wall clock that was set back must not print a negative length.
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 2 * 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

function troubleOf(machine: Machine, nowMs: number): string {
  const name = nameOf(machine.id);
  if (isDisabled(machine)) return `no ${name} is configured`;
  const leaf = machine.state.split('.').at(-1) ?? machine.state;
  const flapping = machine.flapping ? ' (flapping)' : '';
  return `${name} has been ${STATES[leaf] ?? `in state ${machine.state}`}${flapping} for ${roughLength(nowMs - machine.since)}`;
}

function capitalise(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function nameOf(id: string): string {
  return NAMES[id] ?? id;
}

function list(items: readonly string[]): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}
