import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { beforeAll, describe, expect, it } from 'vitest';

import { drawLayout } from '../../../src/diagram/drawing.ts';
import { movesOf, stateTree, walkStates } from '../../../src/diagram/graph.ts';
import { type Layout, layoutMachine } from '../../../src/diagram/layout.ts';
import type { MachineDefinition } from '../../../src/runtime/types.ts';
import { parallelLike, redisLike } from '../inspect/machines.ts';

const shipped = (name: string): MachineDefinition =>
  JSON.parse(readFileSync(new URL(`../../../machines/${name}.machine.json`, import.meta.url), 'utf8'));

interface Area {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

function overlap(a: Area, b: Area): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

function contains(outer: Area, inner: Area): boolean {
  return (
    inner.x >= outer.x &&
    inner.y >= outer.y &&
    inner.x + inner.width <= outer.x + outer.width &&
    inner.y + inner.height <= outer.y + outer.height
  );
}

/** The room that a frame's own text takes. */
function header(state: Layout['states'][number]): Area {
  return { x: state.x, y: state.y, width: state.box.width, height: state.box.height };
}

describe.each([
  ['a compound machine', redisLike],
  ['a parallel machine', parallelLike],
  ['machines/redis.machine.json', shipped('redis')],
  ['machines/postgres.machine.json', shipped('postgres')],
])('the picture of %s', (_name, definition) => {
  let layout: Layout;
  let svg: string;
  const root = stateTree(definition);

  beforeAll(async () => {
    layout = await layoutMachine(definition);
    svg = drawLayout(layout, definition.id);
  });

  it('shows every state once', () => {
    const drawn = [...svg.matchAll(/data-state="([^"]*)"/g)].map((match) => match[1]);
    expect(drawn.toSorted()).toEqual([...walkStates(root)].map((state) => state.path).toSorted());
  });

  it('shows every transition once, on an arrow or in the box of its state', () => {
    const moves = movesOf(root, definition.id);
    const onArrows = layout.arrows.flatMap((arrow) => arrow.moves);
    const inBoxes = layout.states.flatMap(({ box }) => box.lines.flatMap((line) => line.move ?? []));
    const internal = moves.filter((move) => move.internal);
    expect([...onArrows, ...inBoxes, ...internal].toSorted(byLabel)).toEqual(moves.toSorted(byLabel));
    for (const { label, from } of internal) {
      const box = layout.states.find(({ state }) => state.path === from)?.box;
      expect(box?.lines.filter((line) => line.kind === 'internal' && line.text.includes(label))).toHaveLength(1);
    }
  });

  it('leads arrows only to states that exist', () => {
    const paths = new Set(layout.states.map(({ state }) => state.path));
    for (const { from, to, points } of layout.arrows) {
      expect(paths).toContain(from);
      expect(paths).toContain(to);
      expect(points.length).toBeGreaterThan(1);
    }
  });

  it('puts no box over another, and every box into the frame of its parent', () => {
    for (const frame of layout.states) {
      const children = layout.states.filter(({ state }) => frame.state.children.includes(state));
      for (const [index, child] of children.entries()) {
        expect(contains(frame, child)).toBe(true);
        expect(overlap(header(frame), child)).toBe(false);
        for (const other of children.slice(index + 1)) expect(overlap(child, other)).toBe(false);
      }
    }
  });

  it('puts no label over another or over a box', () => {
    const labels = layout.arrows.flatMap(({ label }) => label ?? []);
    const boxes = layout.states.map((state) => (state.state.children.length > 0 ? header(state) : state));
    for (const [index, label] of labels.entries()) {
      for (const other of [...labels.slice(index + 1), ...boxes]) expect(overlap(label, other)).toBe(false);
    }
  });

  it('ends each arrow at the border of its state', () => {
    for (const { to, points } of layout.arrows) {
      const target = layout.states.find(({ state }) => state.path === to);
      const tip = points.at(-1);
      if (!target || !tip) throw new Error(`no arrow to ${to}`);
      const grown = { x: target.x - 1, y: target.y - 1, width: target.width + 2, height: target.height + 2 };
      expect(contains(grown, { ...tip, width: 0, height: 0 })).toBe(true);
      const inner = { x: target.x + 1, y: target.y + 1, width: target.width - 2, height: target.height - 2 };
      expect(contains(inner, { ...tip, width: 0, height: 0 })).toBe(false);
    }
  });

  it('carries no style, script or event handler, so that a strict policy lets it pass', () => {
    expect(svg).not.toMatch(/<style|<script|\sstyle=|\son\w+=/);
  });
});

describe('drawing', () => {
  it('escapes names, labels and descriptions', async () => {
    const svg = drawLayout(await layoutMachine(parallelLike), 'a"<b>');
    expect(svg).toContain('a &lt; b &amp; &quot;c&quot;');
    expect(svg).toContain('x&lt;y&gt;&amp;&quot;z&quot;');
    expect(svg).toContain('[may&lt;be]');
    expect(svg).toContain('data-machine="a&quot;&lt;b&gt;"');
  });

  it('groups transitions between the same two states into one arrow with a line for each', async () => {
    const { arrows } = await layoutMachine(redisLike);
    const lost = arrows.filter((arrow) => arrow.from === 'available' && arrow.to.startsWith('degraded'));
    expect(lost).toHaveLength(1);
    expect(lost[0]?.lines).toEqual([
      'redis.lost',
      'calls.failing',
      'redis.refused  → refused',
      'redis.readOnly → readOnly',
      'calls.slow     → slow',
    ]);
  });

  it('draws the same picture each time', async () => {
    const [one, two] = await Promise.all([layoutMachine(redisLike), layoutMachine(redisLike)]);
    expect(drawLayout(one, 'redis')).toBe(drawLayout(two, 'redis'));
  });

  it('never loads ELK into the thread that serves requests', async () => {
    await layoutMachine(redisLike);
    expect(Object.keys(createRequire(import.meta.url).cache).filter((file) => file.includes('elkjs'))).toEqual([]);
  });

  it('says which machine could not be laid out', async () => {
    const broken = { id: 'broken', initial: 'a', states: { a: { on: { go: { target: 'nowhere' } } } } };
    await expect(layoutMachine(broken)).rejects.toMatchObject({ code: 'ERR_MACHINE', details: { machine: 'broken' } });
  });
});

function byLabel(
  a: { from: string; to: string; label: string },
  b: { from: string; to: string; label: string },
): number {
  const key = (move: typeof a): string => `${move.from} ${move.to} ${move.label}`;
  return key(a).localeCompare(key(b));
}
