import { describe, expect, it } from 'vitest';

import { drawDiagrams } from '../../../src/diagram/diagram.ts';
import { toDot } from '../../../src/diagram/dot.ts';
import { isWithin, movesOf, relativePath, stateTree, walkStates } from '../../../src/diagram/graph.ts';
import { MACHINES, shippedRedis, vocabulary } from './machines.ts';
import { linesOf, parseDot } from './parse-dot.ts';

/** As Graphviz gets it: control signs are spaces. */
const plain = (text: string): string =>
  text
    .replaceAll(/\p{Cc}+/gu, ' ')
    .trim()
    .replaceAll(/\s+/g, ' ');

describe.each(MACHINES)('the dot graph of %s', (_what, definition) => {
  const numbers = vocabulary(definition.id);
  const root = stateTree(definition);
  const states = [...walkStates(root)];
  const graph = parseDot(toDot(definition, numbers));

  it('shows every state once, as a node or a cluster', () => {
    const leaves = states.filter(({ children }) => children.length === 0).map(({ path }) => path);
    const nodes = [...graph.nodes.keys()].filter((name) => !/^dot_\d+$/.test(name));
    expect(nodes.toSorted()).toEqual(leaves.map((path) => plain(path)).toSorted());
    const frames = states.filter(({ children }) => children.length > 0);
    const titles = [...graph.clusters.values()].map((attributes) => linesOf(attributes)[0]?.replace(/ \([^)]*\)$/, ''));
    expect(titles).toEqual(frames.map(({ name }) => plain(name)));
  });

  it('shows every transition once, on an edge or in the text of its state', () => {
    const edges = graph.edges.flatMap(({ attributes }) => linesOf(attributes));
    const inside = [...graph.nodes.values(), ...graph.clusters.values()].flatMap((attributes) =>
      linesOf(attributes).flatMap((line) => line.replace(/^↺ /, '').split(' · ')),
    );
    const all = [...edges, ...inside];
    for (const move of movesOf(root, definition.id, numbers)) {
      const label = plain(move.label);
      const fits = (line: string): boolean => line === label || line.startsWith(`${label} → `);
      const same = movesOf(root, definition.id, numbers).filter((other) => other.label === move.label);
      expect(all.filter(fits)).toHaveLength(same.length);
    }
  });

  it('leads every edge from its state to its target, or to the frame around it', () => {
    const frames = states.filter(({ children }) => children.length > 0);
    const clusters = [...graph.clusters.keys()];
    const pathOf = (node: string, cluster: string | undefined): string =>
      cluster === undefined ? node : (frames[clusters.indexOf(cluster)]?.path ?? 'unknown');
    const moves = movesOf(root, definition.id, numbers);
    for (const { from, to, attributes } of graph.edges) {
      const [source, target] = [pathOf(from, attributes['ltail']), pathOf(to, attributes['lhead'])];
      for (const line of linesOf(attributes)) {
        const fits = moves.filter((move) => {
          const inner = relativePath(move.to, target);
          const text = inner === '' ? move.label : `${move.label} → ${inner}`;
          return plain(move.from) === source && isWithin(plain(move.to), target) && plain(text) === line;
        });
        expect(fits).toHaveLength(1);
      }
    }
  });
});

describe('dot', () => {
  it('tells backends, tags, guards and delays with their numbers', () => {
    const text = toDot(shippedRedis, vocabulary('redis'));
    expect(text).toContain('available (usable)');
    expect(text).toContain('sessions redis → postgres → memory');
    expect(text).toMatch(/probe\.passed \[recoverable successesToRecover=\d+\]/);
    expect(text).toMatch(/after recoverTimeout \(\d+m?s\)/);
  });

  it('shows several machines as one graph behind the other', () => {
    const machines = MACHINES.map(([, definition]) => ({ definition, vocabulary: vocabulary(definition.id) }));
    const graphs = drawDiagrams('dot', machines).split(/^(?=digraph )/m);
    expect(graphs.map((text) => parseDot(text).name)).toEqual(machines.map(({ definition }) => definition.id));
  });
});
