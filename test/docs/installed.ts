import { type ExecFileSyncOptions, execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { removeAtExit, removeFolder } from '../support/children.ts';
import { ROOT } from './blocks.ts';

/** What a build needs of the checkout. */
const SOURCES = ['src', 'scripts', 'package.json', 'tsconfig.json', 'tsconfig.build.json'];

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly files: readonly string[];
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** The package.json of the checkout. */
export const MANIFEST = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;

/** An empty project into which the packed package has been installed. */
export class Project implements Disposable {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  /** Where `redoubt` lies. */
  get bin(): string {
    return join(this.dir, 'node_modules', MANIFEST.name, 'dist', 'cli', 'main.js');
  }

  /** Writes a file of the user's. @returns its path */
  write(name: string, text: string): string {
    const path = join(this.dir, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  remove(name: string): void {
    rmSync(join(this.dir, name));
  }

  /** Puts a package of the checkout's node_modules there: what is tested is our package, not the registry. */
  link(name: string): void {
    const path = join(this.dir, 'node_modules', name);
    const from = join(ROOT, 'node_modules', name);
    if (existsSync(path)) return;
    if (!existsSync(from)) throw new Error(`${name} is no dependency of the checkout, so no test can use it`);
    mkdirSync(dirname(path), { recursive: true });
    symlinkSync(from, path);
  }

  [Symbol.dispose](): void {
    removeFolder(this.dir);
  }
}

/** Builds and packs the sources in a copy of them, so that no other test meets a half-built dist/. @returns the tarball */
export function pack(): string {
  const dir = mkdtempSync(join(tmpdir(), 'redoubt-pack-'));
  removeAtExit(dir);
  for (const name of [...SOURCES, ...MANIFEST.files]) {
    const from = join(ROOT, name);
    if (name !== 'dist' && existsSync(from)) cpSync(from, join(dir, name), { recursive: true });
  }
  for (const name of ['README.md', 'LICENSE']) cpSync(join(ROOT, name), join(dir, name));
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  const quiet: ExecFileSyncOptions = { cwd: dir, stdio: ['ignore', 'ignore', 'inherit'] };
  execFileSync('npm', ['run', '--silent', 'build'], quiet);
  execFileSync('npm', ['pack', '--silent'], quiet);
  return join(dir, `${MANIFEST.name}-${MANIFEST.version}.tgz`);
}

/** A project as `npm init -y && npm i redoubt-runtime` leaves it. */
export function install(tarball: string): Project {
  const project = new Project(mkdtempSync(join(tmpdir(), 'redoubt-docs-')));
  removeAtExit(project.dir);
  // What npm init writes today; an application of that kind has its modules in .mjs and .mts files.
  project.write('package.json', '{ "name": "app", "version": "1.0.0", "type": "commonjs" }\n');
  const into = join(project.dir, 'node_modules', MANIFEST.name);
  mkdirSync(into, { recursive: true });
  execFileSync('tar', ['-xzf', tarball, '-C', into, '--strip-components', '1']);
  for (const name of Object.keys(MANIFEST.dependencies)) project.link(name);
  return project;
}
