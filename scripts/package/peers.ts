/**
 * Uses every part of the packed package where nothing but the package is installed: what is missing must be said in one
 * sentence with the command to type, and everything else must work.
 */
import { type Project, createProject } from './project.ts';

/** What a module of the project does, and what must be said. */
const LIBRARY = [
  ['redoubt.jobs.queue("mail")', 'Jobs need bullmq: npm install bullmq'],
  ['redoubt.jobs.work("mail", () => undefined)', 'Jobs need bullmq: npm install bullmq'],
  [
    'redoubt.sockets.adapter',
    'Sockets need socket.io-adapter and @socket.io/redis-adapter: npm install socket.io-adapter @socket.io/redis-adapter',
  ],
  [
    'await createRedoubt({ config: { postgres: { url: "pglite:data" } } })',
    'The embedded PostgreSQL needs @electric-sql/pglite: npm install @electric-sql/pglite',
  ],
  ['await redoubt.cache.set("key", 1)', 'nothing'],
  ['redoubt.sessions.middleware()', 'nothing'],
  ['redoubt.health.router()', 'nothing'],
  ['await redoubt.metrics.metrics()', 'nothing'],
] as const;

const COMMANDS = [
  [['serve'], /redoubt serve needs express, helmet, socket\.io, .* and bullmq: npm install express helmet/],
  [['diagram', 'redis'], /Drawing needs elkjs: npm install elkjs/],
  [['diagram', 'redis', '--format', 'mermaid'], undefined],
  [['check'], undefined],
  [['--version'], undefined],
] as const;

using project = createProject();
for (const [call, expected] of LIBRARY) assertSaid(call, said(project, call), expected);
for (const [args, expected] of COMMANDS) {
  const failure = commandFailure(project, args);
  if (expected === undefined ? failure !== undefined : !expected.test(failure ?? '')) {
    throw new Error(`redoubt ${args.join(' ')} says ${failure}`);
  }
}
console.log(`${LIBRARY.length + COMMANDS.length} uses without any peer: each works, or says what to install`);

function said(on: Project, call: string): string {
  const file = on.write(
    'use.mjs',
    `import { createRedoubt } from 'redoubt-runtime';
     const redoubt = await createRedoubt({ config: { redis: { url: 'none' }, log: { level: 'silent' } } });
     try {
       ${call};
       console.log('nothing');
     } catch (error) {
       if (error.code !== 'ERR_PEER') throw error;
       console.log(error.message);
     }`,
  );
  return on.run(process.execPath, [file]).trim();
}

function assertSaid(call: string, text: string, expected: string): void {
  if (!text.endsWith(expected)) throw new Error(`${call} says ${text}`);
}

function commandFailure(on: Project, args: readonly string[]): string | undefined {
  try {
    on.run('node_modules/.bin/redoubt', args);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
