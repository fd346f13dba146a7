import type { Config } from '../../config/schema.ts';
import type { Clock } from '../../core/clock.ts';
import { LoopLag } from '../../core/loop-lag.ts';
import type { BackendTable, Mode, ServiceName } from '../../core/mode.ts';
import { seedFor, seededRandom } from '../../core/random.ts';
import { SimulatedClock } from '../../core/simulated-clock.ts';
import { silentLogger } from '../../observe/log.ts';
import type { Extensions } from '../extensions.ts';
import { type MachineNow, computeModes, isUsed } from '../modes.ts';
import { MachineRunner } from '../runner.ts';
import { sectionOf } from '../section.ts';
import type { MachineDefinition, StateDefinition, Transition } from '../types.ts';
import { backendTableOf } from '../vocabulary.ts';
import { SimulatedBackend } from './backend.ts';
import { type Called, type CalledBackend, Callers } from './callers.ts';
import { withoutEffects } from './harmless.ts';
import { Ledger, faultsOf, mostPerMinute, round, timeOn } from './ledger.ts';
import type { SimulatedTransition, SimulationResult } from './result.ts';
import type { Script } from './script.ts';
import { layOut } from './weather.ts';

export interface SimulationOptions {
  readonly script: Script;
  readonly config: Config;
  /** Checked. */
  readonly definitions: readonly MachineDefinition[];
  readonly extensions?: Extensions;
}

/**
 * Runs the real machines with their real detectors and thresholds against a scripted outage, on a
 * simulated clock. The same options give the same result, to the last millisecond.
 *
 * Nothing outside is touched: guards of extensions run, their actions are only noted, their actors end
 * at once, and their detectors are not asked.
 */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const world = new World(options);
  return world.run();
}

interface Inhabitant {
  readonly runner: MachineRunner;
  readonly backend: SimulatedBackend;
  engaged: boolean;
}

/** A clock that stands still: a simulated process is never blocked. */
const STILL: Clock = { now: () => 0, wallNow: () => 0, setTimeout: () => 0, clearTimeout: () => undefined };

class World {
  readonly #options: SimulationOptions;
  readonly #clock = new SimulatedClock();
  readonly #startedAt = this.#clock.wallNow();
  readonly #backends: BackendTable;
  readonly #machines = new Map<string, Inhabitant>();
  readonly #ledger = new Ledger();
  readonly #callers: Callers;
  readonly #transitions: SimulatedTransition[] = [];
  readonly #flapping = new Set<string>();
  readonly #actions: SimulationResult['actions'][number][] = [];
  #modes: ReadonlyMap<ServiceName, Mode> = new Map();

  constructor(options: SimulationOptions) {
    this.#options = options;
    const { script, config, definitions } = options;
    this.#backends = backendTableOf(config);
    const loopLag = new LoopLag(STILL);
    for (const definition of definitions) this.#add(definition, loopLag);
    this.#callers = new Callers({
      calls: script.calls,
      untilMs: script.durationMs,
      clock: this.#clock,
      random: seededRandom(seedFor(script.seed, 'calls')),
      modeOf: (service) => this.#modes.get(service) as Mode,
      backendOf: this.#findBackends(),
      used: () => [...this.#machines.values()].flatMap(({ engaged, backend }) => (engaged ? [backend] : [])),
      onFelt: (felt) => this.#ledger.felt(felt),
    });
  }

  async run(): Promise<SimulationResult> {
    const { script } = this.#options;
    this.#applyModes();
    this.#planBreaks();
    for (const { atMs, machine, event } of script.operator) {
      this.#clock.setTimeout(() => this.#machines.get(machine)?.runner.send({ type: event }), atMs);
    }
    for (const [id, { runner }] of this.#machines) runner.start(script.disabled.includes(id));
    this.#callers.start();
    await this.#clock.advance(script.durationMs);
    this.#callers.stop();
    const states = Object.fromEntries([...this.#machines].map(([id, { runner }]) => [id, runner.state]));
    for (const { runner } of this.#machines.values()) runner.stop();
    return this.#result(states);
  }

  #add(definition: MachineDefinition, loopLag: LoopLag): void {
    const { script, config, extensions = {} } = this.#options;
    const { id } = definition;
    const { seed, durationMs, weather, reconcile } = script;
    const { connectTimeoutMs } = id === 'postgres' ? config.postgres : config.redis;
    const backend = new SimulatedBackend({
      id,
      segments: layOut(weather[id] ?? [], id === 'postgres', durationMs),
      probeDeadlineMs: sectionOf(config, id).probe.deadlineMs,
      connectTimeoutMs,
      reconcile,
      clock: this.#clock,
      random: seededRandom(seedFor(seed, `${id} backend`)),
    });
    const runner = new MachineRunner({
      id,
      definition,
      config,
      backend,
      reconcile: (signal) => this.#reconcile(id, signal),
      extensions: withoutEffects(extensions, (action) => {
        this.#actions.push({ atMs: round(this.#clock.now()), machine: id, action });
      }),
      onTransition: (transition) => this.#onTransition(transition),
      log: silentLogger,
      clock: this.#clock,
      random: seededRandom(seedFor(seed, id)),
      loopLag,
    });
    this.#machines.set(id, { runner, backend, engaged: false });
  }

  async #reconcile(id: string, signal: AbortSignal): Promise<void> {
    const machine = this.#machines.get(id) as Inhabitant;
    await machine.backend.reconcile(signal);
    signal.throwIfAborted();
    machine.engaged = true;
  }

  #onTransition({ at, ...transition }: Transition): void {
    const { machine: id, spentMs } = transition;
    const machine = this.#machines.get(id) as Inhabitant;
    this.#transitions.push({ ...transition, spentMs, atMs: round(at - this.#startedAt) });
    if (machine.runner.flapping) this.#flapping.add(id);
    if (!isUsed(machine.runner, this.#backends)) machine.engaged = false;
    this.#applyModes();
    if (!machine.engaged) this.#callers.disengaged(id);
  }

  #applyModes(): void {
    const now = new Map<string, MachineNow>();
    for (const [id, { runner, engaged }] of this.#machines) {
      const { definition, state, status, reason } = runner;
      now.set(id, { definition, state, usable: status === 'up', engaged, reason });
    }
    this.#modes = computeModes(now, this.#backends, this.#modes, this.#clock.wallNow());
    for (const mode of this.#modes.values()) this.#ledger.mode(mode, this.#clock.now());
  }

  /** Connections that break by themselves accuse the backend, as those of real clients do. */
  #planBreaks(): void {
    const { script } = this.#options;
    for (const [id, { runner }] of this.#machines) {
      if (script.disabled.includes(id)) continue;
      const segments = layOut(script.weather[id] ?? [], id === 'postgres', script.durationMs);
      for (const { breaks, fromMs } of segments) {
        if (!breaks || fromMs === 0) continue;
        this.#clock.setTimeout(() => {
          if (this.#machines.get(id)?.engaged) runner.suspect('CONNECTION_CLOSED');
        }, fromMs);
      }
    }
  }

  #findBackends(): (service: Called, kind: Mode['backend']) => CalledBackend | undefined {
    const { config, definitions } = this.#options;
    const found = new Map<string, CalledBackend>();
    for (const service of ['cache', 'sessions'] as const) {
      for (const [name, { kind, machine: id }] of Object.entries(this.#backends)) {
        const machine = this.#machines.get(id ?? '');
        if (!machine || found.has(`${service} ${kind}`) || !definitions.some((each) => names(each, service, name)))
          continue;
        found.set(`${service} ${kind}`, {
          machine: machine.runner.id,
          backend: machine.backend,
          // What the detector is told of a call, a service in more of a hurry does not change.
          deadlineMs:
            kind === 'postgres'
              ? config.postgres.deadlineMs
              : Math.max(config[service].deadlineMs, config.redis.deadlineMs),
          slowCallMs: sectionOf(config, machine.runner.id).detect.slowCallMs,
          observe: (outcome) => machine.runner.observe(outcome),
        });
      }
    }
    return (service, kind) => found.get(`${service} ${kind}`);
  }

  #result(states: Readonly<Record<string, string>>): SimulationResult {
    const { script } = this.#options;
    const { title, seed, durationMs } = script;
    const services = this.#ledger.services(durationMs);
    const usable = (id: string, state: string): boolean => {
      const definition = this.#machines.get(id)?.runner.definition;
      return definition !== undefined && hasTag(definition, state, 'usable');
    };
    return {
      title,
      seed,
      durationMs,
      transitions: this.#transitions,
      weather: Object.entries(script.weather)
        .flatMap(([machine, weather]) =>
          weather.flatMap(({ atMs, is, untilMs }) => [
            { atMs, machine, is },
            ...(untilMs === undefined ? [] : [{ atMs: untilMs, machine, is: 'up' as const }]),
          ]),
        )
        .filter(({ atMs }) => atMs <= durationMs)
        .toSorted((a, b) => a.atMs - b.atMs),
      operator: script.operator,
      actions: this.#actions,
      services,
      faults: faultsOf(script, this.#transitions, usable),
      calls: this.#ledger.calls(),
      jobsRefusedMs: timeOn(services.jobs, ['reject', 'none']),
      sessionsOnPostgresMs: timeOn(services.sessions, ['postgres']),
      sessionsOnMemoryMs: timeOn(services.sessions, ['memory', 'none']),
      cacheOnMemoryMs: timeOn(services.cache, ['memory', 'none']),
      mostTransitionsPerMinute: mostPerMinute(this.#transitions),
      flapping: [...this.#flapping],
      states,
    };
  }
}

function names(state: StateDefinition, service: Called, backend: string): boolean {
  if (state.meta?.backends?.[service]?.includes(backend)) return true;
  return Object.values(state.states ?? {}).some((child) => names(child, service, backend));
}

/** Whether a dotted state, or one above it, carries a tag. */
function hasTag(definition: MachineDefinition, state: string, tag: string): boolean {
  return state.split('+').some((region) => {
    let node: StateDefinition | undefined = definition;
    return region.split('.').some((key) => {
      node = node?.states?.[key];
      return node?.tags?.includes(tag) === true;
    });
  });
}
