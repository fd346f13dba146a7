import type { MachineDefinition } from '../types.ts';
import type { Vocabulary } from '../vocabulary.ts';
import { neverFires } from './dead.ts';
import {
  type StateNode,
  type TransitionNode,
  ancestry,
  entered,
  resolveTarget,
  transitionsOf,
  walkStates,
} from './walk.ts';

/** One way from an atomic state to another. */
export interface Edge {
  /** Atomic; the transition itself may be declared by one of its ancestors. */
  readonly from: StateNode;
  readonly to: StateNode;
  readonly via: TransitionNode;
}

/** A machine as a graph of its atomic states, guards taken to hold or not. */
export interface MachineGraph {
  readonly definition: MachineDefinition;
  /** Every state by its dotted name; the root's is empty. */
  readonly nodes: ReadonlyMap<string, StateNode>;
  readonly atoms: readonly StateNode[];
  readonly edges: readonly Edge[];
  /** The atomic states that the machine can come to. */
  readonly reached: ReadonlySet<StateNode>;
}

/** Builds the graph; transitions that can never be taken are no part of it. */
export function graphOf(definition: MachineDefinition, vocabulary: Vocabulary): MachineGraph {
  const nodes = new Map([...walkStates(definition)].map((node) => [node.keys.join('.'), node]));
  const atoms = [...nodes.values()].filter(isAtom);
  const edges = atoms.flatMap((atom) => edgesFrom(atom, nodes, definition, vocabulary));
  const root = nodes.get('') as StateNode;
  const next = Map.groupBy(edges, ({ from }) => from);
  const reached = closure(entered(nodes, root), (atom) => (next.get(atom) ?? []).map(({ to }) => to));
  return { definition, nodes, atoms, edges, reached };
}

/** Everything that `next` leads to from some states, themselves included. */
export function closure(
  from: readonly StateNode[],
  next: (node: StateNode) => readonly StateNode[],
): ReadonlySet<StateNode> {
  const found = new Set(from);
  // A Set is iterated in order of insertion, what is added on the way included.
  for (const node of found) for (const other of next(node)) found.add(other);
  return found;
}

function isAtom({ state }: StateNode): boolean {
  return Object.keys(state.states ?? {}).length === 0 && state.type !== 'history';
}

function edgesFrom(
  from: StateNode,
  nodes: ReadonlyMap<string, StateNode>,
  definition: MachineDefinition,
  vocabulary: Vocabulary,
): Edge[] {
  const taken = new Set<string>();
  const edges: Edge[] = [];
  for (const node of ancestry(from)) {
    for (const via of transitionsOf(node)) {
      const { place, transition } = via;
      // An unguarded transition of a child keeps the event from its parents.
      if (taken.has(place) || neverFires(via, from, vocabulary)) continue;
      // A timer and an actor belong to one state; events and `always` are asked for from the inside out.
      if (transition.guard === undefined && !/^(after|invoke)\./.test(place)) taken.add(place);
      const target =
        transition.target === undefined ? undefined : resolveTarget(nodes, definition, node, transition.target);
      if (target) edges.push(...entered(nodes, target).map((to) => ({ from, to, via })));
    }
  }
  return edges;
}
