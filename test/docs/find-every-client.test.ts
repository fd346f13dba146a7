import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { ROOT } from './blocks.ts';

/** A small application with one client of each kind; a file is called like the section that must find it. */
const FIXTURE = fileURLToPath(new URL('fixture/', import.meta.url));
const page = readFileSync(join(ROOT, 'docs/find-every-client.md'), 'utf8');

interface Section {
  readonly heading: string;
  readonly greps: readonly string[];
}

const sections: readonly Section[] = page.split(/^## /m).map((text) => ({
  heading: text.slice(0, text.indexOf('\n')),
  greps: [...text.matchAll(/^grep .*$/gm)].map(([line]) => line),
}));

/** Files that the lines of a section find. */
function foundBy({ greps }: Section): string[] {
  const found = greps.flatMap((line) => {
    const names = execFileSync('sh', ['-c', `${line.replace(/^grep -/, 'grep -l')} || true`], { cwd: FIXTURE });
    return String(names).trim().split('\n');
  });
  return [...new Set(found)].filter((name) => name !== '').map((name) => name.replace(/^\.\//, ''));
}

function sectionOf(heading: string): Section {
  const section = sections.find((each) => each.heading === heading);
  if (!section) throw new Error(`no section is called ${heading}`);
  return section;
}

describe('docs/find-every-client.md', () => {
  it.each([
    ['What brings a client', ['package.json']],
    ['Where clients are made', ['src/redis.mjs']],
    ['Sessions', ['src/sessions.cjs']],
    ['Caches', ['src/caches.mjs']],
    ['Rate limiters', ['src/rate-limiters.mjs']],
    ['Locks', ['src/locks.cjs']],
    ['Tokens and one-time codes', ['src/tokens-and-one-time-codes.ts']],
    ['Jobs', ['src/jobs.js']],
    ['Sockets', ['src/sockets.mjs']],
    ['Channels', ['src/channels.mts']],
    ['Addresses', ['deploy/compose.yaml']],
  ])('%s: its line finds just the client of that kind', (heading, files) => {
    expect(foundBy(sectionOf(heading))).toEqual(files);
  });

  it('has a test for each line', () => {
    expect(sections.filter(({ greps }) => greps.length > 0)).toHaveLength(11);
  });
});
