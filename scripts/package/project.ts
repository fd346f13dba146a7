import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const QUIET = ['--prefer-offline', '--no-audit', '--no-fund', '--silent'];

/** An empty project of a user's, with the packed package installed. */
export interface Project extends Disposable {
  readonly dir: string;
  write(name: string, text: string): string;
  /** Installs more, as `npm install` does. */
  install(...names: string[]): void;
  /** Runs a program in it. @returns what it prints; @throws with all of its output when it fails */
  run(program: string, args: readonly string[], env?: NodeJS.ProcessEnv): string;
}

/** Packs the built package and installs it; removed at the end. */
export function createProject(): Project {
  if (!existsSync(join(ROOT, 'dist/index.js'))) throw new Error('Nothing is built yet: npm run build');
  const dir = mkdtempSync(join(tmpdir(), 'redoubt-package-'));
  const run = (program: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): string => {
    try {
      return execFileSync(program, args, { cwd: dir, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    } catch (error) {
      const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
      throw new Error(`${program} ${args.join(' ')} failed:\n${stdout}${stderr}`, { cause: error });
    }
  };
  const install = (...names: string[]): void => void run('npm', ['install', ...QUIET, ...names]);
  const write = (name: string, text: string): string => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };
  execFileSync('npm', ['pack', '--silent', '--pack-destination', dir], { cwd: ROOT, stdio: 'ignore' });
  const [tarball = ''] = readdirSync(dir);
  write('package.json', JSON.stringify({ name: 'empty', private: true, type: 'module' }));
  install(`./${tarball}`);
  return { dir, write, install, run, [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }) };
}
