import type { Config } from '../config/schema.ts';
import type { Logger } from '../observe/log.ts';
import { EVENTS, type MachineEvent } from './events.ts';

/** The machines that Redoubt runs: each has a section of its name in the configuration. */
export const MACHINE_IDS = ['redis', 'postgres'] as const;
export type MachineId = (typeof MACHINE_IDS)[number];

type Params = Readonly<Record<string, unknown>> | undefined;
type Guard = (event: MachineEvent, params: Params) => boolean;
type Action = (event: MachineEvent, params: Params) => void;
/** Runs while its state is active; `signal` is aborted when the state is left. */
export type RuntimeActor = (signal: AbortSignal) => Promise<unknown>;

/** A named part: what it does, and the parameters it takes. */
export interface Documented {
  readonly doc: string;
  /** Parameter name to the values allowed. */
  readonly params: Readonly<Record<string, readonly string[]>>;
}

/** What machine definitions may name; the one place where names become code. */
export interface Registry {
  readonly guards: Readonly<Record<string, Guard>>;
  readonly actions: Readonly<Record<string, Action>>;
  /** Milliseconds by name. */
  readonly delays: Readonly<Record<string, number>>;
  readonly actors: Readonly<Record<string, RuntimeActor>>;
}

/** What is told of the registry without running it: for the check, and later for the JSON schema. */
export interface Vocabulary {
  readonly guards: Readonly<Record<string, Documented>>;
  readonly actions: Readonly<Record<string, Documented>>;
  readonly delays: readonly string[];
  readonly actors: Readonly<Record<string, Documented>>;
  readonly events: readonly string[];
}

type Policy = 'failuresToTrip' | 'successesToRecover' | 'slowProbesToTrip';
const POLICIES: readonly Policy[] = ['failuresToTrip', 'successesToRecover', 'slowProbesToTrip'];

const GUARDS = {
  countAtLeast: {
    doc: 'The event carries at least as many consecutive probes as the policy in detect.* asks for.',
    params: { policy: POLICIES },
  },
  recoverable: {
    doc: 'As countAtLeast, and the least stay in degraded (holdDown.*) is over.',
    params: { policy: POLICIES },
  },
} as const satisfies Record<string, Documented>;

const ACTIONS = {
  announce: { doc: 'Logs its message at its level.', params: { message: [], level: ['info', 'warn', 'error'] } },
} as const satisfies Record<string, Documented>;

const ACTORS = {
  reconcile: {
    doc: 'Connects the clients and makes both sides agree; done when the dependency may be used.',
    params: {},
  },
} as const satisfies Record<string, Documented>;

/** The names that a machine's definition may use. */
export function vocabularyOf(config: Config, id: MachineId): Vocabulary {
  return {
    guards: GUARDS,
    actions: ACTIONS,
    actors: ACTORS,
    delays: Object.keys(delaysOf(config, id)),
    events: Object.keys(EVENTS),
  };
}

/** Binds the names of `vocabularyOf` to code and to the numbers of the configuration. */
export function createRegistry(options: {
  readonly config: Config;
  readonly id: MachineId;
  readonly log: Logger;
  readonly reconcile: RuntimeActor;
}): Registry {
  const { config, id, log, reconcile } = options;
  const { detect } = config[id];
  const reached: Guard = (event, params) => (event.count ?? 0) >= detect[params?.['policy'] as Policy];
  return {
    guards: {
      countAtLeast: reached,
      recoverable: (event, params) => reached(event, params) && (event.heldMs ?? 0) <= 0,
    } satisfies Record<keyof typeof GUARDS, Guard>,
    actions: {
      announce: (_event, params) => {
        const level = (params?.['level'] ?? 'info') as 'info' | 'warn' | 'error';
        log[level]({ machine: id }, String(params?.['message'] ?? ''));
      },
    } satisfies Record<keyof typeof ACTIONS, Action>,
    delays: delaysOf(config, id),
    actors: { reconcile } satisfies Record<keyof typeof ACTORS, RuntimeActor>,
  };
}

/** `redis.delays.connectTimeout` is `connectTimeout` in a machine file. */
function delaysOf(config: Config, id: MachineId): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(config[id].delays).map(([key, ms]) => [key.replace(/Ms$/, ''), ms]));
}
