import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { renderConfig, renderErrors } from '../../../scripts/pages.ts';
import { envName, walkSchema } from '../../../src/config/schema.ts';

const page = (name: string): string => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');

describe('the reference pages', () => {
  it('are fresh (npm run docs writes them)', () => {
    expect(page('config.md')).toBe(renderConfig());
    expect(page('errors.md')).toBe(renderErrors());
  });

  it('name every setting with its variable, default and meaning', () => {
    const text = renderConfig();
    for (const [path, leaf] of walkSchema()) {
      const row = text.split('\n').find((line) => line.startsWith(`| \`${path}\` |`));
      expect(row).toContain(`\`${envName(path, leaf)}\``);
      expect(row).toContain(`\`${JSON.stringify(leaf.default)}\``);
      expect(row).toContain(leaf.doc.replaceAll('|', '\\|'));
    }
  });
});
