/**
 * Runs the built package as its user would: packed, installed into an empty project, imported, and
 * started by its bin. Proves what the sources cannot: paths to config/ and machines/, the worker
 * file of the embedded PostgreSQL, and the list of files in the package.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'redoubt-smoke-'));
const DEADLINE_MS = 30_000;

try {
  execFileSync('npm', ['pack', '--silent', '--pack-destination', dir], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [tarball = ''] = readdirSync(dir);
  execFileSync('tar', ['-xzf', tarball], { cwd: dir });
  // The dependencies are the checkout's: what is tested is the package, not the registry.
  symlinkSync(join(root, 'node_modules'), join(dir, 'package', 'node_modules'));
  writeFileSync(
    join(dir, 'package', 'smoke.mjs'),
    `import { createRedoubt } from './dist/index.js';
     const redoubt = await createRedoubt({ config: { redis: { url: 'redis://127.0.0.1:1' }, postgres: { url: 'none' }, log: { level: 'silent' } } });
     await redoubt.cache.set('k', 'v');
     if ((await redoubt.cache.get('k')) !== 'v') throw new Error('the cache does not serve');
     if (redoubt.machines.get('redis').state !== 'degraded.unreachable') throw new Error(redoubt.machines.get('redis').state);
     await redoubt.close();`,
  );
  execFileSync(process.execPath, ['smoke.mjs'], { cwd: join(dir, 'package'), stdio: 'inherit', timeout: DEADLINE_MS });
  await serveAndLook();
  console.log('the built package imports, serves and stops');
} finally {
  rmSync(dir, { recursive: true, force: true });
}

async function serveAndLook(): Promise<void> {
  const server = spawn(process.execPath, [join('package', 'dist', 'cli', 'main.js'), 'serve', '--port', '0'], {
    cwd: dir,
    env: { PATH: process.env['PATH'], REDIS_URL: 'redis://127.0.0.1:1', NODE_ENV: 'test', DATABASE_URL: 'pglite:db' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const deadline = setTimeout(() => server.kill('SIGKILL'), DEADLINE_MS);
  try {
    const url = await new Promise<string>((found, failed) => {
      let output = '';
      server.stdout.on('data', (chunk) => {
        output += String(chunk);
        const listening = /"url":"(http[^"]+)"/.exec(output)?.[1];
        // The embedded PostgreSQL runs in a worker whose file must have been built and packed too.
        if (listening && /"service":"sessions".*"to":"postgres"/.test(output)) found(listening);
      });
      server.once('exit', () => failed(new Error(`it stopped:\n${output}`)));
    });
    const health = (await (await fetch(`${url}/health`)).json()) as { services: { sessions: { backend: string } } };
    if (health.services.sessions.backend !== 'postgres') throw new Error(JSON.stringify(health));
    for (const page of ['/', '/inspect', '/metrics']) {
      if (!(await fetch(url + page)).ok) throw new Error(`${page} is not served`);
    }
    const exited = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGTERM');
    const code = await exited;
    if (code !== 0) throw new Error(`it exited with ${String(code)}`);
  } finally {
    clearTimeout(deadline);
    server.kill('SIGKILL');
  }
}
