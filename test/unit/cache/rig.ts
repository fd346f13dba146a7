import { loadConfig } from '../../../src/config/load.ts';
import { RedoubtError } from '../../../src/core/errors.ts';
import type { Mode } from '../../../src/core/mode.ts';
import { silentLogger } from '../../../src/observe/log.ts';
import { createCache } from '../../../src/services/cache/cache.ts';
import { SimulatedClock } from '../../support/clock.ts';
import { FakeRedis } from './fake-redis.ts';

/** The mode that a state gives the cache; `preferred` is Redis unless said otherwise. */
export function modeOf(backend: 'redis' | 'memory', preferred: 'redis' | 'memory' = 'redis'): Mode {
  const reason = { code: 'TEST', message: 'The test wants it so.' };
  return { service: 'cache', backend, usable: [backend], preferred, since: 0, reason };
}

/** What a call throws while Redis is out of use. */
export const unavailable = (): RedoubtError => new RedoubtError('ERR_REDIS_UNAVAILABLE');

/** A cache on a simulated clock and a fake Redis, in mode `redis`. */
export function startRig(cacheConfig: object = {}) {
  const { config } = loadConfig({ env: { NODE_ENV: 'test' }, overrides: { cache: cacheConfig } });
  const clock = new SimulatedClock();
  const redis = new FakeRedis();
  const cache = createCache({ config, redis, log: silentLogger, clock, random: () => 0.5 });
  cache.applyMode(modeOf('redis'));
  const lose = (): void => {
    redis.fail = unavailable();
    redis.engaged = false;
    cache.applyMode(modeOf('memory'));
  };
  const comeBack = async (): Promise<void> => {
    redis.fail = undefined;
    redis.engaged = true;
    await cache.reconcile('redis', new AbortController().signal);
    cache.applyMode(modeOf('redis'));
  };
  return { cache, clock, redis, config, lose, comeBack, [Symbol.asyncDispose]: () => cache[Symbol.asyncDispose]() };
}
