import { describe, expect, it } from 'vitest';

import { silentLogger } from '../../../src/observe/log.ts';
import { SupervisedActor, startingIn, stateName } from '../../../src/runtime/actor.ts';
import type { Registry } from '../../../src/runtime/registry.ts';
import type { MachineDefinition, Transition } from '../../../src/runtime/types.ts';
import { SimulatedClock } from '../../support/clock.ts';

const definition: MachineDefinition = {
  id: 'redis',
  initial: 'a',
  states: {
    a: { on: { 'probe.passed': { target: 'b', actions: { type: 'shout' } } } },
    b: {
      on: {
        'probe.failed': { target: 'a' },
        'probe.slowed': { guard: { type: 'broken' }, target: 'a' },
        'operator.isolate': { target: 'c' },
      },
    },
    c: { initial: 'deep', states: { deep: { after: { soon: { target: '#redis.a' } } } } },
  },
};

function start(registry: Partial<Registry> = {}) {
  const clock = new SimulatedClock();
  const transitions: Transition[] = [];
  const actor = new SupervisedActor({
    definition,
    clock,
    log: silentLogger,
    registry: {
      guards: {
        broken: () => {
          throw new Error('guard');
        },
      },
      actions: {
        shout: () => {
          throw new Error('action');
        },
      },
      delays: { soon: 500 },
      actors: {},
      ...registry,
    },
    onTransition: (transition) => {
      transitions.push(transition);
      throw new Error('listener');
    },
  });
  actor.start();
  return { actor, clock, transitions, [Symbol.dispose]: () => actor.stop() };
}

describe('supervised actor', () => {
  it('lives on when an action, a guard and a listener throw', () => {
    using rig = start();
    rig.actor.send({ type: 'probe.passed' });
    rig.actor.send({ type: 'probe.slowed' });
    expect(rig.actor.state.value).toBe('b');
    rig.actor.send({ type: 'probe.failed' });
    expect(rig.actor.state.value).toBe('a');
    expect(rig.transitions).toHaveLength(2);
  });

  it('tells each transition with its event, its reason and the time spent', async () => {
    using rig = start();
    await rig.clock.advance(300);
    rig.actor.send({ type: 'probe.passed', reason: { code: 'X', message: 'because' } });
    expect(rig.transitions[0]).toMatchObject({
      machine: 'redis',
      from: 'a',
      to: 'b',
      event: 'probe.passed',
      spentMs: 300,
      reason: { code: 'X', message: 'because' },
    });
  });

  it('runs delays by their names and says which one ran out', async () => {
    using rig = start();
    rig.actor.send({ type: 'probe.passed' });
    rig.actor.send({ type: 'operator.isolate' });
    expect(rig.actor.state.value).toBe('c.deep');
    await rig.clock.advance(500);
    expect(rig.actor.state.value).toBe('a');
    expect(rig.transitions.at(-1)?.reason.code).toBe('after.soon');
  });

  it('names nested and parallel states with dots and pluses', () => {
    expect(stateName({ degraded: 'slow' })).toBe('degraded.slow');
    expect(stateName({ x: 'one', y: { z: 'two' } })).toBe('x.one+y.z.two');
  });

  it('can start in any state, with its timers armed', () => {
    const moved = startingIn(definition, 'c.deep');
    expect(moved.initial).toBe('c');
    expect(moved.states?.['c']?.initial).toBe('deep');
  });
});
