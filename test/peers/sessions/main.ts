/**
 * Runs a peer's own tests on Redoubt's sessions: `npm run test:peers -- PEER FOLDER [--as …] [--redis …]`.
 *
 * PEER is express-session, connect-redis or connect-pg-simple, FOLDER a checkout of it with its packages installed:
 * their tests are none of ours. `--as middleware` puts our middleware in the place of express-session's, not only our
 * store; `--redis killed` and `--redis frozen` run the tests in an outage; `--methods made` gives the store `all` and
 * `clear`, which Redoubt refuses, for the tests that only need them to get somewhere.
 */
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { preparePostgres } from '../../support/postgres-binaries.ts';
import { launchPostgres } from '../../support/postgres-server.ts';
import { startRedis } from '../../support/redis.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));

/** How each peer runs its own tests of a store. */
const PEERS: Readonly<Record<string, readonly string[]>> = {
  'express-session': ['mocha/bin/_mocha', '--require', './test/support/env', '--check-leaks', '--exit', 'test/'],
  'connect-pg-simple': [
    'mocha/bin/_mocha',
    '--exit',
    'test/integration/express.spec.js',
    'test/integration/pgpromise.spec.js',
  ],
  'connect-redis': ['vitest/vitest.mjs', 'run', '--config', join(HERE, 'connect-redis.config.ts')],
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    as: { type: 'string', default: 'store' },
    redis: { type: 'string', default: 'up' },
    methods: { type: 'string', default: 'none' },
  },
});
const [peer = '', folder = ''] = positionals;
const [program, ...args] = PEERS[peer] ?? [];
if (!program || !folder)
  throw new Error(`usage: main.ts ${Object.keys(PEERS).join('|')} FOLDER [--as store|middleware]`);

await using redis = await startRedis();
await using postgres = await launchPostgres(await preparePostgres());
const shim = pathToFileURL(join(HERE, `${peer}.ts`)).href;
const child = spawn(
  process.execPath,
  [...(peer === 'connect-redis' ? [] : ['--import', shim]), join(resolve(folder), 'node_modules', program), ...args],
  {
    cwd: resolve(folder),
    stdio: 'inherit',
    env: {
      ...process.env,
      REDIS_URL: redis.url,
      DATABASE_URL: postgres.url,
      PEER_AS: values.as,
      PEER_REDIS: values.redis,
      PEER_METHODS: values.methods,
      PEER_REDIS_PID: String(redis.pid),
      PGHOST: '127.0.0.1',
      PGPORT: String(postgres.port),
      PGUSER: 'postgres',
      PGDATABASE: 'postgres',
    },
  },
);
process.exitCode = await new Promise<number>((done) => void child.once('exit', (code) => done(code ?? 1)));
