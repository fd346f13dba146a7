import type { Config } from '../config/schema.ts';
import type { Logger } from '../observe/log.ts';
import type { MachineEvent } from './events.ts';
import type { Extensions } from './extensions.ts';
import { POLICY_NAMES, type PolicyName, delaysOf, policiesOf } from './section.ts';
import type { Documented } from './documented.ts';

/** The machines that are always run. */
export const MACHINE_IDS = ['redis', 'postgres'] as const;

type Params = Readonly<Record<string, unknown>> | undefined;
type Guard = (event: MachineEvent, params: Params) => boolean;
type Action = (event: MachineEvent, params: Params) => void;
/** Runs while its state is active; `signal` is aborted when the state is left. */
export type RuntimeActor = (signal: AbortSignal) => Promise<unknown>;

/** What machine definitions may name; the one place where names become code. */
export interface Registry {
  readonly guards: Readonly<Record<string, Guard>>;
  readonly actions: Readonly<Record<string, Action>>;
  /** Milliseconds by name. */
  readonly delays: Readonly<Record<string, number>>;
  readonly actors: Readonly<Record<string, RuntimeActor>>;
}

/** Redoubt's own guards. */
export const GUARDS = {
  countAtLeast: {
    doc: 'The event carries at least as many consecutive probes as the policy in detect.* asks for.',
    params: { policy: POLICY_NAMES },
    required: ['policy'],
  },
  recoverable: {
    doc: 'As countAtLeast, and the least stay in degraded (holdDown.*) is over.',
    params: { policy: POLICY_NAMES },
    required: ['policy'],
  },
} as const satisfies Record<string, Documented>;

/** Redoubt's own actions. */
export const ACTIONS = {
  announce: {
    doc: 'Logs its message at its level.',
    params: { message: [], level: ['info', 'warn', 'error'] },
    required: ['message'],
  },
} as const satisfies Record<string, Documented>;

/** Redoubt's own actors. */
export const ACTORS = {
  reconcile: {
    doc: 'Connects the clients and makes both sides agree; done when the dependency may be used.',
    params: {},
  },
} as const satisfies Record<string, Documented>;

/** Binds names to code and to the numbers of the configuration. */
export function createRegistry(options: {
  readonly config: Config;
  readonly id: string;
  readonly log: Logger;
  readonly reconcile: RuntimeActor;
  readonly extensions?: Extensions;
}): Registry {
  const { config, id, log, reconcile, extensions = {} } = options;
  const policies = policiesOf(config, id);
  const reached: Guard = (event, params) => (event.count ?? 0) >= policies[params?.['policy'] as PolicyName].value;
  return {
    guards: {
      ...({
        countAtLeast: reached,
        recoverable: (event, params) => reached(event, params) && (event.heldMs ?? 0) <= 0,
      } satisfies Record<keyof typeof GUARDS, Guard>),
      ...bindUsers(
        extensions.guards,
        ({ test }) =>
          (event: MachineEvent, params: Params) =>
            test(event, params ?? {}),
      ),
    },
    actions: {
      ...({
        announce: (_event, params) => {
          const level = (params?.['level'] ?? 'info') as 'info' | 'warn' | 'error';
          log[level]({ machine: id }, String(params?.['message'] ?? ''));
        },
      } satisfies Record<keyof typeof ACTIONS, Action>),
      ...bindUsers(
        extensions.actions,
        ({ run }) =>
          (event: MachineEvent, params: Params) =>
            run(event, params ?? {}),
      ),
    },
    delays: Object.fromEntries(Object.entries(delaysOf(config, id)).map(([name, { value }]) => [name, value])),
    actors: {
      ...({ reconcile } satisfies Record<keyof typeof ACTORS, RuntimeActor>),
      ...bindUsers(extensions.actors, ({ run }) => run),
    },
  };
}

function bindUsers<From, To>(parts: Readonly<Record<string, From>> = {}, bind: (part: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, bind(part)]));
}
