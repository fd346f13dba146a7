import { loadPostgresDriver, loadRedisDriver } from './backends/drivers.ts';
import { type PostgresControl, createPostgresBackend, parseDatabaseUrl } from './backends/postgres.ts';
import { NoRedis } from './backends/redis-none.ts';
import { type RedisControl, createRedisBackend } from './backends/redis.ts';
import type { Config } from './config/schema.ts';
import type { Clock } from './core/clock.ts';
import { RedoubtError } from './core/errors.ts';
import { type BackendTable, SERVICES, type ServiceName } from './core/mode.ts';
import type { Outcome } from './core/outcome.ts';
import type { Logger } from './observe/log.ts';
import type { DetectorExtension, Extensions } from './runtime/extensions.ts';
import type { Probed } from './runtime/runner.ts';
import type { MachineDefinition, StateDefinition } from './runtime/types.ts';

/** What a machine steers: it is probed, engaged before it is used, and disengaged when it must not be. */
export interface Control extends Probed {
  engage(signal: AbortSignal): Promise<void>;
  disengage(): void;
  /** Names the one listener that is told when a ready connection breaks by itself. */
  onBroken?(listener: () => void): void;
}

export interface Controls {
  readonly postgres: PostgresControl;
  /** Redoubt's Redis as `redis`, and each of `runtime.redis` under its name. */
  readonly redises: ReadonlyMap<string, RedisControl>;
  /** Machines whose dependency the configuration does without. */
  readonly disabled: ReadonlySet<string>;
  /** One for each machine, by its id. */
  readonly all: ReadonlyMap<string, Control>;
}

/**
 * Loads what the configuration needs of the drivers before anything has a deadline. Loaded in the middle of the first
 * reconcile, they block the event loop for longer than its calls may take: seen on a busy machine as a second of degraded.
 */
export async function loadDrivers(config: Config): Promise<void> {
  const redises = [config.redis.url, ...Object.values(config.runtime.redis)];
  await Promise.all([
    redises.some((url) => url !== 'none') ? loadRedisDriver() : undefined,
    parseDatabaseUrl(config).kind === 'none' ? undefined : loadPostgresDriver(),
  ]);
}

/** Makes everything that machines follow; nothing is connected yet. */
export function createControls(options: {
  readonly config: Config;
  readonly extensions: Extensions;
  readonly instance: string;
  readonly log: Logger;
  readonly clock: Clock;
  /** Takes the outcome of every call, for the machine of this id. */
  readonly observe: (machine: string, outcome: Outcome) => void;
}): Controls {
  const { config, extensions, instance, log, clock, observe } = options;
  const urls = { redis: config.redis.url, ...config.runtime.redis };
  const redises = new Map(
    Object.entries(urls).map(([name, url]): [string, RedisControl] => [
      name,
      url === 'none'
        ? new NoRedis()
        : createRedisBackend({
            config: { ...config, redis: { ...config.redis, url } },
            instance,
            clock,
            random: Math.random,
            observe: (outcome) => observe(name, outcome),
            warn: (text) => log.warn({ machine: name }, text),
          }),
    ]),
  );
  const postgres = createPostgresBackend({
    config,
    log: log.child({ backend: 'postgres' }),
    clock,
    observe: (outcome) => observe('postgres', outcome),
  });
  const users = Object.entries(extensions.detectors ?? {}).map(
    ([id, detector]) => [id, usersControl(detector)] as const,
  );
  const disabled = new Set([
    ...(config.redis.url === 'none' ? ['redis'] : []),
    ...(postgres.kind === 'none' ? ['postgres'] : []),
  ]);
  return { postgres, redises, disabled, all: new Map<string, Control>([...redises, ['postgres', postgres], ...users]) };
}

/**
 * Which Redis each service works with: the one that the machines name for it.
 *
 * @throws {RedoubtError} `ERR_MACHINE` where they name two, since a service cannot move its data between them
 */
export function redisOf(
  definitions: readonly MachineDefinition[],
  backends: BackendTable,
): ReadonlyMap<ServiceName, string> {
  return new Map(
    SERVICES.map((service) => {
      const names = new Set(
        definitions
          .flatMap((definition) => namedIn(definition, service))
          .filter((name) => backends[name]?.kind === 'redis'),
      );
      if (names.size > 1) {
        const message = `${service} is given ${[...names].join(' and ')}; a service works with one Redis`;
        throw new RedoubtError('ERR_MACHINE', { message });
      }
      return [service, [...names][0] ?? 'redis'];
    }),
  );
}

function namedIn(state: StateDefinition, service: ServiceName): readonly string[] {
  const children = Object.values(state.states ?? {});
  return [...(state.meta?.backends?.[service] ?? []), ...children.flatMap((child) => namedIn(child, service))];
}

function usersControl({ probe, classify }: DetectorExtension): Control {
  return {
    probe,
    classify: classify ?? (() => ({ kind: 'lost', code: 'UNREACHABLE' })),
    engage: () => Promise.resolve(),
    disengage: () => undefined,
  };
}
