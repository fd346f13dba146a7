import { randomBytes } from 'node:crypto';

import type { Redoubt, RedoubtOptions, ReloadResult } from './api.ts';
import { checkOptions } from './check-options.ts';
import { type Audience, type LoadedConfig, loadConfig } from './config/load.ts';
import type { Config } from './config/schema.ts';
import { readVersion } from './config/version.ts';
import { watchFiles } from './config/watch.ts';
import { type Clock, sleep, systemClock } from './core/clock.ts';
import { RedoubtError } from './core/errors.ts';
import { LoopLag } from './core/loop-lag.ts';
import { type BackendTable, type Service, type ServiceName } from './core/mode.ts';
import { type Controls, createControls, loadDrivers, redisOf } from './controls.ts';
import { type Logger, createLogger } from './observe/log.ts';
import { type Metrics, createMetrics } from './observe/metrics.ts';
import { OPERATOR_EVENTS } from './runtime/events.ts';
import { type Extensions, loadExtensions } from './runtime/extensions.ts';
import { loadCheckedMachines, machineFolders } from './runtime/load.ts';
import { type Revision, type RevisionSource, mergeReloadable, revisionId } from './runtime/revision.ts';
import type { MachineDefinition, Machines } from './runtime/types.ts';
import { backendTableOf } from './runtime/vocabulary.ts';
import { createCache } from './services/cache/cache.ts';
import { createHealth } from './services/health/health.ts';
import { createJobs } from './services/jobs/jobs.ts';
import { createSessions } from './services/sessions/sessions.ts';
import { createSockets } from './services/sockets/sockets.ts';
import { type ShutdownTarget, shutDown, withSockets } from './shutdown.ts';
import { Steering } from './steering.ts';

/** A Redoubt whose machines have been started, whatever they have found so far. */
export interface ComposedRedoubt extends Redoubt {
  /** Resolves when all machines have their first verdict, or at the connect timeout; never rejects. */
  readonly settled: Promise<void>;
  /** @param source - what asked for it; shown by health */
  reload(source?: RevisionSource): ReloadResult;
}

const RELOAD_EVENT = 'operator.reload';

/**
 * Starts Redoubt: reads the configuration and the machines, connects in the background, and
 * resolves as soon as Redis and PostgreSQL have their first verdict, at the latest after
 * `delays.connectTimeout`. Redis need not be there.
 *
 * @throws {RedoubtError} `ERR_CONFIG`, `ERR_MACHINE` with every mistake at once, `ERR_EXTENSIONS`
 */
export async function createRedoubt(options: RedoubtOptions = {}): Promise<Redoubt> {
  const redoubt = await composeRedoubt(options);
  await redoubt.settled;
  return redoubt;
}

/**
 * The same without waiting for Redis or PostgreSQL: for a server that listens first.
 *
 * @param audience - whose environment and database are read: `server` has the process to itself
 * @throws {RedoubtError} `ERR_CONFIG`, `ERR_MACHINE` with every mistake at once, `ERR_EXTENSIONS`
 */
export async function composeRedoubt(
  options: RedoubtOptions = {},
  audience: Audience = 'library',
): Promise<ComposedRedoubt> {
  checkOptions(options);
  const read = (): LoadedConfig => {
    const { config: given } = options;
    return loadConfig({ audience, ...(typeof given === 'string' ? { file: given } : { overrides: given }) });
  };
  const { config, files, foreign } = read();
  const extensions = await loadExtensions(config.runtime.extensions, process.cwd());
  const dir = options.machines ?? config.machines.dir;
  const log = options.logger ?? createLogger(config.log.level);
  for (const { file, shared } of foreign) {
    const text = 'A file beside the application is left alone: its keys say that it is not for Redoubt alone';
    // A mistyped key of a file that was meant for us looks the same as somebody else's file with a key of our name.
    if (shared.length > 0) log.info({ file, keys: shared }, `${text}. What is for Redoubt belongs under "redoubt"`);
    else log.debug({ file }, text);
  }
  const load = (next: Config): readonly MachineDefinition[] =>
    loadCheckedMachines({ dir, config: next, extensions }, ({ code, message, file, line }) =>
      log.warn({ code, file, line }, `A machine file may not do what it seems to: ${message}`),
    );
  const source: Source = { read, load, files, folders: machineFolders(dir) };
  await loadDrivers(config);
  return new Composition(source, config, extensions, log, systemClock);
}

/** Where configuration and machines are read from, at the start and at each reload. */
interface Source {
  readonly read: () => LoadedConfig;
  readonly load: (config: Config) => readonly MachineDefinition[];
  readonly files: readonly string[];
  readonly folders: readonly string[];
}

class Composition implements ComposedRedoubt {
  readonly config: Config;
  readonly cache: ReturnType<typeof createCache>;
  readonly sessions: ReturnType<typeof createSessions>;
  readonly sockets: ReturnType<typeof createSockets>;
  readonly jobs: ReturnType<typeof createJobs>;
  readonly health: Redoubt['health'];
  readonly machines: Machines;
  readonly settled: Promise<void>;

  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #loopLag: LoopLag;
  readonly #source: Source;
  readonly #metrics: Metrics;
  readonly #backends: BackendTable;
  readonly #redisOf: ReadonlyMap<ServiceName, string>;
  readonly #controls: Controls;
  readonly #steering: Steering;
  readonly #stopping = new AbortController();
  readonly #watching: Disposable | undefined;
  readonly #stopExtensions: (() => void) | undefined;
  #running: Config;
  #revision: Revision;
  #draining = false;
  #closing: Promise<void> | undefined;
  #shutdown: Promise<boolean> | undefined;

  constructor(source: Source, config: Config, extensions: Extensions, log: Logger, clock: Clock) {
    this.config = config;
    this.#running = config;
    this.#source = source;
    this.#log = log;
    this.#clock = clock;
    this.#backends = backendTableOf(config);
    const definitions = source.load(config);
    this.#redisOf = redisOf(definitions, this.#backends);
    this.#revision = this.#revise(definitions, config, 'start', []);
    this.#loopLag = new LoopLag(clock);
    const instance = randomBytes(4).toString('hex');
    const version = readVersion();
    this.#controls = createControls({
      config,
      extensions,
      instance,
      log,
      clock,
      observe: (machine, outcome) => this.#steering.runners.get(machine)?.observe(outcome),
    });

    this.cache = createCache(this.#partsOf('cache'));
    this.sessions = createSessions({ ...this.#partsOf('sessions'), instance });
    this.sockets = createSockets(this.#partsOf('sockets'));
    this.jobs = createJobs(this.#partsOf('jobs'));
    const services: readonly Service[] = [this.cache, this.sessions, this.sockets, this.jobs];

    this.#steering = new Steering({
      config,
      definitions,
      backends: this.#backends,
      controls: this.#controls.all,
      extensions,
      services,
      redisOf: this.#redisOf,
      log,
      clock,
      loopLag: this.#loopLag,
    });
    this.machines = this.#facade(extensions);
    const reported = { config, machines: this.machines, services, version, revision: () => this.#revision };
    this.#metrics = createMetrics(reported);
    this.health = createHealth({
      ...reported,
      instance,
      peers: () => this.sessions.peers,
      clock,
      draining: () => this.#draining,
      started: () => this.#steering.isSettled,
    });

    this.#steering.start(this.#controls.disabled);
    this.settled = this.#settle();
    this.#stopExtensions = this.#startExtensions(extensions);
    this.#watching = config.runtime.watch ? this.#watch() : undefined;
  }

  get metrics(): Redoubt['metrics'] {
    return this.#metrics.registry;
  }

  drain(): void {
    this.#draining = true;
  }

  reload(source: RevisionSource = 'call'): ReloadResult {
    try {
      if (this.#closing) throw new RedoubtError('ERR_CLOSED');
      const { config, pending } = mergeReloadable(this.#running, this.#source.read().config);
      const definitions = this.#source.load(config);
      this.#assertSameRedises(definitions);
      const before = this.#revision.id;
      this.#running = config;
      this.#revision = this.#revise(definitions, config, source, pending);
      const { id } = this.#revision;
      if (id !== before) this.#steering.replace(definitions, config);
      this.#log.info({ revision: id, before, source, pending }, `Revision ${id} runs`);
      return { applied: true, revision: id, pending };
    } catch (error) {
      const message = error instanceof RedoubtError ? error.message : 'The files could not be read';
      this.#revision = { ...this.#revision, refused: { at: this.#clock.wallNow(), source, message } };
      const { id } = this.#revision;
      this.#log.error({ revision: id, source, err: error }, `The reload was refused, revision ${id} goes on`);
      return { applied: false, revision: id, message };
    }
  }

  shutdown(servers: ShutdownTarget | readonly ShutdownTarget[] = []): Promise<boolean> {
    this.#shutdown ??= shutDown({
      redoubt: this,
      servers: withSockets([servers].flat(), this.sockets.servers),
      config: this.config,
      log: this.#log,
      clock: this.#clock,
      random: Math.random,
    });
    return this.#shutdown;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #partsOf(service: ServiceName) {
    const { redises, postgres } = this.#controls;
    const redis = redises.get(this.#redisOf.get(service) ?? 'redis');
    if (!redis)
      throw new RedoubtError('ERR_MACHINE', { message: `${service} is given a Redis that is not configured` });
    const log = this.#log.child({ service });
    return { config: this.config, redis, sql: postgres, log, clock: this.#clock, random: Math.random };
  }

  #revise(
    definitions: readonly MachineDefinition[],
    config: Config,
    source: RevisionSource,
    pending: readonly string[],
  ): Revision {
    const id = revisionId(definitions, config);
    return { id, loadedAt: this.#clock.wallNow(), source, pending, refused: null };
  }

  #assertSameRedises(definitions: readonly MachineDefinition[]): void {
    const next = redisOf(definitions, this.#backends);
    for (const [service, name] of this.#redisOf) {
      if (next.get(service) === name) continue;
      const message = `${service} moves from ${name} to ${next.get(service)}, which needs a restart`;
      throw new RedoubtError('ERR_MACHINE', { message });
    }
  }

  #facade(extensions: Extensions): Machines {
    const steering = this.#steering;
    const types = [...OPERATOR_EVENTS, ...Object.keys(extensions.events ?? {}), RELOAD_EVENT];
    return {
      all: [...steering.runners.values()],
      get: (id) => steering.get(id),
      on: (_event, listener) => steering.listen(listener),
      send: (id, { type }) => {
        if (this.#closing) throw new RedoubtError('ERR_CLOSED');
        if (!types.includes(type)) {
          throw new RedoubtError('ERR_EVENT', { message: `found "${type}"; known are ${types.join(', ')}` });
        }
        if (type === RELOAD_EVENT) this.reload('operator');
        else steering.send(id, type);
      },
    };
  }

  #startExtensions({ start }: Extensions): (() => void) | undefined {
    const { machines } = this;
    const log = this.#log.child({ part: 'extensions' });
    const stop = start?.({ machines, log, send: (machine, event) => machines.send(machine, event) });
    return typeof stop === 'function' ? stop : undefined;
  }

  #watch(): Disposable {
    const { files, folders } = this.#source;
    return watchFiles({
      files,
      folders,
      clock: this.#clock,
      onChange: () => void this.reload('watch'),
      onError: (error) => this.#log.warn({ err: error }, 'A folder of configuration or machines cannot be watched'),
    });
  }

  async #settle(): Promise<void> {
    const { redis, postgres } = this.config;
    const boundMs = Math.max(redis.delays.connectTimeoutMs, postgres.delays.connectTimeoutMs);
    const done = new AbortController();
    const signal = AbortSignal.any([done.signal, this.#stopping.signal]);
    await Promise.race([this.#steering.settled(), sleep(this.#clock, boundMs, signal)]);
    done.abort();
  }

  async #close(): Promise<void> {
    this.#draining = true;
    this.#stopping.abort();
    this.#watching?.[Symbol.dispose]();
    const bound = new AbortController();
    const timer = this.#clock.setTimeout(() => bound.abort(), this.config.server.shutdownTimeoutMs);
    this.#clock.keepAlive?.(timer);
    try {
      this.#stopExtensions?.();
      // Workers first: what they still do may write to the cache and the sessions.
      for (const service of [this.jobs, this.cache, this.sessions, this.sockets]) {
        await service.close(bound.signal).catch((error: unknown) => {
          this.#log.error({ service: service.name, err: error }, `${service.name} could not be closed in good order`);
        });
      }
      this.#steering.stop();
      for (const redis of this.#controls.redises.values()) await redis.close();
      await this.#controls.postgres.close(bound.signal);
    } finally {
      this.#clock.clearTimeout(timer);
      this.#loopLag[Symbol.dispose]();
    }
  }
}
