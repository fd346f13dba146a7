import { type AnyActorRef, type AnyStateMachine, SimulatedClock, createActor, setup } from 'xstate';

import type { NamedRef } from '../types.ts';
import type { Vocabulary } from '../vocabulary.ts';
import type { CheckFinding } from './codes.ts';
import type { MachineGraph } from './graph.ts';
import { type Standing, type Stimulus, nextTimers, standingName } from './predict.ts';
import { type StateNode, pathOf, placeIn } from './walk.ts';

/** One step of a walk: what happens, which guards hold while it does, and when it is over. */
export interface Step {
  readonly stimulus: Stimulus;
  readonly holds: ReadonlySet<string>;
  /** Simulated milliseconds since the start. */
  readonly untilMs: number;
}

/** A guard with its parameters as one text. */
export function guardKey(ref: NamedRef): string {
  return typeof ref === 'string' ? keyOf(ref, undefined) : keyOf(ref.type, ref.params);
}

/** Binds every name of a machine to what a walk decides, and replays walks on XState itself. */
export class Replay {
  readonly #machine: AnyStateMachine;
  #holds: ReadonlySet<string> = new Set();

  constructor({ definition }: MachineGraph, { guards, actions, actors, delays }: Vocabulary) {
    this.#machine = setup({
      guards: bind(guards, (type) => (_: unknown, params: unknown) => this.#holds.has(keyOf(type, params))),
      actions: bind(actions, () => () => undefined),
      actors: bind(actors, () => PUPPET),
      delays: bind(delays, (name) => delays[name]?.value ?? 0),
    } as never).createMachine({ ...definition, options: { maxIterations: 200 } } as never) as never;
  }

  /** Replays a walk from the start; a finding where it ends elsewhere than predicted, or ends the machine. */
  judge(before: Standing, predicted: Standing, steps: readonly Step[]): CheckFinding | undefined {
    const clock = new SimulatedClock();
    // XState takes the first steps of "always" while the actor is made.
    this.#holds = steps[0]?.holds ?? this.#holds;
    const actor = createActor(this.#machine, { clock });
    let thrown: unknown;
    // Without an error observer XState rethrows where nobody can catch it.
    actor.subscribe({ error: (error) => (thrown = error) });
    for (const step of steps) {
      this.#holds = step.holds;
      this.#play(actor, clock, step);
    }
    const snapshot = actor.getSnapshot() as { readonly status: string; readonly value: unknown };
    actor.stop();
    const last = steps.at(-1)?.stimulus ?? { type: 'start' };
    const { path, words } = describe(last, before);
    if (snapshot.status === 'done') {
      const message = 'the machine ends here for good; remove "type": "final"';
      return { code: 'dies', path: finalPath(predicted), message };
    }
    if (snapshot.status === 'error') {
      const cure = last.type === 'failed' ? cureOf(last.node) : `XState says: ${String(thrown)}`;
      return { code: 'dies', path, message: `${words} ends the machine; ${cure}` };
    }
    const real = leavesOf(snapshot.value, []).toSorted().join('+');
    if (real === standingName(predicted)) return undefined;
    const message = `${words} leads XState to ${real}, but the graph to ${standingName(predicted)}`;
    return { code: 'model', path, message };
  }

  #play(actor: AnyActorRef, clock: SimulatedClock, { stimulus, untilMs }: Step): void {
    if (stimulus.type === 'start') actor.start();
    else if (stimulus.type === 'event') actor.send({ type: stimulus.event });
    else if (stimulus.type === 'wait') clock.increment(untilMs - clock.now());
    else {
      const { children } = actor.getSnapshot() as { readonly children: Readonly<Record<string, AnyActorRef>> };
      const { keys, state } = stimulus.node;
      const id = state.invoke?.id ?? `0.${[this.#machine.id, ...keys].join('.')}`;
      children[id]?.send({ type: stimulus.type });
    }
  }
}

/** An actor that ends when and how the walk tells it to. */
const PUPPET = {
  getInitialSnapshot: () => ({ status: 'active', output: undefined, error: undefined }),
  transition: (snapshot: object, { type }: { readonly type: string }) => {
    if (type === 'done') return { ...snapshot, status: 'done' };
    return type === 'failed' ? { ...snapshot, status: 'error', error: new Error('rejected by the walk') } : snapshot;
  },
  getPersistedSnapshot: (snapshot: object) => snapshot,
};

function bind<T>(names: object, make: (name: string) => T): Record<string, T> {
  return Object.fromEntries(Object.keys(names).map((name) => [name, make(name)]));
}

function keyOf(type: string, params: unknown): string {
  return `${type} ${JSON.stringify(params ?? {})}`;
}

function describe(stimulus: Stimulus, before: Standing): { readonly path: string; readonly words: string } {
  const place = (suffix: string): string => {
    const holder = [...before.active].toReversed().find(({ state }) => suffix in (state.on ?? {}));
    return holder ? placeIn(holder, `on.${suffix}`) : '';
  };
  const [timer] = nextTimers(before);
  const where = standingName(before);
  switch (stimulus.type) {
    case 'start':
      return { path: '', words: 'the start' };
    case 'event':
      return { path: place(stimulus.event), words: `"${stimulus.event}" in ${where}` };
    case 'wait':
      return timer
        ? { path: placeIn(timer.node, `after.${timer.delay}`), words: `"${timer.delay}" in ${where}` }
        : { path: '', words: `waiting in ${where}` };
    default: {
      const how = stimulus.type === 'done' ? 'the end' : 'a rejection';
      return { path: placeIn(stimulus.node, 'invoke'), words: `${how} of its actor in ${where}` };
    }
  }
}

function cureOf({ state }: StateNode): string {
  return state.invoke?.onError ? 'take the guard from its "onError"' : 'add "onError" with a target';
}

function finalPath({ active }: Standing): string {
  const last = [...active].find(({ state }) => state.type === 'final');
  return last ? pathOf(last) : '';
}

/** The dotted names of the innermost states of XState's nested value. */
function leavesOf(value: unknown, keys: readonly string[]): readonly string[] {
  if (typeof value === 'string') return [[...keys, value].join('.')];
  const entries = Object.entries(value as object);
  return entries.length === 0 ? [keys.join('.')] : entries.flatMap(([key, child]) => leavesOf(child, [...keys, key]));
}
