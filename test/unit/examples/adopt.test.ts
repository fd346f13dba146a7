import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

const FOLDER = fileURLToPath(new URL('../../../examples/adopt/', import.meta.url));

describe('examples/adopt', () => {
  it('has at most thirty lines between the stock application and the one with Redoubt', () => {
    const { stdout } = spawnSync('git', ['diff', '--no-index', '--numstat', 'stock', 'redoubt'], {
      cwd: FOLDER,
      encoding: 'utf8',
    });
    const files = stdout
      .trim()
      .split('\n')
      .map((line) => line.split('\t'));
    expect(files.map(([, , name]) => name)).toEqual(['{stock => redoubt}/server.ts']);
    const changed = files.reduce((sum, [added, removed]) => sum + Number(added) + Number(removed), 0);
    expect(changed).toBeGreaterThan(0);
    expect(changed).toBeLessThanOrEqual(30);
  });

  it('shows in its README, line by line, what changed', () => {
    const lines = diffBlock(readFileSync(`${FOLDER}README.md`, 'utf8'));
    const side = (sign: '-' | '+'): string =>
      lines
        .filter((line) => line.startsWith(sign) || line.startsWith(' '))
        .map((line) => `${line.slice(1)}\n`)
        .join('');
    expect(side('-')).toBe(readFileSync(`${FOLDER}stock/server.ts`, 'utf8'));
    expect(side('+')).toBe(readFileSync(`${FOLDER}redoubt/server.ts`, 'utf8'));
  });

  it('says in its README how many lines that are', () => {
    const readme = readFileSync(`${FOLDER}README.md`, 'utf8');
    const lines = diffBlock(readme);
    const added = lines.filter((line) => line.startsWith('+')).length;
    const removed = lines.filter((line) => line.startsWith('-')).length;
    expect(readme).toContain(`${added + removed} lines: ${added} added, ${removed} removed.`);
  });
});

/** The lines of the one diff in a Markdown text; an empty line is one of both sides. */
function diffBlock(markdown: string): string[] {
  const [, block] = /```diff\n([\s\S]*?)\n```/.exec(markdown) ?? [];
  if (block === undefined) throw new Error('the README has no diff');
  return block.split('\n').map((line) => line || ' ');
}
