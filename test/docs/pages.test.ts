import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';

import { describe, expect, it } from 'vitest';

import { MANIFEST } from './installed.ts';
import { PAGES, ROOT, blocksOf, titleOf } from './blocks.ts';

/** More blocks than these may not go untested; one more needs as good a reason as they have. */
const MOST_UNTESTED = 3;
/** What a user sees first fits on three screens. */
const MOST_LINES = 120;

const blocks = PAGES.flatMap(blocksOf);

describe('README.md and docs/', () => {
  it('leave few blocks untested', () => {
    const untested = blocks.filter(({ directive }) => directive.no !== undefined || directive.types !== undefined);
    expect(untested.map(titleOf).slice(MOST_UNTESTED)).toEqual([]);
  });

  it('have no block in a language that nothing tests', () => {
    const tested = new Set(['ts', 'js', 'json', 'json5', 'sh', 'sql', '']);
    expect(blocks.filter(({ language, directive }) => !tested.has(language) && !directive.no).map(titleOf)).toEqual([]);
  });

  it('begin with a short README that names every page', () => {
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
    expect(readme.trimEnd().split('\n').length).toBeLessThan(MOST_LINES);
    expect(PAGES.filter((page) => page !== 'README.md' && !readme.includes(`(${page})`))).toEqual([]);
  });

  it('say which tests npm test runs', () => {
    const [, said = ''] =
      /^npm ci && npm test +# ([\w, ]+) tests/m.exec(readFileSync(join(ROOT, 'README.md'), 'utf8')) ?? [];
    const projects = [...MANIFEST.scripts['test']!.matchAll(/--project (\w+)/g)].map(([, project]) => project);
    expect(said.split(/, | and /)).toEqual(projects);
  });

  it.each(PAGES)('%s links to pages and headings that are there', (page) => {
    const text = readFileSync(join(ROOT, page), 'utf8').replaceAll(/```[\s\S]*?```/g, '');
    const broken = [...text.matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !/^[a-z]+:/.test(target) && !leads(page, target));
    expect(broken).toEqual([]);
  });
});

function leads(page: string, target: string): boolean {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? page : posix.normalize(posix.join(dirname(page), path));
  if (!existsSync(join(ROOT, file))) return false;
  if (anchor === undefined) return true;
  const text = readFileSync(join(ROOT, file), 'utf8');
  return [...text.matchAll(/^#+ (.*)$/gm)].some(([, heading = '']) => anchorOf(heading) === anchor);
}

/** As GitHub makes it. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-');
}
