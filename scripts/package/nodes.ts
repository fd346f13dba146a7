/**
 * Runs the packed package on the oldest Node that it takes, and on the newer ones: imported, required, used without and
 * with what Node must have for it, and ended; and shows that an older Node refuses it in one sentence. Fetches those
 * Nodes, hundreds of megabytes, so it is no part of the gate.
 */
import { join } from 'node:path';

import { type Project, createProject } from './project.ts';

const TAKEN = ['22.18.0', '24', '26'];
const REFUSED = ['20'];

const USE = `
  import { createRequire } from 'node:module';
  import { createServer } from 'node:http';
  import { createRedoubt } from 'redoubt-runtime';
  const required = createRequire(import.meta.url)('redoubt-runtime');
  if (required.createRedoubt !== createRedoubt) throw new Error('import and require() give two modules');
  const redoubt = await createRedoubt({
    config: { redis: { url: 'none' }, log: { level: 'silent' }, cache: { compressAbove: '1kb' } },
  });
  await redoubt.cache.set('key', 'v'.repeat(10_000));
  if ((await redoubt.cache.get('key'))?.length !== 10_000) throw new Error('the cache does not serve');
  const sessions = redoubt.sessions.middleware();
  const server = createServer((request, response) =>
    sessions(request, response, () => {
      request.session.user = 'ada';
      response.end('hello');
    }),
  ).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const answer = await fetch('http://127.0.0.1:' + server.address().port);
  if ((await answer.text()) !== 'hello' || answer.headers.getSetCookie().length !== 1) throw new Error('no session');
  if (!(await redoubt.metrics.metrics()).includes('redoubt_info')) throw new Error('no metrics');
  if (!(await redoubt.shutdown(server))) throw new Error('not in time');
  console.log(process.version);`;

using project = createProject();
project.write('use.mjs', USE);
for (const version of TAKEN) {
  console.log(`Node ${runOn(project, version).trim()}: works`);
}
const COMMAND = join('node_modules', 'redoubt-runtime', 'dist', 'cli', 'main.js');
for (const version of REFUSED) {
  for (const args of [['use.mjs'], [COMMAND, 'serve']]) {
    const said = refusalOn(project, version, args);
    if (said === undefined) throw new Error(`Node ${version} does not say that it is too old for ${args.join(' ')}`);
    console.log(`Node ${version}: ${said}`);
  }
}

function runOn(on: Project, version: string, args: readonly string[] = ['use.mjs']): string {
  // What the package `node` installs by a script, which npm no longer runs unasked.
  const name = `node-${process.platform}-${process.arch}`;
  on.install('--no-save', `${name}@${version}`);
  return on.run(join(on.dir, 'node_modules', name, 'bin', 'node'), args);
}

function refusalOn(on: Project, version: string, args: readonly string[]): string | undefined {
  try {
    runOn(on, version, args);
    return undefined;
  } catch (error) {
    return /Redoubt needs Node .*/.exec((error as Error).message)?.[0];
  }
}
