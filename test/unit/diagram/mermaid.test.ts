import { describe, expect, it } from 'vitest';

import { drawDiagram, drawDiagrams } from '../../../src/diagram/diagram.ts';
import {
  type Move,
  isWithin,
  joinPath,
  movesOf,
  relativePath,
  stateTree,
  walkStates,
} from '../../../src/diagram/graph.ts';
import { toMermaid } from '../../../src/diagram/mermaid.ts';
import type { MachineDefinition } from '../../../src/runtime/types.ts';
import { MACHINES, shippedRedis, vocabulary } from './machines.ts';
import { type MermaidDiagram, parseMermaid } from './parse-mermaid.ts';

const plain = (text: string): string =>
  text
    .toWellFormed()
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .trim();

describe.each(MACHINES)('the Mermaid diagram of %s', (_what, definition) => {
  const numbers = vocabulary(definition.id);
  const root = stateTree(definition);
  const states = [...walkStates(root)].filter(({ path }) => path !== '');
  const framed = new Set(states.filter(({ children }) => children.length > 0).map(({ path }) => path)).add('');
  const diagram = parseMermaid(toMermaid(definition, numbers));
  const paths = pathsOf(diagram, definition);

  it('shows every state once, in the frame of its parent', () => {
    expect([...paths.values()].toSorted()).toEqual(states.map(({ path }) => path).toSorted());
  });

  it('shows every transition once, on an arrow or in a note', () => {
    const told = diagram.arrows.flatMap(({ from, to, lines }) =>
      lines.map((line) => `${paths.get(from)}: ${line} (to ${paths.get(to)})`),
    );
    const noted = [...diagram.notes.values()].flatMap((lines) =>
      lines.flatMap((line) => line.replace(/^↺ /, '').split(' · ')),
    );
    const moves = movesOf(root, definition.id, numbers);
    const drawn = moves.filter((move) => !isNoted(move, framed));
    expect(told.toSorted()).toEqual(drawn.map((move) => drawnText(move)).toSorted());
    for (const { label } of moves.filter((move) => isNoted(move, framed))) {
      const lines = noted.filter((line) => line === plain(label) || line.startsWith(`${plain(label)} → `));
      expect(lines).toHaveLength(moves.filter((move) => move.label === label && isNoted(move, framed)).length);
    }
  });

  it('draws no arrow between a frame and what lies in it, and no note at a frame, which Mermaid fails on', () => {
    const frames = new Set([...diagram.states.values()].map(({ parent }) => parent));
    for (const { from, to } of diagram.arrows) {
      const [a, b] = [paths.get(from) ?? '', paths.get(to) ?? ''];
      expect(a === b ? frames.has(from) : isWithin(a, b) || isWithin(b, a)).toBe(false);
    }
    for (const id of diagram.notes.keys()) expect(frames).not.toContain(id);
  });

  it('starts each frame where its definition does', () => {
    const starts = diagram.starts.map(({ to }) => paths.get(to));
    const initial = [...walkStates(root)].flatMap((state) => state.initial ?? []);
    expect(starts.toSorted()).toEqual(initial.toSorted());
  });
});

/** Whether Mermaid cannot draw it: it leads nowhere, or between a frame and what lies in it. */
function isNoted({ from, to, internal }: Move, framed: ReadonlySet<string>): boolean {
  return internal || (from === to ? framed.has(from) : isWithin(from, to) || isWithin(to, from));
}

/** `degraded: probe.passed (to recovering)`: the arrow ends at the outermost state that it does not come out of. */
function drawnText({ from, to, label }: Move): string {
  const keys = to.split('.');
  const depth = keys.findIndex((_key, index) => !isWithin(from, keys.slice(0, index + 1).join('.')));
  const end = from === to ? to : keys.slice(0, depth + 1).join('.');
  const inner = relativePath(to, end);
  return `${from}: ${plain(inner === '' ? label : `${label} → ${inner}`)} (to ${end})`;
}

describe('Mermaid', () => {
  it('tells backends, tags, guards and delays with their numbers', () => {
    const { notes, arrows } = parseMermaid(toMermaid(shippedRedis, vocabulary('redis')));
    const lines = arrows.flatMap((arrow) => arrow.lines);
    const { policies, delays } = vocabulary('redis');
    expect(lines).toContain(`probe.passed [recoverable successesToRecover=${policies['successesToRecover']?.value}]`);
    expect(lines.some((line) => /^after recoverTimeout \(\d+m?s\)$/.test(line))).toBe(true);
    expect(delays['recoverTimeout']).toBeDefined();
    expect(notes.get('s_available')).toEqual([
      'tags usable',
      'cache redis → memory',
      'sessions redis → postgres → memory',
      'sockets redis → local',
      'jobs redis → reject',
    ]);
    expect(notes.get('s_connecting')?.[0]).toBe('all of redis');
  });

  it('shows several machines as Markdown, a block for each', async () => {
    const machines = MACHINES.map(([, definition]) => ({ definition, vocabulary: vocabulary(definition.id) }));
    const blocks = [...drawDiagrams('mermaid', machines).matchAll(/^```mermaid\n([^]*?)^```$/gm)];
    const single = await Promise.all(machines.map((machine) => drawDiagram('mermaid', machine)));
    expect(blocks.map(([, text]) => text)).toEqual(single);
  });
});

/** Path by id; a parallel state says so behind its name. */
function pathsOf({ states }: MermaidDiagram, definition: MachineDefinition): ReadonlyMap<string, string> {
  const known = new Set([...walkStates(stateTree(definition))].map(({ path }) => path));
  const pathOf = (id: string): string => {
    const { name = '', parent } = states.get(id) ?? {};
    const path = joinPath(parent === undefined ? '' : pathOf(parent), name);
    return known.has(path) ? path : path.replace(/ \(parallel\)$/, '');
  };
  return new Map([...states.keys()].map((id) => [id, pathOf(id)]));
}
