/**
 * What the package costs an application that uses the cache and sessions: packed, installed into an empty project,
 * measured against its bars. Exits with 1 where one is missed.
 *
 * `node size.ts [--slack PERCENT]`: how far past a bar is let pass; the gate's machine is not always alike, and a change
 * that costs little is not found by it but by whoever runs this without.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { startRedis } from '../../test/support/redis.ts';
import { type Project, createProject } from './project.ts';

interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  readonly most: number;
}

const RUNS = 9;
const MEGA = 1_000_000;

const IMPORT = `
  const startedAt = performance.now();
  await import('redoubt-runtime');
  console.log(performance.now() - startedAt);`;

const CACHE = `
  import { createRedoubt } from 'redoubt-runtime';
  const redoubt = await createRedoubt();
  await redoubt.cache.set('key', { a: 1 });
  if ((await redoubt.cache.get('key'))?.a !== 1) throw new Error('the cache does not serve');
  if (redoubt.cache.stats().sets !== 1 || redoubt.machines.get('redis').state !== 'available') throw new Error('no Redis');
  console.log(process.memoryUsage.rss());
  await redoubt.close();`;

const figures = await measure();
for (const { name, value, unit, most } of figures) {
  const verdict = value <= most ? 'fine' : 'TOO MUCH';
  console.log(`${name.padEnd(24)} ${value.toFixed(0).padStart(4)} ${unit.padEnd(9)} at most ${most}: ${verdict}`);
}
const { slack } = parseArgs({ options: { slack: { type: 'string', default: '0' } } }).values;
if (figures.some(({ value, most }) => value > most * (1 + Number(slack) / 100))) process.exitCode = 1;

async function measure(): Promise<readonly Figure[]> {
  using project = createProject();
  await using redis = await startRedis();
  const env = { PATH: process.env['PATH'], REDIS_URL: redis.url, DATABASE_URL: 'none', REDOUBT_LOG_LEVEL: 'error' };
  const modules = join(project.dir, 'node_modules');
  const times = print(project, IMPORT, env);
  const sizes = print(project, CACHE, env).map((bytes) => bytes / MEGA);
  return [
    { name: 'node_modules', unit: 'MB', value: bytesOf(modules) / MEGA, most: 30 },
    { name: 'packages in it', unit: 'packages', value: packagesIn(modules), most: 90 },
    // The machine may be busy with others; what the import needs is what its quickest run needs.
    { name: 'import', unit: 'ms', value: Math.min(...times), most: 150 },
    { name: 'resident, cache alone', unit: 'MB', value: sizes.toSorted((a, b) => a - b)[RUNS >> 1] ?? 0, most: 90 },
  ];
}

/** The number that a module of the project prints, in each of several processes. */
function print(project: Project, source: string, env: NodeJS.ProcessEnv): number[] {
  const file = project.write('run.mjs', source);
  return Array.from({ length: RUNS }, () => Number(project.run(process.execPath, [file], env)));
}

/** Of all files, as they lie on the disk. */
function bytesOf(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).blocks * 512, 0);
}

function packagesIn(modules: string): number {
  const name = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+\/package\.json$/;
  const files = readdirSync(modules, { recursive: true, encoding: 'utf8' });
  return files.filter((file) => name.test(`node_modules/${file.replaceAll('\\', '/')}`)).length;
}
