/**
 * Writes the reference pages that are made from the sources: docs/config.md and docs/errors.md,
 * the JSON Schemas of machine and configuration files, and the drawings of the machines.
 * With `--check` nothing is written, and the exit code is 1 where a page is not fresh.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { renderConfig, renderConfigSchema, renderErrors, renderMachineSchema } from './pages.ts';
import { PICTURES } from './pictures.ts';

const ROOT = new URL('../', import.meta.url);
const PAGES = {
  'docs/config.md': renderConfig,
  'docs/errors.md': renderErrors,
  'schema/machine.schema.json': renderMachineSchema,
  'schema/config.schema.json': renderConfigSchema,
  ...PICTURES,
};

const checking = process.argv.includes('--check');
const stale: string[] = [];

for (const [path, render] of Object.entries(PAGES)) {
  const file = fileURLToPath(new URL(path, ROOT));
  const text = await render();
  if (text === readIfThere(file)) continue;
  stale.push(path);
  if (!checking) writeFileSync(file, text);
}

if (checking && stale.length > 0) {
  process.stderr.write(`${stale.join(' and ')} not fresh: run "npm run docs" and commit what it changes\n`);
  process.exitCode = 1;
} else {
  process.stdout.write(stale.length > 0 ? `${stale.join(' and ')} written\n` : 'the reference pages are fresh\n');
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // Not made yet, which is as stale as can be.
    return undefined;
  }
}
