import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { drawDiagram, drawDiagrams } from '../../../src/diagram/diagram.ts';
import { movesOf, stateTree, walkStates } from '../../../src/diagram/graph.ts';
import { toGraph } from '../../../src/diagram/json.ts';
import { MACHINES, shippedRedis, vocabulary } from './machines.ts';

describe.each(MACHINES)('the JSON graph of %s', (_what, definition) => {
  const known = vocabulary(definition.id);
  const root = stateTree(definition);
  const graph = toGraph(definition, known);

  it('holds every state and every transition once, and survives JSON', async () => {
    expect(graph.nodes.map(({ path }) => path)).toEqual([...walkStates(root)].map(({ path }) => path));
    const moves = movesOf(root, definition.id, known);
    expect(graph.edges.map(({ from, to, label }) => [from, to, label])).toEqual(
      moves.map(({ from, to, label }) => [from, to, label]),
    );
    expect(JSON.parse(await drawDiagram('json', { definition, vocabulary: known }))).toEqual(graph);
  });
});

describe('the JSON graph', () => {
  const graph = toGraph(shippedRedis, vocabulary('redis'));

  it('tells the backends that hold in a state, inherited ones too', () => {
    const slow = graph.nodes.find(({ path }) => path === 'degraded.slow');
    expect(slow).toMatchObject({ parent: 'degraded', type: 'atomic', backends: { sessions: ['postgres', 'memory'] } });
    expect(Object.keys(graph.backends).toSorted()).toEqual(['local', 'memory', 'postgres', 'redis', 'reject']);
  });

  it('tells guards with their parameters, delays in milliseconds and the thresholds that are named', () => {
    const { delays, policies } = vocabulary('redis');
    const guarded = graph.edges.find(({ from, to }) => from === 'degraded' && to === 'recovering');
    expect(guarded?.guard).toEqual({ type: 'recoverable', params: { policy: 'successesToRecover' } });
    const timed = graph.edges.find(({ trigger }) => trigger.name === 'recoverTimeout');
    expect(timed).toMatchObject({ trigger: { kind: 'after' }, delayMs: delays['recoverTimeout']?.value });
    expect(Object.keys(graph.delays).toSorted()).toEqual(['connectTimeout', 'recoverTimeout']);
    expect(graph.policies['successesToRecover']).toBe(policies['successesToRecover']?.value);
  });

  it('is an array for several machines', () => {
    const machines = MACHINES.map(([, definition]) => ({ definition, vocabulary: vocabulary(definition.id) }));
    const parsed = JSON.parse(drawDiagrams('json', machines)) as { machine: string }[];
    expect(parsed.map(({ machine }) => machine)).toEqual(machines.map(({ definition }) => definition.id));
  });

  it('has every key documented', () => {
    const page = readFileSync(new URL('../../../docs/diagram.md', import.meta.url), 'utf8');
    const keys = [graph, graph.nodes[0], graph.edges[0]].flatMap((part) => Object.keys(part ?? {}));
    for (const key of keys) expect(page).toContain(`\`${key}\``);
  });
});
