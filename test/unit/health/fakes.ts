import type { BackendKind, ServiceName, ServiceReport } from '../../../src/core/mode.ts';
import type { Revision } from '../../../src/runtime/revision.ts';
import type { Machine, MachineDefinition, Machines, MachineStatus, Transition } from '../../../src/runtime/types.ts';

/** Where the simulated wall clock starts. */
export const WALL_START = Date.UTC(2026, 0, 1);

const STATES: MachineDefinition['states'] = {
  connecting: {},
  available: { tags: ['usable'] },
  degraded: { tags: ['degraded'], states: { unreachable: {}, slow: {} } },
  recovering: { tags: ['degraded'] },
  disabled: { tags: ['disabled'] },
};

/** What runs since the start. */
export const fakeRevision = (): Revision => ({
  id: 'abc123abc123',
  loadedAt: WALL_START,
  source: 'start',
  pending: [],
  refused: null,
});

/** A machine that stands where the test put it. */
export function fakeMachine(id: string, state: string, facts: Partial<Machine> = {}): Machine {
  const status: MachineStatus = state === 'available' ? 'up' : /^degraded|recovering/.test(state) ? 'degraded' : 'down';
  return {
    id,
    definition: { id, initial: 'connecting', states: STATES },
    state,
    status,
    since: WALL_START,
    reason: { code: 'ECONNREFUSED', message: 'The port refused the connection' },
    nextProbeAt: null,
    flapping: false,
    history: [],
    snapshot: () => ({ value: state }),
    ...facts,
  };
}

/** A transition, one second after another. */
export function fakeTransition(index: number, reason = { code: 'ECONNREFUSED', message: 'refused' }): Transition {
  const at = WALL_START + index * 1000;
  return { machine: 'redis', from: 'available', to: 'degraded.slow', event: 'calls.slow', reason, at, spentMs: 10.4 };
}

/** Machines as the library shows them, with what was sent to them. */
export function fakeMachines(...all: Machine[]): Machines & { readonly sent: string[]; tell(t: Transition): void } {
  const listeners = new Set<(transition: Transition) => void>();
  const sent: string[] = [];
  return {
    all,
    sent,
    tell: (transition) => listeners.forEach((listener) => listener(transition)),
    get: (id) => all.find((machine) => machine.id === id) as Machine,
    on: (_event, listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    send: (id, { type }) => void sent.push(`${id} ${type}`),
  };
}

/** The four services, each on its first backend unless the test says otherwise. */
export function fakeServices(
  backends: Partial<Record<ServiceName, BackendKind | 'none'>> = {},
): { readonly name: ServiceName; report(): ServiceReport }[] {
  return (['cache', 'sessions', 'sockets', 'jobs'] as const).map((name) => ({
    name,
    report: () => ({
      backend: backends[name] ?? 'redis',
      preferred: 'redis',
      scope: backends[name] ? 'instance' : 'fleet',
      counters: { hits: 3, loadFailures: 1 },
    }),
  }));
}
