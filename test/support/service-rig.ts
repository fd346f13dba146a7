import { type RedisControl, createRedisBackend } from '../../src/backends/redis.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { BackendKind, Mode, Service, ServiceName } from '../../src/core/mode.ts';

/** Where no config file lies, so that only the schema's defaults and the test's own settings count. */
const NO_FILES = '/nonexistent';

/** The schema's defaults with a test's settings on top; no file and no environment is read. */
export function testConfig(overrides: object = {}): Config {
  return loadConfig({ dir: NO_FILES, env: {}, overrides }).config;
}

/** A mode as a transition would write it. */
export function modeOf(service: ServiceName, usable: readonly BackendKind[], preferred: BackendKind = 'redis'): Mode {
  return {
    service,
    backend: usable[0] ?? 'none',
    usable,
    preferred,
    since: Date.now(),
    reason: { code: 'TEST', message: 'The test said so' },
  };
}

/** A Redis backend that the test steers in place of the machine. */
export function testBackend(config: Config): RedisControl {
  return createRedisBackend({
    config,
    instance: 'test',
    clock: systemClock,
    random: Math.random,
    observe: () => undefined,
  });
}

/** What the machine does on the way to `available`: connects, reconciles, gives out the mode. */
export async function recover(backend: RedisControl, service: Service, usable: readonly BackendKind[]): Promise<void> {
  const signal = AbortSignal.timeout(5_000);
  await backend.engage(signal);
  await service.reconcile('redis', signal);
  service.applyMode(modeOf(service.name, usable));
}

/** What the machine does when Redis is lost: another mode first, then the clients go. */
export function degrade(backend: RedisControl, service: Service, usable: readonly BackendKind[]): void {
  service.applyMode(modeOf(service.name, usable));
  backend.disengage();
}
