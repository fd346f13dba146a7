import type { MachineDefinition, StateDefinition, TransitionDefinition } from '../runtime/types.ts';
import { type Numbers, type Trigger, labelOf } from './label.ts';

/** One transition of a definition, with its states as dotted paths from the machine's root (`''`). */
export interface Move {
  readonly from: string;
  /** Equal to `from` where the definition names no target: the event is taken and nothing changes. */
  readonly to: string;
  readonly internal: boolean;
  /** What is written on the arrow: `redis.lost [countAtLeast]`, `after connectTimeout`, `done reconcile`. */
  readonly label: string;
  readonly trigger: Trigger;
  readonly definition: TransitionDefinition;
  /** The event's type as XState gives it: `redis.lost`, `xstate.after.connectTimeout.redis.connecting`. */
  readonly event: string;
}

/** One state of a definition, its children behind it in the file's order. */
export interface State {
  /** Dotted path; `''` is the machine itself. */
  readonly path: string;
  readonly name: string;
  readonly definition: StateDefinition;
  readonly children: readonly State[];
  /** Path of the child that is entered first; absent for atomic and parallel states. */
  readonly initial: string | undefined;
}

/** Joins two dotted paths; the root (`''`) adds nothing. */
export function joinPath(parent: string, name: string): string {
  return parent === '' || name === '' ? parent + name : `${parent}.${name}`;
}

/** The definition as a tree of states with dotted paths. */
export function stateTree(definition: MachineDefinition): State {
  return toState('', definition.id, definition);
}

function toState(path: string, name: string, definition: StateDefinition): State {
  const children = Object.entries(definition.states ?? {}).map(([key, child]) =>
    toState(joinPath(path, key), key, child),
  );
  const initial = definition.initial === undefined ? undefined : joinPath(path, definition.initial);
  return { path, name, definition, children, initial };
}

/** All states, parents before their children. */
export function* walkStates(state: State): Generator<State> {
  yield state;
  for (const child of state.children) yield* walkStates(child);
}

/**
 * Every transition of the machine, in the order of the file.
 *
 * @param numbers - given: labels also tell what the names stand for (`after connectTimeout (2s)`)
 */
export function movesOf(root: State, machineId: string, numbers?: Numbers): Move[] {
  return [...walkStates(root)].flatMap((state) =>
    [...transitionsOf(state.definition, joinPath(machineId, state.path))].map(([event, trigger, transition]) => ({
      from: state.path,
      to: transition.target === undefined ? state.path : resolveTarget(transition.target, state.path, machineId),
      internal: transition.target === undefined,
      label: labelOf(trigger, transition, numbers),
      trigger,
      definition: transition,
      event,
    })),
  );
}

function* transitionsOf(
  state: StateDefinition,
  id: string,
): Generator<[event: string, trigger: Trigger, transition: TransitionDefinition]> {
  for (const [event, transition] of Object.entries(state.on ?? {})) {
    yield [event, { kind: 'event', name: event }, transition];
  }
  for (const [delay, transition] of Object.entries(state.after ?? {})) {
    yield [`xstate.after.${delay}.${id}`, { kind: 'after', name: delay }, transition];
  }
  if (state.always) yield ['', { kind: 'always', name: '' }, state.always];
  const { invoke } = state;
  if (!invoke) return;
  const { src: name, id: actor = `0.${id}` } = invoke;
  if (invoke.onDone) yield [`xstate.done.actor.${actor}`, { kind: 'done', name }, invoke.onDone];
  if (invoke.onError) yield [`xstate.error.actor.${actor}`, { kind: 'failed', name }, invoke.onError];
}

/**
 * XState's own rule: `#machine.a.b` from the root, `.a` below the state itself, anything else
 * beside it. A root has nothing beside it, so there both mean its children.
 */
function resolveTarget(target: string, from: string, machineId: string): string {
  if (target === `#${machineId}`) return '';
  if (target.startsWith(`#${machineId}.`)) return target.slice(machineId.length + 2);
  if (target.startsWith('.')) return joinPath(from, target.slice(1));
  return joinPath(parentOf(from), target);
}

/** The path of the state around this one; the root is around the uppermost ones and itself. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('.')));
}

/** Whether `path` is `ancestor` or lies inside it. */
export function isWithin(path: string, ancestor: string): boolean {
  return ancestor === '' || path === ancestor || path.startsWith(`${ancestor}.`);
}

/** `path` as seen from `ancestor`; empty where they are the same. */
export function relativePath(path: string, ancestor: string): string {
  if (path === ancestor) return '';
  return ancestor === '' ? path : path.slice(ancestor.length + 1);
}
