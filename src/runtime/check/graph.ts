import { type BackendTable, SERVICES } from '../../core/mode.ts';
import { backendsOf } from '../modes.ts';
import type { MachineDefinition } from '../types.ts';
import type { Vocabulary } from '../vocabulary.ts';
import type { CheckFinding } from './check.ts';
import { type StateNode, entered, pathOf, resolveTarget, transitionsOf, walkStates } from './walk.ts';

/**
 * What only the whole graph shows, guards ignored: states that nothing leads to, states with no
 * way back to a usable one, services that a state leaves without a backend that always works.
 */
export function checkGraph(definition: MachineDefinition, { backends }: Vocabulary): readonly CheckFinding[] {
  const findings: CheckFinding[] = [];
  const nodes = new Map([...walkStates(definition)].map((node) => [node.keys.join('.'), node]));
  const atoms = [...nodes.values()].filter(({ state }) => Object.keys(state.states ?? {}).length === 0);
  const root = nodes.get('') as StateNode;
  const edges = new Map(atoms.map((atom) => [atom, successors(nodes, definition, atom)]));
  const reached = closure(entered(nodes, root), (atom) => edges.get(atom) ?? []);
  for (const atom of atoms) {
    if (!reached.has(atom)) {
      findings.push({ code: 'unreachable', path: pathOf(atom), message: 'no transition leads here' });
    }
  }
  const usable = atoms.filter((atom) => tagsOf(atom).has('usable'));
  if (usable.length === 0) findings.push({ code: 'never-usable', path: '', message: 'no state is tagged "usable"' });
  else {
    const back = closure(usable, (atom) => atoms.filter((other) => edges.get(other)?.includes(atom)));
    for (const atom of atoms) {
      if (!reached.has(atom) || back.has(atom) || tagsOf(atom).has('disabled')) continue;
      findings.push({ code: 'trap', path: pathOf(atom), message: 'no way leads from here to a state tagged "usable"' });
    }
  }
  return [...findings, ...checkFloor(definition, atoms, backends)];
}

/** Each service that the machine names anywhere must end, in every state, on a backend nothing can take away. */
function checkFloor(definition: MachineDefinition, atoms: readonly StateNode[], table: BackendTable): CheckFinding[] {
  const named = SERVICES.filter((service) =>
    [...walkStates(definition)].some(({ state }) => state.meta?.backends?.[service]),
  );
  return atoms.flatMap((atom) =>
    named
      .filter((service) => {
        const list = backendsOf(definition, atom.keys.join('.'))[service] ?? [];
        return !list.some((name) => table[name]?.machine === null);
      })
      .map((service) => ({
        code: 'no-floor',
        path: pathOf(atom),
        message: `${service} has no backend here that always works; end its list with ${floorsOf(service, table)}`,
      })),
  );
}

function floorsOf(service: (typeof SERVICES)[number], table: BackendTable): string {
  return Object.entries(table)
    .filter(([, { machine, services }]) => machine === null && services.includes(service))
    .map(([name]) => `"${name}"`)
    .join(' or ');
}

/** Where the transitions of an atomic state and of its ancestors lead. */
function successors(
  nodes: ReadonlyMap<string, StateNode>,
  definition: MachineDefinition,
  atom: StateNode,
): readonly StateNode[] {
  const taken = new Set<string>();
  const targets: StateNode[] = [];
  for (let node: StateNode | undefined = atom; node; node = node.parent) {
    for (const { place, transition } of transitionsOf(node)) {
      // An unguarded transition of a child keeps the event from its parents.
      if (taken.has(place)) continue;
      if (transition.guard === undefined) taken.add(place);
      const target =
        transition.target === undefined ? undefined : resolveTarget(nodes, definition, node, transition.target);
      if (target) targets.push(...entered(nodes, target));
    }
  }
  return targets;
}

function tagsOf(atom: StateNode): ReadonlySet<string> {
  const tags = new Set<string>();
  for (let node: StateNode | undefined = atom; node; node = node.parent) {
    for (const tag of node.state.tags ?? []) tags.add(tag);
  }
  return tags;
}

function closure(from: readonly StateNode[], next: (node: StateNode) => readonly StateNode[]): ReadonlySet<StateNode> {
  const found = new Set(from);
  // A Set is iterated in order of insertion, what is added on the way included.
  for (const node of found) for (const other of next(node)) found.add(other);
  return found;
}
