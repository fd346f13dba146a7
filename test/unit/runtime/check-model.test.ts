import { describe, expect, it } from 'vitest';

import { loadConfig } from '../../../src/config/load.ts';
import { graphOf } from '../../../src/runtime/check/graph.ts';
import { walkModel } from '../../../src/runtime/check/model.ts';
import { loadMachines } from '../../../src/runtime/load.ts';
import type { MachineDefinition } from '../../../src/runtime/types.ts';
import { vocabularyOf } from '../../../src/runtime/vocabulary.ts';

const { config } = loadConfig({ env: {}, overrides: { runtime: { delays: { tick: '1s', tock: '3s' } } } });
const vocabulary = vocabularyOf(config, 'redis');
const walk = (definition: MachineDefinition) => walkModel(graphOf(definition, vocabulary), vocabulary);
const guard = { type: 'countAtLeast', params: { policy: 'failuresToTrip' } };

describe('walking the real machine', () => {
  it.each(loadMachines({ dir: '', config }).definitions)('agrees with the file of $id in every state', (definition) => {
    const words = vocabularyOf(config, definition.id);
    const graph = graphOf(definition, words);
    const { findings, walks, visited } = walkModel(graph, words);
    expect(findings).toEqual([]);
    expect([...visited].toSorted()).toEqual([...graph.reached].map(({ keys }) => keys.join('.')).toSorted());
    expect(walks).toBeGreaterThan(graph.atoms.length * 5);
  });

  it('agrees on nested and parallel states, timers that outlive a child, guards and always', () => {
    const { findings, visited } = walk({
      id: 'redis',
      initial: 'a',
      states: {
        a: { on: { 'probe.passed': { target: 'p', guard }, 'probe.failed': { target: '#redis.p.right.two' } } },
        p: {
          type: 'parallel',
          after: { tock: { target: 'a' } },
          states: {
            left: {
              initial: 'one',
              states: {
                one: { after: { tick: { target: 'two' } } },
                two: { always: { target: 'three', guard } },
                three: {},
              },
            },
            right: {
              initial: 'one',
              states: { one: { on: { 'probe.slowed': { target: 'two' } } }, two: { on: { 'probe.slowed': {} } } },
            },
          },
        },
      },
    });
    expect(findings).toEqual([]);
    expect([...visited]).toContain('p.left.three+p.right.two');
    expect([...visited]).toContain('p.left.two+p.right.one');
    expect(visited.size).toBe(7);
  });

  it('finds the actor whose rejection ends the machine, and the state that does', () => {
    const { findings } = walk({
      id: 'redis',
      initial: 'a',
      states: {
        a: { invoke: { src: 'reconcile', onDone: { target: 'b' }, onError: { target: 'b', guard } } },
        b: { type: 'final' },
      },
    });
    expect(findings).toMatchObject([
      { code: 'dies', path: 'states.b' },
      { code: 'dies', path: 'states.a.invoke', message: expect.stringContaining('take the guard') },
    ]);
  });

  it('ends, however large the machine', () => {
    const names = Array.from({ length: 400 }, (_, index) => `s${index}`);
    const states = names.map((name, index) => [
      name,
      {
        on: {
          'probe.passed': { target: names[(index + 1) % 400] ?? '', guard },
          'probe.failed': { target: names[0] ?? '' },
          'probe.slowed': { target: names[(index * 7) % 400] ?? '' },
        },
      },
    ]);
    const { walks } = walk({ id: 'redis', initial: 's0', states: Object.fromEntries(states) as never });
    expect(walks).toBeLessThanOrEqual(2000);
  });
});
