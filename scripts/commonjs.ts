/**
 * Writes the CommonJS side of every entry of the package into dist/: `require('redoubt-runtime')` gives the same modules
 * as `import`, since Node has `require()` of ES modules (22.12); nothing is there twice. The declarations tell
 * TypeScript so, for whoever compiles to CommonJS.
 */
import { readFileSync, writeFileSync } from 'node:fs';

interface Package {
  readonly exports: Readonly<Record<string, string | { readonly require: { readonly default: string } }>>;
}

const root = new URL('../', import.meta.url);
const { exports } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as Package;

for (const entry of Object.values(exports)) {
  if (typeof entry === 'string') continue;
  const file = entry.require.default;
  const url = new URL(file, root);
  const name = file.slice(file.lastIndexOf('/') + 1, -'.cjs'.length);
  const values = (await import(new URL(`${name}.js`, url).href)) as Readonly<Record<string, unknown>>;
  writeFileSync(url, `'use strict';\nmodule.exports = require('./${name}.js');\n`);
  writeFileSync(new URL(`${name}.d.cts`, url), declarations(name, values));
}

/** TypeScript has no `export *` for values from an ES module into CommonJS, so each is named. */
function declarations(name: string, values: Readonly<Record<string, unknown>>): string {
  const from = `'./${name}.js'`;
  const mode = `{ 'resolution-mode': 'import' }`;
  const named = Object.entries(values).flatMap(([key, value]) => [
    `export declare const ${key}: typeof entry.${key};`,
    ...(isClass(value) ? [`export type ${key} = entry.${key};`] : []),
  ]);
  return [
    `import type * as entry from ${from} with ${mode};`,
    `export type * from ${from} with ${mode};`,
    ...named,
    '',
  ].join('\n');
}

function isClass(value: unknown): boolean {
  return typeof value === 'function' && String(value).startsWith('class');
}
