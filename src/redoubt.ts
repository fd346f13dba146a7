import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';

import type { Redoubt, RedoubtOptions } from './api.ts';
import { createPostgresBackend } from './backends/postgres.ts';
import { createRedisBackend } from './backends/redis.ts';
import { loadConfig } from './config/load.ts';
import type { Config } from './config/schema.ts';
import { type Clock, sleep, systemClock } from './core/clock.ts';
import { RedoubtError } from './core/errors.ts';
import { LoopLag } from './core/loop-lag.ts';
import { BACKENDS, type Mode, type Service, type ServiceName } from './core/mode.ts';
import { type Logger, createLogger } from './observe/log.ts';
import { ModeLog } from './observe/mode-log.ts';
import { createMetrics } from './observe/metrics.ts';
import { type EventType, OPERATOR_EVENTS } from './runtime/events.ts';
import { loadCheckedMachines } from './runtime/load.ts';
import { type MachineNow, backendsOf, computeModes } from './runtime/modes.ts';
import type { MachineId } from './runtime/registry.ts';
import { MachineRunner } from './runtime/runner.ts';
import type { MachineDefinition, Machines, Transition } from './runtime/types.ts';
import { createCache } from './services/cache/cache.ts';
import { createHealth } from './services/health/health.ts';
import { createJobs } from './services/jobs/jobs.ts';
import { createSessions } from './services/sessions/sessions.ts';
import { createSockets } from './services/sockets/sockets.ts';

/** A Redoubt whose machines have been started, whatever they have found so far. */
export interface ComposedRedoubt extends Redoubt {
  /** Resolves when both machines have their first verdict, or at the connect timeout; never rejects. */
  readonly settled: Promise<void>;
}

/** What a backend is to the composition root: it is engaged, disengaged, probed and closed. */
interface Control {
  engage(signal: AbortSignal): Promise<void>;
  disengage(): void;
}

const PACKAGE = new URL('../package.json', import.meta.url);

/**
 * Starts Redoubt: reads the configuration and the machines, connects in the background, and
 * resolves as soon as Redis and PostgreSQL have their first verdict, at the latest after
 * `delays.connectTimeout`. Redis need not be there.
 *
 * @throws {RedoubtError} `ERR_CONFIG` and `ERR_MACHINE` with every mistake at once
 */
export async function createRedoubt(options: RedoubtOptions = {}): Promise<Redoubt> {
  const redoubt = composeRedoubt(options);
  await redoubt.settled;
  return redoubt;
}

/**
 * The same without waiting for anything: for a server that listens first.
 *
 * @throws {RedoubtError} `ERR_CONFIG` and `ERR_MACHINE` with every mistake at once
 */
export function composeRedoubt(options: RedoubtOptions = {}): ComposedRedoubt {
  const { config: given } = options;
  const { config } = loadConfig(typeof given === 'string' ? { file: given } : { overrides: given });
  const definitions = loadCheckedMachines({ dir: options.machines ?? config.machines.dir, config });
  return new Composition(config, definitions, options.logger ?? createLogger(config.log.level), systemClock);
}

class Composition implements ComposedRedoubt {
  readonly config: Config;
  readonly cache: ReturnType<typeof createCache>;
  readonly sessions: ReturnType<typeof createSessions>;
  readonly sockets: ReturnType<typeof createSockets>;
  readonly jobs: ReturnType<typeof createJobs>;
  readonly health: Redoubt['health'];
  readonly machines: Machines;
  readonly metrics: Redoubt['metrics'];
  readonly settled: Promise<void>;

  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #loopLag: LoopLag;
  readonly #redis: ReturnType<typeof createRedisBackend>;
  readonly #postgres: ReturnType<typeof createPostgresBackend>;
  readonly #runners = new Map<MachineId, MachineRunner>();
  readonly #engaged = new Set<MachineId>();
  readonly #services: readonly Service[];
  readonly #modeLog: ModeLog;
  readonly #listeners = new Set<(transition: Transition) => void>();
  readonly #stopping = new AbortController();
  #modes: ReadonlyMap<ServiceName, Mode> = new Map();
  #draining = false;
  #closing: Promise<void> | undefined;

  constructor(config: Config, definitions: readonly MachineDefinition[], log: Logger, clock: Clock) {
    this.config = config;
    this.#log = log;
    this.#modeLog = new ModeLog(log);
    this.#clock = clock;
    this.#loopLag = new LoopLag(clock);
    const { random } = Math;
    const instance = randomBytes(4).toString('hex');
    const { version } = JSON.parse(readFileSync(PACKAGE, 'utf8')) as { version: string };

    this.#redis = createRedisBackend({
      config,
      instance,
      clock,
      random,
      observe: (outcome) => this.#runners.get('redis')?.observe(outcome),
    });
    this.#postgres = createPostgresBackend({
      config,
      log: log.child({ backend: 'postgres' }),
      clock,
      observe: (outcome) => this.#runners.get('postgres')?.observe(outcome),
    });
    this.#redis.onBroken(() => this.#runners.get('redis')?.suspect('CONNECTION_CLOSED'));
    this.#postgres.onBroken(() => this.#runners.get('postgres')?.suspect('CONNECTION_CLOSED'));

    const parts = { config, redis: this.#redis, sql: this.#postgres, clock, random };
    const logOf = (service: ServiceName): Logger => log.child({ service });
    this.cache = createCache({ ...parts, log: logOf('cache') });
    this.sessions = createSessions({ ...parts, log: logOf('sessions') });
    this.sockets = createSockets({ ...parts, log: logOf('sockets') });
    this.jobs = createJobs({ ...parts, log: logOf('jobs') });
    this.#services = [this.cache, this.sessions, this.sockets, this.jobs];

    for (const definition of definitions) this.#run(definition);
    this.machines = this.#facade();
    const reported = { config, machines: this.machines, services: this.#services, version };
    this.metrics = createMetrics(reported);
    this.health = createHealth({
      ...reported,
      instance,
      clock,
      draining: () => this.#draining,
      started: () => this.#isSettled(),
    });

    this.#applyModes();
    const disabled: Readonly<Record<MachineId, boolean>> = { redis: false, postgres: this.#postgres.kind === 'none' };
    for (const [id, runner] of this.#runners) runner.start(disabled[id]);
    this.settled = this.#settle();
  }

  drain(): void {
    this.#draining = true;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #run(definition: MachineDefinition): void {
    const id = definition.id as MachineId;
    const backend = id === 'redis' ? this.#redis : this.#postgres;
    const runner = new MachineRunner({
      id,
      definition,
      config: this.config,
      backend,
      reconcile: (signal) => this.#reconcile(id, backend, signal),
      onTransition: (transition) => this.#onTransition(id, backend, transition),
      log: this.#log,
      clock: this.#clock,
      random: Math.random,
      loopLag: this.#loopLag,
    });
    this.#runners.set(id, runner);
  }

  async #reconcile(id: MachineId, control: Control, signal: AbortSignal): Promise<void> {
    await control.engage(signal);
    await Promise.all(this.#services.map((service) => service.reconcile(id, signal)));
    signal.throwIfAborted();
    this.#engaged.add(id);
  }

  #onTransition(id: MachineId, control: Control, transition: Transition): void {
    const runner = this.#runners.get(id) as MachineRunner;
    const { from, to, event, reason } = transition;
    const level = runner.status === 'up' || runner.tags.has('recovering') ? 'info' : 'warn';
    this.#log[level]({ machine: id, from, to, event, reason: reason.code }, `${id} is ${to}: ${reason.message}`);
    const stays = runner.tags.has('usable') || runner.tags.has('recovering') || namesBackendOf(runner, id);
    if (!stays) this.#engaged.delete(id);
    // Modes first: calls that the lost clients reject must find the next backend in place.
    this.#applyModes();
    if (!stays) control.disengage();
    for (const listener of this.#listeners) {
      try {
        listener(transition);
      } catch (error) {
        this.#log.error({ machine: id, err: error }, 'A transition listener threw');
      }
    }
  }

  #applyModes(): void {
    const now = new Map<string, MachineNow>();
    for (const [id, { definition, state, status, reason }] of this.#runners) {
      now.set(id, { definition, state, usable: status === 'up', engaged: this.#engaged.has(id), reason });
    }
    const modes = computeModes(now, this.#modes, this.#clock.wallNow());
    for (const service of this.#services) {
      const mode = modes.get(service.name) as Mode;
      if (mode !== this.#modes.get(service.name)) service.applyMode(mode);
    }
    this.#modes = modes;
    // Before the first verdicts there is nothing to tell: everything starts without its dependencies.
    if (!this.#isSettled()) return;
    for (const service of this.#services) this.#modeLog.tell(modes.get(service.name) as Mode, service.report().notice);
  }

  #facade(): Machines {
    const get = (id: string): MachineRunner => {
      const runner = this.#runners.get(id as MachineId);
      if (runner) return runner;
      throw new RedoubtError('ERR_MACHINE', { message: `no machine "${id}" runs here` });
    };
    return {
      all: [...this.#runners.values()],
      get,
      on: (_event, listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      send: (id, { type }) => {
        if (!OPERATOR_EVENTS.includes(type)) throw new RedoubtError('ERR_EVENT', { message: `found "${type}"` });
        get(id).send({ type: type as EventType });
      },
    };
  }

  #isSettled(): boolean {
    return [...this.#runners.values()].every(({ hasVerdict }) => hasVerdict);
  }

  async #settle(): Promise<void> {
    const { redis, postgres } = this.config;
    const boundMs = Math.max(redis.delays.connectTimeoutMs, postgres.delays.connectTimeoutMs);
    const verdicts = Promise.all([...this.#runners.values()].map((runner) => runner.settled));
    const done = new AbortController();
    await Promise.race([verdicts, sleep(this.#clock, boundMs, AbortSignal.any([done.signal, this.#stopping.signal]))]);
    done.abort();
  }

  async #close(): Promise<void> {
    this.#draining = true;
    this.#stopping.abort();
    const bound = new AbortController();
    const timer = this.#clock.setTimeout(() => bound.abort(), this.config.server.shutdownTimeoutMs);
    try {
      // Workers first: what they still do may write to the cache and the sessions.
      for (const service of [this.jobs, this.cache, this.sessions, this.sockets]) {
        await service.close(bound.signal).catch((error: unknown) => {
          this.#log.error({ service: service.name, err: error }, `${service.name} could not be closed in good order`);
        });
      }
      for (const runner of this.#runners.values()) runner.stop();
      await this.#redis.close();
      await this.#postgres.close(bound.signal);
    } finally {
      this.#clock.clearTimeout(timer);
      this.#loopLag[Symbol.dispose]();
      this.#listeners.clear();
    }
  }
}

/** Whether a machine's own state still hands out the backend that it follows. */
function namesBackendOf({ definition, state }: MachineRunner, id: MachineId): boolean {
  return Object.values(backendsOf(definition, state)).some((names) =>
    names.some((name) => BACKENDS[name].machine === id),
  );
}
