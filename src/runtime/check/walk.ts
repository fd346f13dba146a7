import type { MachineDefinition, StateDefinition, TransitionDefinition } from '../types.ts';

/** One state of a definition, with its place. */
export interface StateNode {
  /** Keys from the root: `['degraded', 'slow']`; empty for the root. */
  readonly keys: readonly string[];
  readonly state: StateDefinition;
  readonly parent: StateNode | undefined;
}

/** One transition, with its place and the state that holds it. */
export interface TransitionNode {
  readonly from: StateNode;
  /** `on.redis.lost`, `after.connectTimeout`, `invoke.onDone`, `always`. */
  readonly place: string;
  readonly transition: TransitionDefinition;
}

/** All states, the root first, parents before their children. */
export function* walkStates(
  state: StateDefinition,
  keys: readonly string[] = [],
  parent?: StateNode,
): Generator<StateNode> {
  const node = { keys, state, parent };
  yield node;
  for (const [key, child] of Object.entries(state.states ?? {})) yield* walkStates(child, [...keys, key], node);
}

/** All transitions that a state itself declares. */
export function transitionsOf(from: StateNode): readonly TransitionNode[] {
  const { on, after, always, invoke } = from.state;
  const places: [string, TransitionDefinition | undefined][] = [
    ...Object.entries(on ?? {}).map(([event, transition]): [string, TransitionDefinition] => [
      `on.${event}`,
      transition,
    ]),
    ...Object.entries(after ?? {}).map(([delay, transition]): [string, TransitionDefinition] => [
      `after.${delay}`,
      transition,
    ]),
    ['always', always],
    ['invoke.onDone', invoke?.onDone],
    ['invoke.onError', invoke?.onError],
  ];
  return places.flatMap(([place, transition]) => (transition ? [{ from, place, transition }] : []));
}

/** Place of a state in its file: `states.degraded.states.slow`; empty for the root. */
export function pathOf({ keys }: StateNode): string {
  return keys.map((key) => `states.${key}`).join('.');
}

/** Place of something that a state holds: `states.degraded.on.probe.failed`. */
export function placeIn(node: StateNode, place: string): string {
  return [pathOf(node), place].filter(Boolean).join('.');
}

/** Finds the state that a target names, as XState does: `#id.path`, `.child`, or a sibling and below. */
export function resolveTarget(
  nodes: ReadonlyMap<string, StateNode>,
  definition: MachineDefinition,
  from: StateNode,
  target: string,
): StateNode | undefined {
  // Without a name in it the words below would find the root.
  if (/^$|\.$|\.\./.test(target)) return undefined;
  if (target.startsWith('#')) {
    const [id, ...path] = target.slice(1).split('.');
    return id === definition.id ? nodes.get(path.join('.')) : undefined;
  }
  if (target.startsWith('.')) return nodes.get([...from.keys, ...target.slice(1).split('.')].join('.'));
  // The root's own targets are its children; any other state's are its siblings.
  return nodes.get([...from.keys.slice(0, -1), ...target.split('.')].join('.'));
}

/** The atomic states that are entered when `node` is. */
export function entered(nodes: ReadonlyMap<string, StateNode>, node: StateNode): readonly StateNode[] {
  // A history state brings back any of its siblings.
  if (node.state.type === 'history' && node.parent) {
    const siblings = [...nodes.values()].filter(
      ({ parent, state }) => parent === node.parent && state.type !== 'history',
    );
    return siblings.flatMap((sibling) => entered(nodes, sibling));
  }
  const children = Object.keys(node.state.states ?? {});
  if (children.length === 0) return [node];
  const first = node.state.type === 'parallel' ? children : [node.state.initial ?? ''];
  return first.flatMap((key) => {
    const child = nodes.get([...node.keys, key].join('.'));
    return child ? entered(nodes, child) : [];
  });
}

/** The tags of a state and of all around it. */
export function tagsOf(atom: StateNode): ReadonlySet<string> {
  return new Set(ancestry(atom).flatMap(({ state }) => state.tags ?? []));
}

/** A state and all around it, innermost first. */
export function ancestry(node: StateNode): readonly StateNode[] {
  return node.parent ? [node, ...ancestry(node.parent)] : [node];
}
