import { loadConfig } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/schema.ts';
import { classifyRedisError } from '../../../src/backends/redis-errors.ts';
import { RedoubtError } from '../../../src/core/errors.ts';
import { LoopLag } from '../../../src/core/loop-lag.ts';
import { silentLogger } from '../../../src/observe/log.ts';
import { loadCheckedMachines } from '../../../src/runtime/load.ts';
import { MachineRunner } from '../../../src/runtime/runner.ts';
import type { MachineDefinition, Transition } from '../../../src/runtime/types.ts';
import { SimulatedClock } from '../../support/clock.ts';

/** What the simulated Redis does with a probe: passes after so many milliseconds, or fails so. */
export type Weather = number | 'refused' | 'silent' | 'readOnly' | 'wrongPassword';

export interface RigOptions {
  readonly overrides?: object;
  readonly definition?: MachineDefinition;
  readonly reconcile?: (signal: AbortSignal) => Promise<void>;
}

/** The shipped Redis machine with its real detector, on a simulated clock and a scripted Redis. */
export function startRig(options: RigOptions = {}) {
  const config: Config = loadConfig({ overrides: options.overrides, env: {} }).config;
  const definition =
    options.definition ??
    (loadCheckedMachines({ dir: '', config }).find(({ id }) => id === 'redis') as MachineDefinition);
  const clock = new SimulatedClock();
  const loopLag = new LoopLag(clock);
  const transitions: Transition[] = [];
  const rig = {
    weather: 1 as Weather,
    probes: 0,
    clock,
    transitions,
    path: () => transitions.map(({ to }) => to),
    probe: async (): Promise<{ latencyMs: number }> => {
      rig.probes += 1;
      const { weather } = rig;
      if (typeof weather === 'number') {
        await new Promise<void>((resolve) => clock.setTimeout(resolve, weather));
        return { latencyMs: weather };
      }
      if (weather === 'refused') throw Object.assign(new Error(), { code: 'ECONNREFUSED' });
      if (weather === 'readOnly') throw Object.assign(new Error('OOM command not allowed'), { name: 'ReplyError' });
      if (weather === 'wrongPassword') throw Object.assign(new Error('WRONGPASS invalid'), { name: 'ReplyError' });
      const { deadlineMs } = config.redis.probe;
      await new Promise<void>((resolve) => clock.setTimeout(resolve, deadlineMs));
      throw new RedoubtError('ERR_DEADLINE', { deadlineMs });
    },
    runner: undefined as unknown as MachineRunner,
    [Symbol.dispose]: () => {
      rig.runner.stop();
      loopLag[Symbol.dispose]();
    },
  };
  rig.runner = new MachineRunner({
    id: 'redis',
    definition,
    config,
    backend: { probe: rig.probe, classify: classifyRedisError },
    reconcile: options.reconcile ?? (() => Promise.resolve()),
    onTransition: (transition) => transitions.push(transition),
    log: silentLogger,
    clock,
    random: () => 0.5,
    loopLag,
  });
  rig.runner.start(false);
  return rig;
}
