import {
  type BackendKind,
  type BackendTable,
  type Mode,
  type Reason,
  SERVICES,
  type ServiceName,
} from '../core/mode.ts';
import type { BackendsDefinition, MachineDefinition, StateDefinition } from './types.ts';

/** What the board needs to know of a machine at the moment. */
export interface MachineNow {
  readonly definition: MachineDefinition;
  readonly state: string;
  readonly usable: boolean;
  /** Whether the configuration does without what it follows: then nobody prefers it. */
  readonly disabled?: boolean;
  /** Whether its clients are connected, so that a state which names its backend can have it. */
  readonly engaged: boolean;
  readonly reason: Reason;
}

/** The list that a state gives a service: its own, else its parent's, else the root's. */
export function backendsOf(definition: MachineDefinition, state: string): BackendsDefinition {
  let node: StateDefinition | undefined = definition;
  let backends: BackendsDefinition = definition.meta?.backends ?? {};
  // Of parallel regions the later one wins, as XState's own order of entry has it.
  for (const region of state.split('+')) {
    node = definition;
    for (const key of region.split('.')) {
      node = node?.states?.[key];
      backends = { ...backends, ...node?.meta?.backends };
    }
  }
  return backends;
}

/**
 * Whether what a machine follows stays connected in its present state: usable, being reconciled, or
 * named all the same by the machine's own state. Pure.
 */
export function isUsed(
  machine: { readonly definition: MachineDefinition; readonly state: string; readonly tags: ReadonlySet<string> },
  backends: BackendTable,
): boolean {
  const { definition, state, tags } = machine;
  if (tags.has('usable') || tags.has('recovering')) return true;
  return Object.values(backendsOf(definition, state)).some((names) =>
    names.some((name) => backends[name]?.machine === definition.id),
  );
}

/**
 * The modes of all services, out of the present states of all machines. Pure.
 *
 * A backend is usable where nothing can take it away (memory), where the machine it depends on is
 * usable, or where that machine's own state names it although the state is not `usable` as a whole
 * (`degraded.readOnly` keeping cache reads on Redis).
 */
export function computeModes(
  machines: ReadonlyMap<string, MachineNow>,
  backends: BackendTable,
  previous: ReadonlyMap<ServiceName, Mode>,
  wallNow: number,
): ReadonlyMap<ServiceName, Mode> {
  const modes = new Map<ServiceName, Mode>();
  for (const service of SERVICES) {
    const next = computeMode(service, machines, backends, wallNow);
    const last = previous.get(service);
    modes.set(service, last && sameBackends(last, next) ? keptMode(last, next) : next);
  }
  return modes;
}

function sameBackends(a: Mode, b: Mode): boolean {
  return a.usable.join() === b.usable.join() && a.preferred === b.preferred;
}

/** The same object while it says the same; a new reason alone does not move `since`, the last real change. */
function keptMode(last: Mode, next: Mode): Mode {
  return last.reason.code === next.reason.code ? last : Object.freeze({ ...next, since: last.since });
}

function computeMode(
  service: ServiceName,
  machines: ReadonlyMap<string, MachineNow>,
  backends: BackendTable,
  since: number,
): Mode {
  const owner = [...machines].find(([, { definition }]) => namesService(definition, service));
  if (!owner) {
    const reason = { code: 'undeclared', message: 'No machine names a backend for it' };
    return Object.freeze({ service, backend: 'none', usable: [], preferred: 'none', since, reason });
  }
  const [ownerId, { definition, state, reason }] = owner;
  const machineOf = (name: string): string | null => backends[name]?.machine ?? null;
  const isChosen = (name: string): boolean => machines.get(machineOf(name) ?? '')?.disabled !== true;
  const listed = backendsOf(definition, state)[service] ?? [];
  const usable = listed.filter((name) => {
    const machine = machineOf(name);
    if (machine === null) return true;
    const on = machines.get(machine);
    return on !== undefined && on.engaged && (on.usable || machine === ownerId);
  });
  // What the configuration does without is not missed.
  const skipped = listed.find((name) => !usable.includes(name) && isChosen(name));
  const missing = skipped === undefined ? undefined : machines.get(machineOf(skipped) ?? '');
  const kinds = usable.flatMap((name): BackendKind[] => (backends[name] ? [backends[name].kind] : []));
  return Object.freeze({
    service,
    backend: kinds[0] ?? 'none',
    usable: Object.freeze(kinds),
    preferred: backends[preferredOf(definition, service, isChosen) ?? '']?.kind ?? 'none',
    since,
    // Where a backend of the list is missing, the machine that took it away says why.
    reason: missing === undefined ? reason : missing.reason,
  });
}

function namesService(node: StateDefinition, service: ServiceName): boolean {
  if (node.meta?.backends?.[service]) return true;
  return Object.values(node.states ?? {}).some((child) => namesService(child, service));
}

/** The first backend that the machine's usable states name, of those that are configured. */
function preferredOf(
  definition: MachineDefinition,
  service: ServiceName,
  isChosen: (name: string) => boolean,
): string | undefined {
  const inherited = definition.meta?.backends?.[service];
  const found = preferredIn(definition, service, inherited) ?? inherited;
  return found?.find(isChosen);
}

function preferredIn(
  node: StateDefinition,
  service: ServiceName,
  inherited: readonly string[] | undefined,
): readonly string[] | undefined {
  const own = node.meta?.backends?.[service] ?? inherited;
  if (node.tags?.includes('usable')) return own;
  for (const child of Object.values(node.states ?? {})) {
    const found = preferredIn(child, service, own);
    if (found) return found;
  }
  return undefined;
}
