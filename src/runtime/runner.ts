import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import type { LoopLag } from '../core/loop-lag.ts';
import type { Reason } from '../core/mode.ts';
import type { Outcome, OutcomeKind } from '../core/outcome.ts';
import type { Logger } from '../observe/log.ts';
import { SupervisedActor } from './actor.ts';
import { Detector } from './detector.ts';
import type { MachineEvent } from './events.ts';
import type { Extensions } from './extensions.ts';
import { type RuntimeActor, createRegistry } from './registry.ts';
import { detectorPolicyOf } from './section.ts';
import type { Machine, MachineDefinition, MachineStatus, Transition } from './types.ts';

/** What the detector asks of the backend that a machine follows. */
export interface Probed {
  probe(signal: AbortSignal): Promise<{ readonly latencyMs: number }>;
  classify(error: unknown): { readonly kind: OutcomeKind; readonly code: string };
}

export interface RunnerOptions {
  readonly id: string;
  readonly definition: MachineDefinition;
  readonly config: Config;
  readonly backend: Probed;
  readonly reconcile: RuntimeActor;
  readonly extensions?: Extensions;
  /** Called after each change of state; the runner already shows the new one. */
  readonly onTransition: (transition: Transition) => void;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: () => number;
  readonly loopLag: LoopLag;
}

/** One machine at work: its supervised actor, the detector that feeds it, and its history. */
export class MachineRunner implements Machine {
  readonly id: string;
  readonly #options: RunnerOptions;
  readonly #actor: SupervisedActor;
  readonly #detector: Detector;
  #definition: MachineDefinition;
  readonly #clock: Clock;
  readonly #history: Transition[] = [];
  #hasVerdict = false;
  readonly #settled = Promise.withResolvers<void>();

  constructor(options: RunnerOptions) {
    const {
      id,
      definition,
      config,
      backend,
      reconcile,
      extensions = {},
      onTransition,
      log,
      clock,
      random,
      loopLag,
    } = options;
    this.id = id;
    this.#options = options;
    this.#definition = definition;
    this.#clock = clock;
    this.#actor = new SupervisedActor({
      definition,
      clock,
      log,
      registry: createRegistry({ config, id, log, reconcile, extensions }),
      onTransition: (transition) => {
        this.#history.push(transition);
        if (this.#history.length > config.machines.historyLength) this.#history.shift();
        this.#detector.follow(this.tags);
        if (!this.tags.has('recovering')) this.#reachVerdict();
        onTransition(transition);
      },
    });
    this.#detector = new Detector({
      policy: detectorPolicyOf(config, id),
      probe: (signal) => backend.probe(signal),
      classify: (error) => backend.classify(error),
      lostEvent: `${id}.lost`,
      send: (event) => this.#actor.send(event),
      loopLag,
      clock,
      random,
    });
  }

  get definition(): MachineDefinition {
    return this.#definition;
  }

  get state(): string {
    return this.#actor.state.value;
  }

  get tags(): ReadonlySet<string> {
    return this.#actor.state.tags;
  }

  get status(): MachineStatus {
    if (this.tags.has('usable')) return 'up';
    return this.tags.has('degraded') ? 'degraded' : 'down';
  }

  get since(): number {
    return this.#actor.state.since;
  }

  get reason(): Reason {
    return this.#actor.state.reason;
  }

  get nextProbeAt(): number | null {
    const at = this.#detector.nextProbeAt;
    return at === null ? null : Math.round(this.#clock.wallNow() + Math.max(0, at - this.#clock.now()));
  }

  get flapping(): boolean {
    return this.#detector.flapping;
  }

  get history(): readonly Transition[] {
    return this.#history;
  }

  /** Whether it has found out once whether the dependency can be used. */
  get hasVerdict(): boolean {
    return this.#hasVerdict;
  }

  /** Resolves with the first verdict: used, or out of use; never rejects. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  snapshot(): Readonly<Record<string, unknown>> {
    // A projection, not the whole snapshot: contexts and errors of users' parts may hold anything.
    const { status, value, historyValue } = this.#actor.persisted();
    return { status, value, historyValue, tags: [...this.tags] };
  }

  /** @param disabled - none is configured: the machine is told so and nothing is ever probed */
  start(disabled: boolean): void {
    this.#detector.follow(this.tags);
    this.#actor.start();
    if (disabled) this.#actor.send({ type: 'dependency.disabled' });
    else this.#detector.start();
  }

  /** Goes on with another definition and other numbers, in the present state where there still is one. */
  replace(definition: MachineDefinition, config: Config): void {
    const { id, log, reconcile, extensions = {} } = this.#options;
    this.#definition = definition;
    this.#detector.setPolicy(detectorPolicyOf(config, id));
    this.#actor.replace(definition, createRegistry({ config, id, log, reconcile, extensions }));
    this.#detector.follow(this.tags);
  }

  send(event: MachineEvent): void {
    this.#actor.send(event);
  }

  observe(outcome: Outcome): void {
    this.#detector.observe(outcome);
  }

  /** A connection broke by itself. */
  suspect(code: string): void {
    this.#detector.suspect(code);
  }

  stop(): void {
    this.#detector.stop();
    this.#actor.stop();
    this.#reachVerdict();
  }

  #reachVerdict(): void {
    this.#hasVerdict = true;
    this.#settled.resolve();
  }
}
