import type { Config } from './config/schema.ts';
import type { Control } from './controls.ts';
import type { Clock } from './core/clock.ts';
import { RedoubtError } from './core/errors.ts';
import type { LoopLag } from './core/loop-lag.ts';
import type { BackendTable, Mode, Service, ServiceName } from './core/mode.ts';
import type { Logger } from './observe/log.ts';
import { ModeLog } from './observe/mode-log.ts';
import type { EventType } from './runtime/events.ts';
import type { Extensions } from './runtime/extensions.ts';
import { type MachineNow, computeModes, isUsed } from './runtime/modes.ts';
import { MachineRunner } from './runtime/runner.ts';
import type { MachineDefinition, Transition } from './runtime/types.ts';

export interface SteeringOptions {
  readonly config: Config;
  readonly definitions: readonly MachineDefinition[];
  readonly backends: BackendTable;
  readonly controls: ReadonlyMap<string, Control>;
  readonly extensions: Extensions;
  readonly services: readonly Service[];
  /** The Redis that each service works with. */
  readonly redisOf: ReadonlyMap<ServiceName, string>;
  readonly log: Logger;
  readonly clock: Clock;
  readonly loopLag: LoopLag;
}

/**
 * The middle of the loop: runs the machines, turns their states into the services' modes, and
 * engages and disengages what they follow.
 *
 * A transition does, in this order: the modes of all services, then the backends, then the listeners.
 * Calls that a lost client rejects find the next backend already in place.
 */
export class Steering {
  readonly runners = new Map<string, MachineRunner>();
  readonly #options: SteeringOptions;
  readonly #modeLog: ModeLog;
  readonly #engaged = new Set<string>();
  readonly #listeners = new Set<(transition: Transition) => void>();
  #modes: ReadonlyMap<ServiceName, Mode> = new Map();

  constructor(options: SteeringOptions) {
    this.#options = options;
    this.#modeLog = new ModeLog(options.log);
    for (const definition of options.definitions) this.#run(definition);
    this.#applyModes();
  }

  /** @param disabled - machines whose dependency is not configured */
  start(disabled: ReadonlySet<string>): void {
    for (const [id, runner] of this.runners) runner.start(disabled.has(id));
  }

  /** Goes on with other definitions and numbers; each machine keeps its state where it still exists. */
  replace(definitions: readonly MachineDefinition[], config: Config): void {
    for (const definition of definitions) this.runners.get(definition.id)?.replace(definition, config);
    this.#applyModes();
    for (const [id, control] of this.#options.controls) this.#disengageUnlessUsed(id, control);
  }

  /** @throws {RedoubtError} `ERR_MACHINE` for a machine that does not run */
  get(id: string): MachineRunner {
    const runner = this.runners.get(id);
    if (runner) return runner;
    throw new RedoubtError('ERR_MACHINE', { message: `no machine "${id}" runs here` });
  }

  send(id: string, type: EventType): void {
    this.get(id).send({ type });
  }

  listen(listener: (transition: Transition) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whether every machine has found out once how its dependency is. */
  get isSettled(): boolean {
    return [...this.runners.values()].every(({ hasVerdict }) => hasVerdict);
  }

  /** Resolves when it is settled; never rejects. */
  async settled(): Promise<void> {
    await Promise.all([...this.runners.values()].map((runner) => runner.settled));
  }

  stop(): void {
    for (const runner of this.runners.values()) runner.stop();
    this.#listeners.clear();
  }

  #run(definition: MachineDefinition): void {
    const { config, controls, extensions, log, clock, loopLag } = this.#options;
    const { id } = definition;
    const control = controls.get(id);
    if (!control) throw new RedoubtError('ERR_MACHINE', { message: `machine "${id}" has nothing to follow` });
    const runner = new MachineRunner({
      id,
      definition,
      config,
      backend: control,
      extensions,
      reconcile: (signal) => this.#reconcile(id, control, signal),
      onTransition: (transition) => this.#onTransition(control, transition),
      log,
      clock,
      random: Math.random,
      loopLag,
    });
    control.onBroken?.(() => runner.suspect('CONNECTION_CLOSED'));
    this.runners.set(id, runner);
  }

  async #reconcile(id: string, control: Control, signal: AbortSignal): Promise<void> {
    const { services, redisOf } = this.#options;
    await control.engage(signal);
    await Promise.all(
      services.map((service) => {
        if (id === 'postgres') return service.reconcile('postgres', signal);
        return redisOf.get(service.name) === id ? service.reconcile('redis', signal) : undefined;
      }),
    );
    signal.throwIfAborted();
    this.#engaged.add(id);
  }

  #onTransition(control: Control, transition: Transition): void {
    const { log } = this.#options;
    const { machine: id, from, to, event, reason } = transition;
    const { status, tags } = this.get(id);
    const level = status === 'up' || tags.has('recovering') || tags.has('disabled') ? 'info' : 'warn';
    log[level]({ machine: id, from, to, event, reason: reason.code }, `${id} is ${to}: ${reason.message}`);
    this.#applyModes();
    this.#disengageUnlessUsed(id, control);
    for (const listener of this.#listeners) {
      try {
        listener(transition);
      } catch (error) {
        log.error({ machine: id, err: error }, 'A transition listener threw');
      }
    }
  }

  #disengageUnlessUsed(id: string, control: Control): void {
    if (isUsed(this.get(id), this.#options.backends)) return;
    this.#engaged.delete(id);
    control.disengage();
  }

  #applyModes(): void {
    const { backends, services, clock } = this.#options;
    const now = new Map<string, MachineNow>();
    for (const [id, runner] of this.runners) {
      const { definition, state, status, reason, tags } = runner;
      const engaged = this.#engaged.has(id) && isUsed(runner, backends);
      now.set(id, { definition, state, usable: status === 'up', disabled: tags.has('disabled'), engaged, reason });
    }
    const modes = computeModes(now, backends, this.#modes, clock.wallNow());
    for (const service of services) {
      const mode = modes.get(service.name) as Mode;
      if (mode !== this.#modes.get(service.name)) service.applyMode(mode);
    }
    this.#modes = modes;
    // Before the first verdicts there is nothing to tell: everything starts without its dependencies.
    if (!this.isSettled) return;
    for (const service of services) {
      if (service.isUsed) this.#modeLog.tell(modes.get(service.name) as Mode, service.report().notice);
    }
  }
}
