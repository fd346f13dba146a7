import type { ServiceName, ServiceReport } from '../../../src/core/mode.ts';
import type { Machine, MachineDefinition, Machines, MachineStatus, Transition } from '../../../src/runtime/types.ts';
import type { HealthReport } from '../../../src/services/health/types.ts';

const REVISION = { id: 'abc', loadedAt: '', source: 'start', pending: [], refused: null } as const;

/** A machine that goes where the test says. */
export class FakeMachine implements Machine {
  readonly id: string;
  readonly definition: MachineDefinition;
  readonly history: Transition[] = [];
  state: string;
  status: MachineStatus = 'down';
  since = 0;
  reason = { code: 'STARTED', message: 'The process has just started.' };
  nextProbeAt: number | null = null;
  flapping = false;

  constructor(definition: MachineDefinition, state: string) {
    this.definition = definition;
    this.id = definition.id;
    this.state = state;
  }

  snapshot(): Record<string, unknown> {
    return { status: 'active', value: this.state, context: { password: 'planted-secret' } };
  }
}

/** `Machines` without a runtime: `go` makes a transition. */
export class FakeMachines implements Machines {
  readonly all: readonly FakeMachine[];
  readonly #listeners = new Set<(transition: Transition) => void>();

  constructor(...all: FakeMachine[]) {
    this.all = all;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  get(id: string): FakeMachine {
    const machine = this.all.find((each) => each.id === id);
    if (!machine) throw new Error(`no machine ${id}`);
    return machine;
  }

  on(_event: 'transition', listener: (transition: Transition) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  send(): void {
    throw new Error('not in this fake');
  }

  go(id: string, to: string, event: string, status: MachineStatus, at: number): void {
    const machine = this.get(id);
    const reason = { code: event.toUpperCase().replace('.', '_'), message: `Because of ${event}.` };
    const transition = { machine: id, from: machine.state, to, event, reason, at, spentMs: at - machine.since };
    Object.assign(machine, { state: to, status, since: at, reason });
    machine.history.push(transition);
    for (const listener of this.#listeners) listener(transition);
  }
}

/** A health report in which every service uses `backend`. */
export function fakeHealth(status: HealthReport['status'], backend: ServiceReport['backend']): HealthReport {
  const preferred = 'redis';
  const report: ServiceReport = {
    backend,
    preferred,
    scope: backend === preferred ? 'fleet' : 'instance',
    counters: {},
  };
  const services: Record<ServiceName, ServiceReport> = {
    cache: report,
    sessions: report,
    sockets: { ...report, notice: 'Messages reach clients of this instance only.' },
    jobs: report,
  };
  const summary = status === 'pass' ? 'Everything works.' : 'Redis is out of use; everything is served without it.';
  return {
    status,
    summary,
    version: '0',
    uptime: 1,
    instance: 'test',
    revision: REVISION,
    machines: {},
    services,
    fleet: [],
  };
}
