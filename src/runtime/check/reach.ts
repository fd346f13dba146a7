import { type BackendTable, SERVICES, type ServiceName } from '../../core/mode.ts';
import { backendsOf } from '../modes.ts';
import type { Vocabulary } from '../vocabulary.ts';
import type { CheckFinding } from './codes.ts';
import { type MachineGraph, closure } from './graph.ts';
import { type StateNode, pathOf, tagsOf } from './walk.ts';

/**
 * What only the whole graph shows: states that nothing leads to, states with no way back to a
 * usable one, services that a state leaves without a backend that always works.
 */
export function checkReach(graph: MachineGraph, { backends }: Vocabulary): readonly CheckFinding[] {
  const { atoms, reached } = graph;
  const lost = atoms
    .filter((atom) => !reached.has(atom))
    .map((atom): CheckFinding => {
      const message = `no transition leads here; give one the target "${targetOf(atom, graph)}", or remove the state`;
      return { code: 'unreachable', path: pathOf(atom), message };
    });
  return [...lost, ...checkTraps(graph, backends), ...checkFailover(graph), ...checkFloor(graph, backends)];
}

function checkTraps(graph: MachineGraph, table: BackendTable): CheckFinding[] {
  const { atoms, edges, reached } = graph;
  const usable = atoms.filter(isUsable);
  if (usable.length === 0) {
    const meant = atoms.find((atom) => namesItsOwn(atom, graph, table)) ?? graph.nodes.get('available');
    const hint = meant ? `; give "${meant.keys.join('.')}" "tags": ["usable"]` : '';
    return [{ code: 'never-usable', path: '', message: `no state is tagged "usable"${hint}` }];
  }
  const before = Map.groupBy(edges, ({ to }) => to);
  const back = closure(usable, (atom) => (before.get(atom) ?? []).map(({ from }) => from));
  const way = atoms.find((atom) => back.has(atom) && tagsOf(atom).has('recovering')) ?? usable[0];
  return atoms
    .filter((atom) => reached.has(atom) && !back.has(atom) && !tagsOf(atom).has('disabled'))
    .map((atom) => {
      const event = tagsOf(atom).has('unprobed') ? 'operator.release' : 'probe.passed';
      const hint = way ? `; for one, "on": { "${event}": { "target": "${targetOf(way, graph)}" } }` : '';
      const message = `no way leads from here to a state tagged "usable"${hint}`;
      return { code: 'trap', path: pathOf(atom), message };
    });
}

/** A usable state that nothing takes to another kind of state would serve from a dead dependency for ever. */
function checkFailover(graph: MachineGraph): CheckFinding[] {
  const { atoms, edges, nodes, reached, definition } = graph;
  const way = [...nodes.values()].find(({ state }) => state.tags?.includes('degraded'));
  const cure = way ? `; for one, "on": { "${definition.id}.lost": { "target": "${targetOf(way, graph)}" } }` : '';
  return atoms
    .filter((atom) => isUsable(atom) && reached.has(atom))
    .filter((atom) => !edges.some(({ from, to }) => from === atom && !isUsable(to)))
    .map((atom) => {
      const message = `nothing leaves this state when ${definition.id} fails${cure}`;
      return { code: 'never-left', path: pathOf(atom), message };
    });
}

/** Each service that the machine names anywhere must end, in every state, on a backend nothing can take away. */
function checkFloor({ definition, nodes, atoms }: MachineGraph, table: BackendTable): CheckFinding[] {
  const named = SERVICES.filter((service) =>
    [...nodes.values()].some(({ state }) => state.meta?.backends?.[service] !== undefined),
  );
  const findings = new Map<string, CheckFinding>();
  for (const atom of atoms) {
    for (const service of named) {
      const list = backendsOf(definition, atom.keys.join('.'))[service] ?? [];
      if (list.some((name) => table[name]?.machine === null)) continue;
      const floors = floorsOf(service, table);
      // Where the list itself is wrong it is told once, not for each state that inherits it.
      const path = listPath(atom, service) ?? pathOf(atom);
      const message = `${service} has no backend here that always works; end its list with ${floors}`;
      findings.set(`${path} ${service}`, { code: 'no-floor', path, message });
    }
  }
  return [...findings.values()];
}

function isUsable(atom: StateNode): boolean {
  return tagsOf(atom).has('usable');
}

function listPath(node: StateNode | undefined, service: ServiceName): string | undefined {
  if (!node) return undefined;
  if (!node.state.meta?.backends?.[service]) return listPath(node.parent, service);
  return [pathOf(node), `meta.backends.${service}`].filter(Boolean).join('.');
}

function floorsOf(service: ServiceName, table: BackendTable): string {
  return Object.entries(table)
    .filter(([, { machine, services }]) => machine === null && services.includes(service))
    .map(([name]) => `"${name}"`)
    .join(' or ');
}

/** Whether a state gives a service the very dependency that the machine follows. */
function namesItsOwn(atom: StateNode, { definition }: MachineGraph, table: BackendTable): boolean {
  const lists = Object.values(backendsOf(definition, atom.keys.join('.')));
  return lists.some(([first = '']) => table[first]?.machine === definition.id);
}

function targetOf({ keys }: StateNode, { definition }: MachineGraph): string {
  return `#${definition.id}.${keys.join('.')}`;
}
