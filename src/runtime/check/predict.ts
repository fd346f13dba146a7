import type { TransitionDefinition } from '../types.ts';
import type { Vocabulary } from '../vocabulary.ts';
import type { MachineGraph } from './graph.ts';
import { type StateNode, ancestry, resolveTarget } from './walk.ts';

/**
 * What a definition says will happen, worked out from the file alone: the algorithm of SCXML
 * (W3C, 2015, appendix D) as far as machine files can use it. `model.ts` holds XState to it.
 */

/** Something that moves a machine. */
export type Stimulus =
  | { readonly type: 'start' }
  | { readonly type: 'event'; readonly event: string }
  /** Time passes until the next timer is due. */
  | { readonly type: 'wait' }
  /** The actor that a state invokes is done, or rejects. */
  | { readonly type: 'done' | 'failed'; readonly node: StateNode };

/** Whether the guard of a transition holds. */
export type Verdict = (transition: TransitionDefinition) => boolean;

interface Timer {
  readonly node: StateNode;
  readonly delay: string;
  readonly dueMs: number;
}

/** Where a machine stands. */
export interface Standing {
  readonly nowMs: number;
  /** Every active state, those around it included, in the order of the file. */
  readonly active: ReadonlySet<StateNode>;
  readonly timers: readonly Timer[];
  /** States whose actor has not ended yet. */
  readonly invoking: ReadonlySet<StateNode>;
}

export const NOWHERE: Standing = { nowMs: 0, active: new Set(), timers: [], invoking: new Set() };

interface Choice {
  readonly source: StateNode;
  readonly transition: TransitionDefinition;
}

/** The same active states in the same order give the same text: `degraded.slow`, regions joined by `+`. */
export function standingName({ active }: Standing): string {
  const atoms = [...active].filter((node) => ![...active].some(({ parent }) => parent === node));
  return atoms
    .map(({ keys }) => keys.join('.'))
    .toSorted()
    .join('+');
}

/** The timers that are due first; two of them at one moment are nobody's promise. */
export function nextTimers({ timers }: Standing): readonly Timer[] {
  const dueMs = Math.min(...timers.map((timer) => timer.dueMs));
  return timers.filter((timer) => timer.dueMs === dueMs);
}

/** Where a stimulus leads, or `undefined` where `always` has no end. */
export function predict(
  graph: MachineGraph,
  { delays }: Vocabulary,
  from: Standing,
  stimulus: Stimulus,
  verdict: Verdict,
): Standing | undefined {
  const root = graph.nodes.get('') as StateNode;
  const timer = stimulus.type === 'wait' ? nextTimers(from)[0] : undefined;
  const nowMs = timer?.dueMs ?? from.nowMs;
  const ended = 'node' in stimulus ? stimulus.node : undefined;
  let standing: Standing = {
    ...from,
    nowMs,
    timers: from.timers.filter((other) => other !== timer),
    invoking: new Set([...from.invoking].filter((node) => node !== ended)),
  };
  const move = (choices: readonly Choice[]): void => {
    for (const choice of withoutConflicts(choices, standing, graph)) standing = apply(standing, choice, graph, delays);
  };
  if (stimulus.type === 'start') standing = enter(standing, [...defaultsOf(root, graph)], delays);
  else move(select(root, standing, (node) => transitionFor(node, stimulus, timer), verdict));
  for (let step = 0; step < 100; step += 1) {
    const choices = select(root, standing, ({ state }) => state.always, verdict);
    if (choices.length === 0) return standing;
    move(choices);
  }
  return undefined;
}

function transitionFor(
  node: StateNode,
  stimulus: Stimulus,
  timer: Timer | undefined,
): TransitionDefinition | undefined {
  const { on, after, invoke } = node.state;
  if (stimulus.type === 'event') return on?.[stimulus.event];
  if (stimulus.type === 'wait') return timer?.node === node ? after?.[timer.delay] : undefined;
  if (stimulus.type === 'start' || stimulus.node !== node) return undefined;
  return stimulus.type === 'done' ? invoke?.onDone : invoke?.onError;
}

/** The innermost transition that holds, in each region of its own. */
function select(
  node: StateNode,
  standing: Standing,
  own: (node: StateNode) => TransitionDefinition | undefined,
  verdict: Verdict,
): readonly Choice[] {
  const inner = [...standing.active]
    .filter(({ parent }) => parent === node)
    .flatMap((child) => select(child, standing, own, verdict));
  if (inner.length > 0) return inner;
  const transition = own(node);
  return transition && verdict(transition) ? [{ source: node, transition }] : [];
}

/** Of two transitions that leave the same state, the inner one wins, else the first. */
function withoutConflicts(choices: readonly Choice[], standing: Standing, graph: MachineGraph): readonly Choice[] {
  let kept: readonly Choice[] = [];
  for (const choice of choices) {
    const left = leftBy(choice, standing, graph);
    const rivals = kept.filter((other) => leftBy(other, standing, graph).some((node) => left.includes(node)));
    const isInner = rivals.every(({ source }) => source !== choice.source && ancestry(choice.source).includes(source));
    if (isInner) kept = [...kept.filter((other) => !rivals.includes(other)), choice];
  }
  return kept;
}

/** The active states that a transition leaves. */
function leftBy(choice: Choice, { active }: Standing, graph: MachineGraph): readonly StateNode[] {
  const domain = domainOf(choice, graph);
  return domain ? [...active].filter((node) => node !== domain && ancestry(node).includes(domain)) : [];
}

/** The state within which a transition leaves and enters. */
function domainOf({ source, transition }: Choice, graph: MachineGraph): StateNode | undefined {
  const target = targetOf({ source, transition }, graph);
  if (!target) return undefined;
  if (transition.reenter !== true && ancestry(target).includes(source)) return source;
  const around = ancestry(target)
    .slice(1)
    .find((node) => node !== source && ancestry(source).includes(node));
  return around ?? graph.nodes.get('');
}

function targetOf({ source, transition }: Choice, graph: MachineGraph): StateNode | undefined {
  if (transition.target === undefined) return undefined;
  return resolveTarget(graph.nodes, graph.definition, source, transition.target);
}

function apply(standing: Standing, choice: Choice, graph: MachineGraph, delays: Vocabulary['delays']): Standing {
  const target = targetOf(choice, graph);
  const domain = domainOf(choice, graph);
  if (!target || !domain) return standing;
  const leaves = leftBy(choice, standing, graph);
  const left: Standing = {
    ...standing,
    active: new Set([...standing.active].filter((node) => !leaves.includes(node))),
    timers: standing.timers.filter(({ node }) => !leaves.includes(node)),
    invoking: new Set([...standing.invoking].filter((node) => !leaves.includes(node))),
  };
  const path = ancestry(target);
  const within = path.slice(0, path.indexOf(domain)).toReversed();
  // On the way down every parallel state starts its other regions too.
  const entering = new Set<StateNode>();
  for (const node of within) {
    if (node.parent?.state.type === 'parallel') {
      for (const region of childrenOf(node.parent, graph)) {
        if (region === node) entering.add(node);
        else for (const inner of defaultsOf(region, graph)) entering.add(inner);
      }
    } else entering.add(node);
  }
  for (const node of defaultsOf(target, graph)) if (node !== domain) entering.add(node);
  return enter(
    left,
    [...entering].filter((node) => !left.active.has(node)),
    delays,
  );
}

function enter(standing: Standing, nodes: readonly StateNode[], delays: Vocabulary['delays']): Standing {
  const timers = nodes.flatMap((node) =>
    Object.keys(node.state.after ?? {}).map((delay) => {
      return { node, delay, dueMs: standing.nowMs + (delays[delay]?.value ?? Number(delay)) };
    }),
  );
  return {
    ...standing,
    active: new Set([...standing.active, ...nodes]),
    timers: [...standing.timers, ...timers],
    invoking: new Set([...standing.invoking, ...nodes.filter(({ state }) => state.invoke !== undefined)]),
  };
}

/** A state and what is entered with it. */
function* defaultsOf(node: StateNode, graph: MachineGraph): Generator<StateNode> {
  yield node;
  for (const child of childrenOf(node, graph)) {
    const key = child.keys.at(-1);
    if (node.state.type === 'parallel' || key === node.state.initial) yield* defaultsOf(child, graph);
  }
}

function childrenOf(node: StateNode, { nodes }: MachineGraph): readonly StateNode[] {
  return [...nodes.values()].filter(({ parent }) => parent === node);
}
