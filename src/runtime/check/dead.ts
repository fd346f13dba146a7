import { COUNTED_EVENTS } from '../events.ts';
import { MACHINE_IDS } from '../registry.ts';
import type { NamedRef } from '../types.ts';
import type { Vocabulary } from '../vocabulary.ts';
import type { CheckFinding } from './codes.ts';
import type { MachineGraph } from './graph.ts';
import {
  type StateNode,
  type TransitionNode,
  ancestry,
  placeIn,
  resolveTarget,
  tagsOf,
  transitionsOf,
} from './walk.ts';

const COUNTING = new Set(['countAtLeast', 'recoverable']);

/** Why a transition is never taken while the machine is in `atom`; `undefined` where it may be. */
export function neverFires(via: TransitionNode, atom: StateNode, { machine }: Vocabulary): string | undefined {
  const { from, place, transition } = via;
  const event = place.startsWith('on.') ? place.slice('on.'.length) : undefined;
  const { always } = from.state;
  if (place !== 'always' && always && always.guard === undefined && always.target !== undefined) {
    return 'its state is left at once by an "always" without a guard; guard that one';
  }
  const other = MACHINE_IDS.find((id) => id !== machine && event === `${id}.lost`);
  if (other) return `this machine follows ${machine}: write "${machine}.lost"`;
  if (event?.startsWith('probe.') && tagsOf(atom).has('unprobed')) {
    return 'a state tagged "unprobed" is never probed; remove the tag, or leave it by another event';
  }
  const guard = nameOf(transition.guard);
  if (guard !== undefined && COUNTING.has(guard) && place !== 'always' && !COUNTED_EVENTS.includes(event ?? '')) {
    return `"${guard}" is never true here: only ${COUNTED_EVENTS.join(', ')} carry a count; remove the guard`;
  }
  return undefined;
}

/** Finds the transitions that no event, timer or actor can ever set off. */
export function checkDead(graph: MachineGraph, vocabulary: Vocabulary): readonly CheckFinding[] {
  const findings: CheckFinding[] = [];
  for (const node of graph.nodes.values()) {
    const atoms = graph.atoms.filter((atom) => ancestry(atom).includes(node));
    for (const via of transitionsOf(node)) {
      // Without a target and an action it only keeps the event from its parents.
      if (via.transition.target === undefined && via.transition.actions === undefined) continue;
      const reasons = atoms.map((atom) => neverFires(via, atom, vocabulary) ?? shadow(via, atom));
      const why = reasons.every((reason) => reason !== undefined) ? reasons[0] : lateTimer(via, graph, vocabulary);
      if (why) findings.push({ code: 'never-fires', path: placeIn(node, via.place), message: `never taken: ${why}` });
    }
  }
  return findings;
}

/** A child that takes the same event without a guard keeps it from its parents. */
function shadow({ from, place }: TransitionNode, atom: StateNode): string | undefined {
  if (!place.startsWith('on.')) return undefined;
  const event = place.slice('on.'.length);
  const inner = ancestry(atom);
  const child = inner.slice(0, inner.indexOf(from)).find(({ state }) => {
    const own = state.on?.[event];
    return own && own.guard === undefined;
  });
  return (
    child && `every state inside takes "${event}" first, ${child.keys.join('.')} for one; guard those or remove this`
  );
}

/** A shorter timer of the same state that always leaves it. */
function lateTimer(via: TransitionNode, graph: MachineGraph, { delays }: Vocabulary): string | undefined {
  if (!via.place.startsWith('after.')) return undefined;
  const length = (name: string): number => delays[name]?.value ?? Number(name);
  const own = via.place.slice('after.'.length);
  for (const [name, { guard, target }] of Object.entries(via.from.state.after ?? {})) {
    if (guard !== undefined || target === undefined || length(name) >= length(own)) continue;
    const to = resolveTarget(graph.nodes, graph.definition, via.from, target);
    if (to && !ancestry(to).includes(via.from)) return `"${name}" is shorter and always leaves the state first`;
  }
  return undefined;
}

function nameOf(ref: NamedRef | undefined): string | undefined {
  return typeof ref === 'object' ? ref.type : ref;
}
