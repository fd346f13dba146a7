import { type AnyActorRef, type AnyStateMachine, createActor, fromPromise, setup } from 'xstate';

import type { Clock } from '../core/clock.ts';
import { RedoubtError } from '../core/errors.ts';
import type { Reason } from '../core/mode.ts';
import type { Logger } from '../observe/log.ts';
import type { MachineEvent } from './events.ts';
import { eventName, reasonFor, reasonOfEvent } from './reasons.ts';
import type { Registry } from './registry.ts';
import type { MachineDefinition, StateDefinition, Transition } from './types.ts';

export interface ActorOptions {
  readonly definition: MachineDefinition;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called after each change of state, with the new state in place. Never during a transition. */
  readonly onTransition: (transition: Transition) => void;
}

/** What a supervised actor shows of its present state. */
export interface ActorState {
  readonly value: string;
  readonly tags: ReadonlySet<string>;
  readonly since: number;
  readonly reason: Reason;
}

/**
 * An XState actor that cannot be ended by what it runs: throwing guards count as false, throwing
 * actions are logged, and an actor that ends all the same is started again in the state it was in.
 *
 * Events are taken one at a time; one sent from a listener waits for its turn (XState's mailbox).
 */
export class SupervisedActor {
  readonly #options: ActorOptions;
  #definition: MachineDefinition;
  #registry: Registry;
  #actor: AnyActorRef;
  #state: ActorState;
  #enteredAt: number;
  #stopped = false;

  constructor(options: ActorOptions) {
    const { clock, definition, registry } = options;
    this.#options = options;
    this.#definition = definition;
    this.#registry = registry;
    this.#enteredAt = clock.now();
    this.#actor = this.#create(definition);
    this.#state = {
      value: stateName(this.#actor.getSnapshot().value),
      tags: this.#actor.getSnapshot().tags,
      since: clock.wallNow(),
      reason: reasonOfEvent('xstate.init'),
    };
  }

  get state(): ActorState {
    return this.#state;
  }

  /** XState's own serialised snapshot. */
  persisted(): Readonly<Record<string, unknown>> {
    return this.#actor.getPersistedSnapshot() as unknown as Readonly<Record<string, unknown>>;
  }

  start(): void {
    this.#actor.start();
  }

  send(event: MachineEvent): void {
    if (!this.#stopped) this.#actor.send(event);
  }

  /**
   * Goes on with another definition, in the present state where the new one has it, else in its
   * initial state. Timers of the state start anew, and what it invokes is begun again.
   */
  replace(definition: MachineDefinition, registry: Registry): void {
    if (this.#stopped) return;
    this.#actor.stop();
    this.#definition = definition;
    this.#registry = registry;
    const kept = hasState(definition, this.#state.value) ? startingIn(definition, this.#state.value) : definition;
    this.#actor = this.#create(kept);
    const { value, tags } = this.#actor.getSnapshot() as SnapshotView;
    if (stateName(value) === this.#state.value) this.#state = { ...this.#state, tags };
    else this.#move('definition.reloaded', stateName(value), tags, reasonOfEvent('definition.reloaded'));
    this.#actor.start();
  }

  /** Ends the actor and its timers, which would keep the process alive. */
  stop(): void {
    this.#stopped = true;
    this.#actor.stop();
  }

  #create(definition: MachineDefinition): AnyActorRef {
    const { clock, log } = this.#options;
    const actor = createActor(bind(definition, this.#registry, log), {
      clock,
      inspect: (inspected) => {
        if (inspected.type !== '@xstate.snapshot' || inspected.actorRef !== actor) return;
        this.#follow(inspected.event as MachineEvent, inspected.snapshot as unknown as SnapshotView);
      },
    });
    // Without an error observer XState rethrows where nobody can catch it, and the process ends.
    actor.subscribe({ error: (error) => this.#restart(error) });
    return actor;
  }

  #follow(event: MachineEvent, snapshot: SnapshotView): void {
    if (snapshot.status !== 'active') return;
    const value = stateName(snapshot.value);
    if (value === this.#state.value) return;
    const reason = event.reason ?? reasonOfError(event) ?? reasonOfEvent(event.type);
    this.#move(eventName(event.type), value, snapshot.tags, reason);
  }

  #move(event: string, to: string, tags: ReadonlySet<string>, reason: Reason): void {
    const { clock, log, onTransition } = this.#options;
    const { id: machine } = this.#definition;
    const from = this.#state.value;
    const spentMs = Math.round(clock.now() - this.#enteredAt);
    const at = clock.wallNow();
    this.#enteredAt = clock.now();
    this.#state = { value: to, tags, since: at, reason };
    try {
      onTransition({ machine, from, to, event, reason, at, spentMs });
    } catch (error) {
      log.error({ machine, err: error }, 'A listener of a transition threw');
    }
  }

  #restart(error: unknown): void {
    if (this.#stopped) return;
    const { log } = this.#options;
    log.error({ machine: this.#definition.id, err: error }, 'The machine ended and is started again in its state');
    // A restored snapshot does not arm `after` timers again; entering the state anew does.
    this.#actor = this.#create(startingIn(this.#definition, this.#state.value));
    this.#actor.start();
  }
}

interface SnapshotView {
  readonly status: string;
  readonly value: unknown;
  readonly tags: ReadonlySet<string>;
}

/** Why `reconcile` rejected, by its code; XState puts the error into the event. */
function reasonOfError(event: { readonly type: string; readonly error?: unknown }): Reason | undefined {
  if (!event.type.startsWith('xstate.error.')) return undefined;
  const { error } = event;
  if (error instanceof RedoubtError) return { code: error.code, message: error.message };
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' ? reasonFor(code) : undefined;
}

/** XState's nested value as a dotted name; parallel regions are joined with `+`. */
export function stateName(value: unknown): string {
  if (typeof value === 'string') return value;
  return Object.entries(value as object)
    .map(([key, child]) => {
      const rest = stateName(child);
      return rest === '' ? key : `${key}.${rest}`;
    })
    .join('+');
}

/** The definition with `initial` set along the path, so that it starts in `state` and arms its timers. */
export function startingIn(definition: MachineDefinition, state: string): MachineDefinition {
  const descend = (node: StateDefinition, [key, ...rest]: readonly string[]): StateDefinition => {
    const child = key === undefined ? undefined : node.states?.[key];
    if (key === undefined || !child) return node;
    return { ...node, initial: key, states: { ...node.states, [key]: descend(child, rest) } };
  };
  // Parallel regions one after another: each sets the initial states on its own way down.
  return state
    .split('+')
    .reduce<StateDefinition>((node, region) => descend(node, region.split('.')), definition) as MachineDefinition;
}

/** Whether a definition has the state that `stateName` names. */
export function hasState(definition: MachineDefinition, state: string): boolean {
  return state.split('+').every((region) => {
    let node: StateDefinition | undefined = definition;
    for (const key of region.split('.')) node = node?.states?.[key];
    return node !== undefined;
  });
}

/** Built machines: tens of kilobytes each, and actors of one definition share them. */
const bound = new WeakMap<Registry, WeakMap<MachineDefinition, AnyStateMachine>>();

function bind(definition: MachineDefinition, registry: Registry, log: Logger): AnyStateMachine {
  let known = bound.get(registry);
  if (!known) bound.set(registry, (known = new WeakMap()));
  let machine = known.get(definition);
  if (!machine) known.set(definition, (machine = build(definition, registry, log)));
  return machine;
}

function build(definition: MachineDefinition, registry: Registry, log: Logger): AnyStateMachine {
  const failed = (kind: string, name: string, error: unknown): void =>
    log.error({ machine: definition.id, [kind]: name, err: error }, `A ${kind} of a machine threw`);
  const entries = Object.entries;
  const guards = entries(registry.guards).map(([name, guard]) => [
    name,
    ({ event }: { event: MachineEvent }, params: never) => {
      try {
        return guard(event, params);
      } catch (error) {
        failed('guard', name, error);
        return false;
      }
    },
  ]);
  const actions = entries(registry.actions).map(([name, action]) => [
    name,
    ({ event }: { event: MachineEvent }, params: never) => {
      try {
        action(event, params);
      } catch (error) {
        failed('action', name, error);
      }
    },
  ]);
  const actors = entries(registry.actors).map(([name, run]) => [
    name,
    fromPromise(({ signal }: { signal: AbortSignal }) => run(signal)),
  ]);
  const machine = setup({
    guards: Object.fromEntries(guards),
    actions: Object.fromEntries(actions),
    actors: Object.fromEntries(actors),
    delays: { ...registry.delays },
  });
  // An `always` cycle eats all memory in a minute and a half unless it is bounded (FACTS).
  return machine.createMachine({
    ...definition,
    options: { maxIterations: 200 },
  } as never) as unknown as AnyStateMachine;
}
