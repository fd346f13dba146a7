import type { MachineDefinition } from '../../../src/runtime/types.ts';

/** Shaped like the shipped one: a compound state, grouped arrows, guards, delays, an actor, an internal transition. */
export const redisLike: MachineDefinition = {
  id: 'redis',
  initial: 'connecting',
  meta: { backends: { cache: ['memory'], sessions: ['postgres', 'memory'], sockets: ['local'], jobs: ['reject'] } },
  on: { 'operator.isolate': { target: '.degraded.isolated' } },
  states: {
    connecting: {
      on: {
        'probe.passed': { target: 'recovering', guard: { type: 'successesAtLeast', params: { policy: 'x' } } },
        'redis.refused': { target: 'degraded.refused' },
        'redis.readOnly': { target: 'degraded.readOnly' },
      },
      after: { connectTimeout: { target: 'degraded' } },
    },
    available: {
      tags: ['usable'],
      meta: {
        backends: {
          cache: ['redis', 'memory'],
          sessions: ['redis', 'postgres', 'memory'],
          sockets: ['redis', 'local'],
          jobs: ['redis', 'reject'],
        },
      },
      on: {
        'redis.lost': { target: 'degraded' },
        'calls.failing': { target: 'degraded' },
        'redis.refused': { target: 'degraded.refused' },
        'redis.readOnly': { target: 'degraded.readOnly' },
        'calls.slow': { target: 'degraded.slow' },
        'probe.passed': { actions: 'resetCounts' },
      },
    },
    degraded: {
      initial: 'unreachable',
      tags: ['degraded'],
      on: {
        'probe.passed': { target: 'recovering', guard: { type: 'mayRecover' } },
        'redis.lost': { target: '.unreachable' },
        'redis.refused': { target: '.refused' },
        'redis.readOnly': { target: '.readOnly' },
        'calls.slow': { target: '.slow' },
      },
      states: {
        unreachable: {},
        slow: {},
        readOnly: {},
        refused: {},
        isolated: {
          on: {
            'operator.release': { target: 'unreachable' },
            'probe.passed': {},
            'redis.lost': {},
            'redis.refused': {},
            'redis.readOnly': {},
            'calls.slow': {},
          },
        },
      },
    },
    recovering: {
      tags: ['degraded'],
      invoke: { src: 'reconcile', onDone: { target: 'available' }, onError: { target: 'degraded' } },
      on: { 'redis.lost': { target: 'degraded' } },
      after: { recoverTimeout: { target: 'degraded' } },
    },
  },
};

/** A parallel machine whose names need escaping. */
export const parallelLike: MachineDefinition = {
  id: 'both',
  type: 'parallel',
  states: {
    link: {
      initial: 'up',
      states: {
        up: { description: 'a < b & "c"', on: { 'x<y>&"z"': { target: 'down' } } },
        down: { type: 'final', after: { '250': { target: 'up', guard: 'may<be' } } },
      },
    },
    load: {
      initial: 'low',
      states: { low: { on: { rise: { target: 'high' } } }, high: { always: { target: 'low', guard: 'calm' } } },
    },
  },
};
