// `npm run test:keyv`: installs Keyv's own tests into a temporary folder, and runs them on createKeyvStore.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** The newest that is published; its tests are those of Keyv 5. */
const SUITE = '@keyv/test-suite@2.1.2';

const folder = mkdtempSync(join(tmpdir(), 'redoubt-keyv-'));
try {
  writeFileSync(join(folder, 'package.json'), '{ "private": true }');
  // Its stores are not used, so nothing has to be built.
  run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', SUITE], { cwd: folder });
  const module = join(folder, 'node_modules/@keyv/test-suite/dist/index.js');
  const KEYV_SUITE = pathToFileURL(module).href;
  run('vitest', ['run', '--project', 'peers'], { env: { ...process.env, KEYV_SUITE } });
} finally {
  rmSync(folder, { recursive: true });
}

function run(command: string, args: readonly string[], options: object): void {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', ...options });
  if (error) throw error;
  process.exitCode ||= status ?? 1;
}
