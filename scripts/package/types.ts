/**
 * Compiles a strict project of a user's against the packed package: with the types of Express 4 and of Express 5, and
 * with no peer at all; as ES modules and as CommonJS, under each way in which TypeScript looks for modules.
 */
import { type Project, createProject } from './project.ts';

const APP = `
import { createServer } from 'node:http';
import express, { type RequestHandler } from 'express';
import { Server } from 'socket.io';
import { type Lookup, type Redoubt, createRedoubt, isRedoubtError } from 'redoubt-runtime';
import { createKeyvStore } from 'redoubt-runtime/cache';
import type { JobCounts } from 'redoubt-runtime/jobs';
import type { Middleware } from 'redoubt-runtime/sessions';
import { RECONNECT_EVENT } from 'redoubt-runtime/sockets';

declare module 'express-session' {
  interface SessionData {
    user: string;
  }
}

const redoubt: Redoubt = await createRedoubt({ config: { redis: { url: 'none' } } });
const app = express();
const http = createServer(app);
const io = new Server(http, { adapter: redoubt.sockets.adapter });
const sessions: Middleware = redoubt.sessions.middleware({ cookie: { maxAge: 1000 }, rolling: true });
const handler: RequestHandler = sessions;
app.use(sessions);
app.use('/health', handler, redoubt.health.router());
app.get('/mixed', sessions, (request, response) => {
  request.session.user = 'ada';
  response.json(request.sessionID);
});
io.engine.use(redoubt.sessions.middleware());

const found: Lookup<number> = await redoubt.cache.lookup<number>('key');
if (found.status === 'hit') console.log(found.value.toFixed(), found.ageMs);
// @ts-expect-error -- a miss has no value
if (found.status === 'miss') console.log(found.value);
// @ts-expect-error -- no such option of express-session's
redoubt.sessions.middleware({ rollin: true });
const counts: JobCounts = await redoubt.jobs.queue('mail').counts();
redoubt.jobs.work('mail', ({ data }) => data);
console.log(counts, RECONNECT_EVENT, createKeyvStore(redoubt.cache), isRedoubtError(counts));
const text: string = await redoubt.metrics.metrics();
process.once('SIGTERM', () => void redoubt.shutdown([http, io]).then(() => text));
`;

const COMMONJS = `
import { RedoubtError, createRedoubt } from 'redoubt-runtime';
import { createKeyvStore } from 'redoubt-runtime/cache';
async function main(): Promise<void> {
  const redoubt = await createRedoubt();
  const error: RedoubtError = new RedoubtError('ERR_CLOSED');
  // @ts-expect-error -- no such code
  new RedoubtError('ERR_NONE');
  console.log(error.code, createKeyvStore(redoubt.cache));
}
void main();
`;

const ALONE = `
import { type ReloadResult, createRedoubt } from 'redoubt-runtime';
import type { CacheSpace } from 'redoubt-runtime/cache';
const redoubt = await createRedoubt();
const space: CacheSpace = redoubt.cache.namespace('users');
const value: number | undefined = await space.get<number>('key');
const result: ReloadResult = redoubt.reload();
console.log(value, result, redoubt.sockets.adapter);
`;

const SOCKETS = ['socket.io@4', 'socket.io-adapter@2', '@socket.io/redis-adapter@8'];
/** The last one that still knows node10. */
const TYPESCRIPT = 'typescript@5.9';

compile('no peer at all', [TYPESCRIPT], (project) => {
  project.write('alone.ts', ALONE);
  project.write('old.cts', COMMONJS);
  check(project, ['--module', 'nodenext'], ['alone.ts', 'old.cts']);
  check(project, ['--module', 'esnext', '--moduleResolution', 'bundler'], ['alone.ts']);
});
for (const express of ['4', '5']) {
  const packages = [TYPESCRIPT, `express@${express}`, `@types/express@${express}`, ...SOCKETS, 'bullmq@6'];
  compile(`Express ${express}`, packages, (project) => {
    project.write('app.ts', APP);
    project.write('old.cts', COMMONJS);
    check(project, ['--module', 'nodenext'], ['app.ts', 'old.cts']);
    // What follows is about modules, not about Express.
    if (express !== '5') return;
    check(project, ['--module', 'node16'], ['app.ts', 'old.cts']);
    check(project, ['--module', 'esnext', '--moduleResolution', 'bundler'], ['app.ts']);
    check(project, ['--module', 'commonjs', '--moduleResolution', 'node10', '--skipLibCheck'], ['old.cts']);
  });
}

function compile(name: string, packages: readonly string[], work: (project: Project) => void): void {
  using project = createProject();
  project.install(...packages);
  work(project);
  console.log(`${name}: compiles`);
}

function check(project: Project, options: readonly string[], files: readonly string[]): void {
  const strict = ['--strict', '--exactOptionalPropertyTypes', '--noEmit', '--target', 'es2022', '--types', 'node'];
  project.run('node_modules/.bin/tsc', [...strict, '--esModuleInterop', ...options, ...files]);
}
