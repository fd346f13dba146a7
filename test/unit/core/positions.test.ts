import JSON5 from 'json5';
import { describe, expect, it } from 'vitest';

import { SourceError, nodeAt, placeOf, scanSource } from '../../../src/core/positions.ts';

const JSON_TEXT = '{\n  "a": { "b.c": 1,\n    "b": { "c": [true, "x"] } },\n  "d": null\n}';

function placeIn(text: string, path: string, part: 'key' | 'value' = 'value') {
  const node = nodeAt(scanSource(text, 'json5').root, path);
  const { line, column } = placeOf(text, node[part]);
  return `${line}:${column}`;
}

describe('where values stand in a text', () => {
  it.each([
    ['a', 'key', '2:3'],
    ['a', 'value', '2:8'],
    // The longest key that fits is meant: keys of machines hold dots.
    ['a.b.c', 'value', '2:17'],
    ['a.b.c.1', 'value', '2:17'],
    ['d', 'value', '4:8'],
    ['', 'value', '1:1'],
  ] as const)('tells the %s of %s', (path, part, place) => {
    expect(placeIn(JSON_TEXT, path, part)).toBe(place);
  });

  it('goes to the nearest around a path that is not there', () => {
    expect(placeIn(JSON_TEXT, 'a.nothing.here', 'key')).toBe('2:3');
  });

  it('reads JSON5 as people write it', () => {
    const text = "// head\n{ a: 'it\\'s', /* b */ \"b\": [1, .5, +2,],\n  $c: { d: Infinity, }, }\n";
    expect(JSON5.parse(text)).toMatchObject({ b: [1, 0.5, 2] });
    expect(placeIn(text, 'b.1')).toBe('2:32');
    expect(placeIn(text, '$c.d', 'key')).toBe('3:9');
  });

  it('finds the keys that an object has twice, at any depth', () => {
    const { duplicates } = scanSource('{"a": {"x": 1, "y": 2, "x": 3}, "b": {"x": 1}}', 'json');
    expect(duplicates).toEqual([{ path: 'a.x', first: 7, second: 23 }]);
  });

  it.each([
    ['{"a": 1,}', 8, 'remove the comma'],
    ['{"a": 1 "b": 2}', 8, '"," or "}"'],
    ['{"a": // no\n1}', 6, 'no comments'],
    ["{'a': 1}", 1, 'double quotes'],
    ['{"a": 01}', 6, 'a value'],
    ['{"a": tru}', 6, 'a value'],
    ['{"a": 1', 7, 'the end of the file'],
    ['{} x', 3, 'the end of the file'],
    ['', 0, 'a value'],
  ])('says where %s is no JSON', (text, offset, words) => {
    expect(() => JSON.parse(text)).toThrow(SyntaxError);
    let caught: unknown;
    try {
      scanSource(text, 'json');
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(SourceError);
    expect(caught).toMatchObject({ offset, message: expect.stringContaining(words) });
  });

  it('takes every JSON that JSON.parse takes', () => {
    const value = { 'ä "q" \\': ['\u2028', '\t', -1.5e-7, 0, {}, [], [[]], true, false, null], '': { '': '' } };
    for (const space of [0, 2]) expect(() => scanSource(JSON.stringify(value, null, space), 'json')).not.toThrow();
  });
});
