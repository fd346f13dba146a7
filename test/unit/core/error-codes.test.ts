import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { ERRORS } from '../../../src/core/errors.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const sources = globSync('src/**/*.ts', { cwd: root })
  .filter((file) => !file.endsWith('core/errors.ts'))
  .map((file) => readFileSync(root + file, 'utf8'))
  .join('\n');
const reference = readFileSync(`${root}docs/errors.md`, 'utf8');

describe.each(Object.entries(ERRORS))('%s', (code, entry) => {
  it('is thrown somewhere', () => {
    expect(sources).toMatch(new RegExp(`'${code}'`));
  });

  it('is documented, with what to do', () => {
    expect(reference).toContain(`| \`${code}\` | ${entry.message} | ${entry.hint} |`);
  });
});

it('has no code in the sources that the table does not know', () => {
  const used = new Set(sources.match(/'ERR_[A-Z_]+'/g)?.map((code) => code.slice(1, -1)));
  // Node's own codes are compared with, never thrown.
  const foreign = /^ERR_(TLS|SSL|OSSL|HTTP|INVALID|STREAM|SOCKET|MODULE|UNKNOWN|PARSE|USE)_/;
  expect([...used].filter((code) => !(code in ERRORS) && !foreign.test(code))).toEqual([]);
});
