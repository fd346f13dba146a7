import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, describe, expect, it } from 'vitest';

import { loadConfig } from '../../../src/config/load.ts';
import { RedoubtError } from '../../../src/core/errors.ts';
import { CODES } from '../../../src/runtime/check/codes.ts';
import { loadCheckedMachines, loadMachines } from '../../../src/runtime/load.ts';
import { SEEDS, type Seed } from './check-seeds.ts';

const { config } = loadConfig({ env: {}, overrides: { runtime: { delays: { blink: '50ms', tick: '2s' } } } });
const shipped = fileURLToPath(new URL('../../../machines/', import.meta.url));
const folders: string[] = [];
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true })));

/** A folder of machines with the mistake in one of them, and where the finding must point. */
function sow({ machine = 'redis', edits }: Seed) {
  const dir = mkdtempSync(join(tmpdir(), 'redoubt-seed-'));
  folders.push(dir);
  cpSync(shipped, dir, { recursive: true });
  const file = join(dir, `${machine}.machine.json`);
  const marked = edits.reduce(
    (text, { after, from, to }) => {
      const start = text.indexOf(from, text.indexOf(after));
      if (start === -1) throw new Error(`the shipped file holds no ${from}`);
      return text.slice(0, start) + to + text.slice(start + from.length);
    },
    readFileSync(file, 'utf8'),
  );
  writeFileSync(file, marked.replace('«', ''));
  const before = marked.slice(0, Math.max(0, marked.indexOf('«'))).split('\n');
  const place = marked.includes('«') ? { line: before.length, column: (before.at(-1) ?? '').length + 1 } : {};
  return { dir, file, place };
}

describe('seeded mistakes', () => {
  it('number at least twenty', () => {
    expect(SEEDS.length).toBeGreaterThanOrEqual(20);
  });

  it.each(SEEDS)('are found where they stand, with what would be right: $name', (seed) => {
    const { dir, file, place } = sow(seed);
    const { findings } = loadMachines({ dir, config });
    const found = findings.find(({ code }) => code === seed.code);
    expect(findings.map(({ code }) => code)).toContain(seed.code);
    expect(found).toMatchObject({ file, ...place, severity: CODES[seed.code].severity });
    expect(found?.message).toContain(seed.suggests);
    // One mistake must not be buried under what follows from it.
    expect(findings.length).toBeLessThanOrEqual(3);
  });

  it('are told within half a second', () => {
    const started = performance.now();
    loadMachines({ dir: '', config });
    expect(performance.now() - started).toBeLessThan(500);
  });

  it('keep a start from happening where they are errors, and are handed on where they are warnings', () => {
    const broken = SEEDS.find(({ code }) => code === 'unknown-target') as Seed;
    const odd = SEEDS.find(({ code }) => code === 'numeric-delay') as Seed;
    expect(() => loadCheckedMachines({ dir: sow(broken).dir, config })).toThrow(RedoubtError);
    const warnings: string[] = [];
    const definitions = loadCheckedMachines({ dir: sow(odd).dir, config }, ({ code }) => warnings.push(code));
    expect(definitions).toHaveLength(2);
    expect(warnings).toEqual(['numeric-delay']);
  });
});
