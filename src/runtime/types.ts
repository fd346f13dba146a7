import type { Reason, ServiceName } from '../core/mode.ts';

/** A reference to a guard or action by its registered name. */
export type NamedRef = string | { readonly type: string; readonly params?: Readonly<Record<string, unknown>> };

export interface TransitionDefinition {
  /** Absent: the event is taken and nothing changes, which also keeps it from the parent state. */
  readonly target?: string;
  readonly guard?: NamedRef;
  readonly actions?: NamedRef | readonly NamedRef[];
  readonly reenter?: boolean;
  readonly description?: string;
}

export type BackendsDefinition = { readonly [Service in ServiceName]?: readonly string[] };

export interface StateDefinition {
  readonly type?: 'atomic' | 'compound' | 'parallel' | 'final' | 'history';
  readonly initial?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly meta?: { readonly backends?: BackendsDefinition };
  readonly states?: Readonly<Record<string, StateDefinition>>;
  readonly on?: Readonly<Record<string, TransitionDefinition>>;
  readonly after?: Readonly<Record<string, TransitionDefinition>>;
  readonly always?: TransitionDefinition;
  readonly invoke?: {
    readonly src: string;
    readonly id?: string;
    readonly input?: unknown;
    readonly onDone?: TransitionDefinition;
    readonly onError?: TransitionDefinition;
  };
  readonly entry?: NamedRef | readonly NamedRef[];
  readonly exit?: NamedRef | readonly NamedRef[];
}

/** A machine as its file holds it: plain XState 5 JSON with named guards, actions, delays and actors. */
export interface MachineDefinition extends StateDefinition {
  readonly $schema?: string;
  readonly id: string;
  readonly version?: string;
}

/** One change of a machine's state, as history, log, health and inspector tell it. */
export interface Transition {
  readonly machine: string;
  /** Dotted: `degraded.unreachable`. */
  readonly from: string;
  readonly to: string;
  /** The event's type: `redis.lost`. */
  readonly event: string;
  readonly reason: Reason;
  /** Wall-clock milliseconds. */
  readonly at: number;
  /** Milliseconds spent in `from`. */
  readonly spentMs: number;
}

/** `up`: a state tagged `usable`; `degraded`: tagged so; `down`: neither. */
export type MachineStatus = 'up' | 'degraded' | 'down';

/** A running machine as everybody but the runtime sees it: reads only, from memory. */
export interface Machine {
  readonly id: string;
  readonly definition: MachineDefinition;
  /** Dotted state: `degraded.unreachable`. */
  readonly state: string;
  readonly status: MachineStatus;
  /** Wall-clock milliseconds of the last change. */
  readonly since: number;
  readonly reason: Reason;
  /** Wall-clock milliseconds of the next probe, `null` while one is under way or none is planned. */
  readonly nextProbeAt: number | null;
  /** Whether hold-down keeps it degraded because it trips too often. */
  readonly flapping: boolean;
  /** Oldest first. */
  readonly history: readonly Transition[];
  /** The serialised XState snapshot, without anything secret. */
  snapshot(): Readonly<Record<string, unknown>>;
}

/** The machines of `redoubt.machines`. */
export interface Machines {
  readonly all: readonly Machine[];
  /** @throws {RedoubtError} `ERR_MACHINE` for a machine that does not run */
  get(id: string): Machine;
  /** Listens until the returned function is called. A listener that throws is logged, nothing more. */
  on(event: 'transition', listener: (transition: Transition) => void): () => void;
  /**
   * Sends an operator event: `operator.isolate`, `operator.release`.
   *
   * @throws {RedoubtError} `ERR_EVENT` for any other type
   */
  send(id: string, event: { readonly type: string }): void;
}
