import { beforeAll, describe, expect, it } from 'vitest';

import { drawDiagram } from '../../../src/diagram/diagram.ts';
import { escapeXml } from '../../../src/diagram/escape.ts';
import { movesOf, stateTree, walkStates } from '../../../src/diagram/graph.ts';
import { labelOf } from '../../../src/diagram/label.ts';
import { MACHINES, hostile, shippedRedis, vocabulary } from './machines.ts';

describe.each(MACHINES)('the SVG file of %s', (_what, definition) => {
  const known = vocabulary(definition.id);
  let svg: string;
  beforeAll(async () => {
    svg = await drawDiagram('svg', { definition, vocabulary: known });
  });

  it('shows every state once and every transition once', () => {
    const root = stateTree(definition);
    const moves = movesOf(root, definition.id, known);
    expect(svg.match(/ data-state="/g)).toHaveLength([...walkStates(root)].length);
    expect(svg.match(/ data-event="/g)).toHaveLength(moves.filter(({ internal }) => !internal).length);
    for (const { label } of moves) expect(svg).toContain(escapeXml(label));
  });

  it('is well-formed XML', () => {
    expect(firstFlaw(svg)).toBeUndefined();
    expect(firstFlaw(svg.replace('</g>', ''))).toBeDefined();
  });

  it('needs nothing around it: no script, no reference, no variable', () => {
    expect(svg.replace(' xmlns="http://www.w3.org/2000/svg"', '')).not.toMatch(/https?:|url\(|@import|var\(|href=/);
    expect(svg).not.toMatch(/<script|<foreignObject|\son\w+="/);
    expect(svg).toContain('@media (prefers-color-scheme: dark)');
  });

  it('is the same each time', async () => {
    expect(await drawDiagram('svg', { definition, vocabulary: known })).toBe(svg);
  });
});

describe('an SVG file', () => {
  it('tells guards, parameters and delays with the present numbers', async () => {
    const { policies, delays } = vocabulary('redis');
    const changed = {
      policies: { ...policies, successesToRecover: { doc: '', value: 7 } },
      delays: { ...delays, recoverTimeout: { doc: '', value: 90_000 } },
    };
    const known = { ...vocabulary('redis'), ...changed };
    const svg = await drawDiagram('svg', { definition: shippedRedis, vocabulary: known });
    expect(svg).toContain('probe.passed [recoverable successesToRecover=7]');
    expect(svg).toContain('after recoverTimeout (90s)');
    expect(svg).toContain('backends where a state names none');
  });

  it('lets no name out of its place', async () => {
    const svg = await drawDiagram('svg', { definition: hostile, vocabulary: vocabulary('hostile') });
    expect(svg.match(/<style>/g)).toHaveLength(1);
    expect(svg).toContain('&lt;script&gt;');
    // XML has no way to say either of the two, so a picture that held them could not be read at all.
    expect(svg).not.toContain('\u0000');
    expect(svg.isWellFormed()).toBe(true);
  });
});

describe('a label', () => {
  const event = { kind: 'event', name: 'go' } as const;
  const { policies, delays } = vocabulary('redis');

  it('names only, where no numbers are given', () => {
    const guard = { type: 'countAtLeast', params: { policy: 'failuresToTrip' } };
    expect(labelOf(event, { guard, actions: 'announce' })).toBe('go [countAtLeast]');
    expect(labelOf({ kind: 'after', name: 'recoverTimeout' }, {})).toBe('after recoverTimeout');
  });

  it('tells parameters of other guards as the file does, and actions by name', () => {
    const guard = { type: 'mine', params: { atLeast: 3, of: 'x', policy: 'unknown' } };
    const label = labelOf(event, { guard, actions: ['announce', { type: 'count' }] }, { policies, delays });
    expect(label).toBe('go [mine atLeast=3 of=x policy=unknown] / announce, count');
  });

  it('tells a delay of the file in its unit', () => {
    expect(labelOf({ kind: 'after', name: '250' }, {}, { policies, delays })).toBe('after 250ms');
    expect(labelOf({ kind: 'after', name: 'toString' }, {}, { policies, delays })).toBe('after toString');
  });
});

/** The first place where tags do not close in the order in which they open, or a sign is not escaped. */
function firstFlaw(svg: string): string | undefined {
  const open: string[] = [];
  const text = '(?:[^<>&"]|&(?:amp|lt|gt|quot|#39);)*';
  const tag = new RegExp(`<(/?)(\\w+)((?: [\\w:-]+="${text}")*)(/?)>${text}`, 'y');
  const rest = svg.replace(/<style>[^<&]*<\/style>/, '');
  while (tag.lastIndex < rest.length) {
    const at = tag.lastIndex;
    const [, end, name = '', , empty] = tag.exec(rest) ?? [];
    const closed = end ? open.pop() === name : true;
    if (name === '' || !closed) return rest.slice(at, at + 80);
    if (!end && !empty) open.push(name);
  }
  return open.at(-1);
}
