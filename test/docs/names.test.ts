import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { SCHEMA, envName, walkSchema } from '../../src/config/schema.ts';
import { ERRORS } from '../../src/core/errors.ts';
import { EVENTS } from '../../src/runtime/events.ts';
import { PAGES, ROOT } from './blocks.ts';

const leaves = new Map(walkSchema());
const variables = new Set([...leaves].flatMap(([path, leaf]) => [envName(path, leaf), leaf.serverEnv]));
/** Variables that are no setting, and those that stand for any. */
const OTHER_VARIABLES = new Set(['REDOUBT_CONFIG', 'REDOUBT_']);
/** Reports and programs have names of the same shape: these begin no setting. */
const OTHER_PATHS =
  /^(?:machines\.\w+\.|sessions\.counters|cache\.(?:delete|get|set)|health\.(?:report|router)|\w+\.machine\.json)/;

const text = (page: string): string => readFileSync(join(ROOT, page), 'utf8');

/** Whether it is a setting, or a group of them. */
function isSetting(path: string): boolean {
  return [...leaves.keys()].some((each) => each === path || each.startsWith(`${path}.`));
}

/** As people write it: `50 ms` is `50ms`, 50,000 is 50000. */
function plain(value: unknown): string {
  return String(value).replaceAll(/[ ,]/g, '');
}

describe('names in README.md and docs/', () => {
  it.each(PAGES)('%s names error codes that there are', (page) => {
    const codes = [...text(page).matchAll(/\bERR_[A-Z_]+\b/g)].map(([code]) => code);
    expect(codes.filter((code) => !Object.hasOwn(ERRORS, code))).toEqual([]);
  });

  it.each(PAGES)('%s names environment variables that there are', (page) => {
    const names = [...text(page).matchAll(/\bREDOUBT_[A-Z_]*/g)].map(([name]) => name);
    expect(names.filter((name) => !variables.has(name) && !OTHER_VARIABLES.has(name))).toEqual([]);
  });

  it.each(PAGES)('%s names settings that there are', (page) => {
    const groups = Object.keys(SCHEMA).join('|');
    const paths = [...text(page).matchAll(new RegExp(`\`((?:${groups})\\.[a-zA-Z.]+)\``, 'g'))].map(
      ([, path = '']) => path,
    );
    expect(paths.filter((path) => !isSetting(path) && !OTHER_PATHS.test(path) && !Object.hasOwn(EVENTS, path))).toEqual(
      [],
    );
  });

  it.each(PAGES)('%s gives settings the defaults that they have', (page) => {
    const said = [...text(page).matchAll(/`([a-z]+\.[a-zA-Z.]+)` \((\d[\d,.]*(?: ?[a-z]+)?)[),;]/g)];
    const wrong = said.filter(
      ([, path = '', value]) => leaves.has(path) && plain(leaves.get(path)!.default) !== plain(value),
    );
    expect(wrong.map(([all]) => all)).toEqual([]);
  });
});
