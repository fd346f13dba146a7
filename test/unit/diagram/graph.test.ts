import { describe, expect, it } from 'vitest';
import { createMachine } from 'xstate';

import { movesOf, stateTree } from '../../../src/diagram/graph.ts';
import { redisLike } from '../inspect/machines.ts';

describe('the transitions of a definition', () => {
  it('lead where XState leads them', () => {
    const machine = createMachine(redisLike as Parameters<typeof createMachine>[0]);
    const ours = movesOf(stateTree(redisLike), 'redis');
    const known = new Map<string, string>();
    const visit = (node: typeof machine.root): void => {
      for (const [event, transitions] of node.transitions) {
        for (const { target } of transitions) {
          known.set(`${node.path.join('.')} ${event}`, target?.[0]?.path.join('.') ?? node.path.join('.'));
        }
      }
      for (const child of Object.values(node.states)) visit(child);
    };
    visit(machine.root);
    expect(new Map(ours.map(({ from, event, to }) => [`${from} ${event}`, to]))).toEqual(known);
  });

  it('know absolute and relative targets', () => {
    const definition = {
      id: 'm',
      states: {
        a: {
          initial: 'b',
          on: { down: { target: '.b' }, top: { target: '#m.c.d' }, root: { target: '#m' }, deep: { target: 'c.d' } },
          states: { b: {} },
        },
        c: { initial: 'd', states: { d: {} } },
      },
    };
    const moves = movesOf(stateTree(definition), 'm');
    expect(moves.map(({ event, to }) => [event, to])).toEqual([
      ['down', 'a.b'],
      ['top', 'c.d'],
      ['root', ''],
      ['deep', 'c.d'],
    ]);
  });
});
