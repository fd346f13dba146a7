import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { PICTURES } from '../../../scripts/pictures.ts';

describe('the pictures of the shipped machines', () => {
  it.each(Object.entries(PICTURES))('%s is fresh (npm run docs writes it)', async (path, draw) => {
    expect(readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')).toBe(await draw());
  });
});
