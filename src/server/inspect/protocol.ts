import { createInspector, type StatelyInspectionEvent } from '@statelyai/inspect';

import type {
  Machine,
  MachineDefinition,
  StateDefinition,
  Transition,
  TransitionDefinition,
} from '../../runtime/types.ts';
import { nameOf } from '../../diagram/label.ts';

/** A message as a viewer receives it: JSON text. */
export type WireMessage = string;

/** Tells machines in the protocol of the official inspector (@statelyai/inspect 0.7). */
export interface Teller {
  /** `@xstate.actor`: the machine's redacted definition, in `state`. */
  actor(machine: Machine, state: string): WireMessage;
  /** `@xstate.event` and `@xstate.snapshot` of one transition. */
  transition(transition: Transition): readonly WireMessage[];
}

/**
 * Makes the messages with the package's own `createInspector`, so that they follow its protocol.
 *
 * They are made from what `Machines` shows, not from XState's inspection events: the machines run
 * before anybody attaches and pay nothing for it, and contexts, outputs and events' payloads, which
 * could hold anything, are never at hand. What is lost: events that change no state.
 */
export function createTeller(): Teller {
  const made: StatelyInspectionEvent[] = [];
  const inspector = createInspector({ send: (message) => made.push(message) });
  let sequence = 0;
  const take = (machine: string, at: number): WireMessage[] =>
    made.splice(0).map((message) => {
      sequence += 1;
      // The package numbers at random, dates at the time of telling, and knows no root of a named actor.
      return JSON.stringify({ ...message, id: `${sequence}`, createdAt: `${at}`, rootId: machine });
    });
  return {
    actor({ id, definition, since }, state) {
      inspector.actor(actorOf(id, definition), snapshotOf(state));
      return take(id, since).join('');
    },
    transition({ machine: id, to, event, reason, at }) {
      inspector.event(id, { type: event, reason });
      inspector.snapshot(id, { ...snapshotOf(to), context: { reason } }, { event: { type: event, reason } });
      return take(id, at);
    },
  };
}

/** What `inspector.actor` reads of an actor: with a plain id it would leave out the definition. */
function actorOf(
  id: string,
  definition: MachineDefinition,
): Parameters<ReturnType<typeof createInspector>['actor']>[0] {
  const actor = { sessionId: id, id, logic: { config: redactDefinition(definition) } };
  return actor as unknown as Parameters<ReturnType<typeof createInspector>['actor']>[0];
}

function snapshotOf(state: string): { status: 'active'; value: unknown; context: object } {
  return { status: 'active', value: stateValue(state), context: {} };
}

/** XState's value of a dotted state: `degraded.slow` → `{ degraded: 'slow' }`; regions are joined with `+`. */
export function stateValue(state: string): unknown {
  const regions = state.split('+');
  if (regions.length === 1) return nested(state);
  return Object.assign({}, ...regions.map(nested));
}

function nested(path: string): unknown {
  const dot = path.indexOf('.');
  return dot < 0 ? path : { [path.slice(0, dot)]: nested(path.slice(dot + 1)) };
}

/** Names only: states, events, targets, guards, actions, delays and actors; no params, inputs or other meta. */
export function redactDefinition(definition: MachineDefinition): object {
  return { id: definition.id, ...redactState(definition) };
}

function redactState({ type, initial, description, tags, states, on, after, always, invoke }: StateDefinition): object {
  return withoutUndefined({
    type,
    initial,
    description,
    tags,
    on: on && mapValues(on, redactTransition),
    after: after && mapValues(after, redactTransition),
    always: always && redactTransition(always),
    invoke:
      invoke &&
      withoutUndefined({
        src: invoke.src,
        id: invoke.id,
        onDone: invoke.onDone && redactTransition(invoke.onDone),
        onError: invoke.onError && redactTransition(invoke.onError),
      }),
    states: states && mapValues(states, redactState),
  });
}

function redactTransition({ target, guard, actions, description }: TransitionDefinition): object {
  const list = actions === undefined ? undefined : [actions].flat();
  return withoutUndefined({
    target,
    description,
    guard: guard === undefined ? undefined : { type: nameOf(guard) },
    actions: list?.map((action) => ({ type: nameOf(action as Parameters<typeof nameOf>[0]) })),
  });
}

function mapValues<T>(record: Readonly<Record<string, T>>, map: (value: T) => object): Record<string, object> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}

function withoutUndefined(object: Record<string, unknown>): object {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
