import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import JSON5 from 'json5';
import { describe, expect, it } from 'vitest';

import { loadConfig } from '../../../src/config/load.ts';
import { SCHEMA, envName, isLeaf, walkSchema, type Group } from '../../../src/config/schema.ts';

const file = fileURLToPath(new URL('../../../config/default.json5', import.meta.url));
const text = readFileSync(file, 'utf8');
// Editors go by $schema; it is no setting.
const { $schema: _, ...shipped } = JSON5.parse(text) as Record<string, unknown>;

/** The paths that a file sets, in its order. */
function pathsOf(node: object, group: Group, prefix = ''): string[] {
  return Object.entries(node).flatMap(([key, value]) => {
    const inner = group[key];
    return inner && !isLeaf(inner) ? pathsOf(value as object, inner, `${prefix}${key}.`) : [prefix + key];
  });
}

function valueAt(path: string): unknown {
  return path.split('.').reduce<unknown>((node, key) => (node as Record<string, unknown>)[key], shipped);
}

describe('config/default.json5', () => {
  it('sets every key that is no secret once, in the order of the schema', () => {
    const open = [...walkSchema()].filter(([, leaf]) => !leaf.sensitive);
    expect(pathsOf(shipped, SCHEMA)).toEqual(open.map(([path]) => path));
    for (const [path, leaf] of open) expect([path, valueAt(path)]).toEqual([path, leaf.default]);
  });

  it('shows every secret commented out, with its variable', () => {
    const secrets = [...walkSchema()].filter(([, leaf]) => leaf.sensitive);
    for (const [path, leaf] of secrets) {
      expect(text).toContain(leaf.serverEnv ? `(serve: ${leaf.serverEnv})` : `(${envName(path, leaf)})`);
      expect(text).toMatch(new RegExp(`// ${path.split('.').at(-1)}: `));
    }
  });

  it('explains every key, in the words of the schema', () => {
    // Comments wrap their lines; the words in their order are what counts.
    const words = text.replaceAll(/\s*\n\s*\/\/ /g, ' ');
    for (const [path, leaf] of walkSchema()) expect([path, words.includes(leaf.doc)]).toEqual([path, true]);
  });
});

describe('the shipped layers', () => {
  it.each(['development', 'test', 'production'])('load without a mistake for %s', (env) => {
    const { config } = loadConfig({ env: { NODE_ENV: env } });
    expect(config.env).toBe(env);
  });

  it('keep the thresholds of production in the tests', () => {
    const [test, production] = ['test', 'production'].map((env) => loadConfig({ env: { NODE_ENV: env } }).config);
    expect(test?.redis).toEqual(production?.redis);
    expect(test?.postgres).toEqual(production?.postgres);
  });
});

describe('the schema', () => {
  it('gives every key its own environment variable', () => {
    const names = [...walkSchema()].map(([path, leaf]) => envName(path, leaf));
    expect(new Set(names).size).toBe(names.length);
  });

  it('explains every key in a full sentence', () => {
    for (const [path, { doc }] of walkSchema())
      expect([path, doc]).toEqual([path, expect.stringMatching(/^[A-Z].*\.$/)]);
  });
});
