import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { type LoadOptions, type LoadedConfig, loadConfig, maskConfig } from '../../../src/config/load.ts';
import { RedoubtError } from '../../../src/core/errors.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'redoubt-config-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const file = join(dir, name);
  writeFileSync(file, text);
  return file;
}

function load(options: LoadOptions = {}): LoadedConfig {
  return loadConfig({ audience: 'server', dir, env: {}, ...options });
}

/** The lines of the report, without its first. */
function mistakesOf(options: LoadOptions = {}): string[] {
  try {
    load(options);
  } catch (error) {
    if (!(error instanceof RedoubtError) || error.code !== 'ERR_CONFIG') throw error;
    return error.message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
  }
  return [];
}

describe('the layers', () => {
  it('lie on each other: default, NODE_ENV, the extra file, the caller, the environment', () => {
    write('default.json5', "{ cache: { maxEntries: 1, maxKeyBytes: 1, ttl: '1s', sweepEvery: '1s', journalMax: 1 } }");
    write('staging.json5', "{ cache: { maxKeyBytes: 2, ttl: '2s', sweepEvery: '2s', journalMax: 2 } }");
    const file = write('mine.json5', "{ cache: { ttl: '3s', sweepEvery: '3s', journalMax: 3 } }");
    const { config, files } = load({
      file,
      overrides: { cache: { sweepEvery: '4s', journalMax: 4 } },
      env: { NODE_ENV: 'staging', REDOUBT_CACHE_JOURNAL_MAX: '5' },
    });
    expect(config.cache).toMatchObject({
      maxEntries: 1,
      maxKeyBytes: 2,
      ttlMs: 3_000,
      sweepEveryMs: 4_000,
      journalMax: 5,
    });
    expect(files).toEqual([join(dir, 'default.json5'), join(dir, 'staging.json5'), file]);
    expect(config.env).toBe('staging');
  });

  it('take the extra file from REDOUBT_CONFIG, and one that is named over it', () => {
    const env = { REDOUBT_CONFIG: write('from-env.json5', '{ server: { port: 1 } }') };
    expect(load({ env }).config.server.port).toBe(1);
    const file = write('named.json5', '{ server: { port: 2 } }');
    expect(load({ env, file }).config.server.port).toBe(2);
  });

  it('are development without NODE_ENV, and the defaults without any file', () => {
    write('development.json5', '{ server: { port: 4 } }');
    expect(load().config).toMatchObject({ env: 'development', server: { port: 4 } });
    expect(load({ dir: join(dir, 'nowhere') }).config.server.port).toBe(3000);
  });

  it('leave the neighbours of a key that they change', () => {
    write('default.json5', "{ redis: { probe: { every: '1s' } } }");
    const { probe } = load({ overrides: { redis: { probe: { deadline: '2s' } } } }).config.redis;
    expect(probe).toMatchObject({ everyMs: 1_000, deadlineMs: 2_000, backoffBaseMs: 100 });
  });
});

describe('the environment', () => {
  it("has the contract's names, and REDOUBT_<PATH> for all the rest", () => {
    const { config } = load({
      env: {
        PORT: '81',
        HOST: '0.0.0.0',
        REDIS_URL: 'rediss://cache:1',
        DATABASE_URL: 'pglite:data',
        SESSION_SECRET: 'one, two',
        API_TOKEN: 'token',
        LOG_LEVEL: 'warn',
        REDOUBT_SESSIONS_TTL: '2h',
        REDOUBT_SESSIONS_TOUCH_EVERY: '5s',
        REDOUBT_CACHE_MAX_BYTES: '2kb',
        REDOUBT_REDIS_DETECT_FAILURE_RATIO: '0.25',
        REDOUBT_INSPECT_ENABLED: 'true',
        REDOUBT_HEALTH_READINESS: 'redis,postgres',
      },
    });
    expect(config.server).toMatchObject({ port: 81, host: '0.0.0.0', apiToken: 'token' });
    expect(config.redis).toMatchObject({ url: 'rediss://cache:1', detect: { failureRatio: 0.25 } });
    expect(config.postgres.url).toBe('pglite:data');
    expect(config.sessions).toMatchObject({ secret: ['one', 'two'], ttlMs: 7_200_000, touchEveryMs: 5_000 });
    expect(config).toMatchObject({ log: { level: 'warn' }, cache: { maxBytes: 2_048 }, inspect: { enabled: true } });
    expect(config.health.readiness).toEqual(['redis', 'postgres']);
  });

  it('reports an empty numeric variable instead of reading it as a number', () => {
    expect(mistakesOf({ env: { PORT: '', REDOUBT_CACHE_MAX_ENTRIES: ' ', REDOUBT_SESSIONS_TTL: '' } })).toEqual([
      'environment: PORT: must be a port from 0 to 65535, found ""',
      'environment: REDOUBT_CACHE_MAX_ENTRIES: must be a whole number from 1, found " "',
      expect.stringMatching(/^environment: REDOUBT_SESSIONS_TTL: must be a duration/),
    ]);
  });

  it('takes an empty text for unset, as an env file gives it', () => {
    const { config } = load({ env: { REDIS_URL: '', HOST: '', SESSION_SECRET: '', NODE_ENV: '' } });
    expect(config).toMatchObject({
      env: 'development',
      server: { host: '127.0.0.1' },
      redis: { url: 'redis://127.0.0.1:6379' },
    });
  });

  it('reports a REDOUBT_ variable that nothing reads, with the one that was meant', () => {
    expect(mistakesOf({ env: { REDOUBT_SESSIONS_TLT: '1s', REDOUBT_REDIS_URL: 'redis://x' } })).toEqual([
      'environment: REDOUBT_SESSIONS_TLT: unknown variable (did you mean REDOUBT_SESSIONS_TTL?)',
      'environment: REDOUBT_REDIS_URL: unknown variable (did you mean REDIS_URL?)',
    ]);
  });

  it('ignores what Kubernetes adds for a Service named redoubt', () => {
    const env = {
      REDOUBT_SERVICE_HOST: '10.0.0.1',
      REDOUBT_SERVICE_PORT: '80',
      REDOUBT_SERVICE_PORT_HTTP: '80',
      REDOUBT_PORT: 'tcp://10.0.0.1:80',
      REDOUBT_PORT_80_TCP: 'tcp://10.0.0.1:80',
      REDOUBT_PORT_80_TCP_ADDR: '10.0.0.1',
      // Of a Service named redoubt-server: a setting has the same name.
      REDOUBT_SERVER_PORT: 'tcp://10.0.0.2:80',
    };
    expect(mistakesOf({ env })).toEqual([]);
    expect(load({ env }).config.server.port).toBe(3000);
  });
});

describe('a library', () => {
  const theirs = { PORT: 'x', HOST: 'example', LOG_LEVEL: 'chatty', API_TOKEN: 'theirs' };

  it("leaves the application's own variables alone", () => {
    const { config } = load({ audience: 'library', env: theirs });
    expect(config.server).toMatchObject({ port: 3000, host: '127.0.0.1', apiToken: '' });
    expect(config.log.level).toBe('info');
  });

  it('has the long names of the same settings, and so has the server, where they win', () => {
    const env = { REDOUBT_SERVER_PORT: '81', REDOUBT_LOG_LEVEL: 'warn', REDOUBT_SERVER_API_TOKEN: 'ours', PORT: '82' };
    for (const audience of ['library', 'server'] as const) {
      const { config } = load({ audience, env });
      expect(config).toMatchObject({ server: { port: 81, apiToken: 'ours' }, log: { level: 'warn' } });
    }
  });

  it('has no PostgreSQL by itself; the server has the embedded one outside production', () => {
    expect(load({ audience: 'library' }).config.postgres.url).toBe('');
    expect(load().config.postgres.url).toBe('pglite:.redoubt/postgres');
    expect(load({ env: { NODE_ENV: 'production' } }).config.postgres.url).toBe('');
    expect(load({ env: { DATABASE_URL: 'none' } }).config.postgres.url).toBe('none');
  });

  it('may do without Redis, by name; a further Redis may not', () => {
    expect(load({ env: { REDIS_URL: 'none' } }).config.redis.url).toBe('none');
    expect(mistakesOf({ overrides: { runtime: { redis: { socketsRedis: 'none' } } } })).toHaveLength(1);
  });
});

describe('the files beside an application', () => {
  let appDir: string;
  beforeEach(() => {
    appDir = join(dir, 'app');
    mkdirSync(appDir);
  });

  it('lie on those of Redoubt and under the named one, default and NODE_ENV', () => {
    write('staging.json5', "{ cache: { maxEntries: 1, ttl: '1s', sweepEvery: '1s', journalMax: 1 } }");
    const base = write('app/default.json5', "{ cache: { maxEntries: 2, ttl: '2s', sweepEvery: '2s' } }");
    const staging = write('app/staging.json5', "{ cache: { ttl: '3s', sweepEvery: '3s' } }");
    const file = write('mine.json5', "{ cache: { sweepEvery: '4s' } }");
    const { config, files, foreign } = load({ appDir, file, env: { NODE_ENV: 'staging' } });
    expect(config.cache).toMatchObject({ journalMax: 1, maxEntries: 2, ttlMs: 3_000, sweepEveryMs: 4_000 });
    expect(files).toEqual([join(dir, 'staging.json5'), base, staging, file]);
    expect(foreign).toEqual([]);
  });

  it('give the section redoubt of a file that others read too, and nothing else of it', () => {
    const file = write(
      'app/default.json5',
      "{ db: { host: 'x' }, cache: 'theirs', redoubt: { cache: { maxEntries: 7 } } }",
    );
    expect(load({ appDir })).toMatchObject({ config: { cache: { maxEntries: 7 } }, files: [file], foreign: [] });
  });

  it("are left alone where a key says that they are somebody else's", () => {
    const file = write('app/default.json5', "{ server: { port: 'ours' }, db: { host: 'x' } }");
    expect(load({ appDir })).toMatchObject({ config: { server: { port: 3000 } }, files: [] });
    expect(load({ appDir }).foreign).toEqual([{ file, shared: ['server'] }]);
  });

  it('report a mistake with its place, and how a file of others is told apart', () => {
    const file = write('app/default.json5', '{ redoubt: { cahce: {} } }');
    const other = write('app/development.json5', '{ server: { prot: 80 } }');
    expect(mistakesOf({ appDir })).toEqual([
      `${file}: redoubt.cahce: unknown key (did you mean "redoubt.cache"?)`,
      `${other}: server.prot: unknown key (did you mean "server.port"?)`,
      `${other}: taken for Redoubt's by its keys; if it is another's, its own settings belong under "redoubt"`,
    ]);
  });

  it("are read once where the application's folder is Redoubt's own", () => {
    const file = write('default.json5', '{ cache: { maxEntries: 3 } }');
    symlinkSync(dir, join(dir, 'link'));
    expect(load({ appDir: join(dir, 'link') }).files).toEqual([file]);
  });

  it('are found in the working directory', () => {
    const { files } = loadConfig({ env: { NODE_ENV: 'test' } });
    expect(files.map((file) => basename(file))).toEqual(['default.json5', 'test.json5']);
  });
});

describe('a mistake', () => {
  it('is reported with all others at once: file, path, what was found, what is allowed, what was meant', () => {
    const base = write('default.json5', "{ log: { level: 'inof' }, cache: { ttl: 5, maxEntires: 3 }, redis: [] }");
    const file = write('mine.json5', '{ server: { port: 70000 }, chace: {}, redis: { detect: { failureRatio: 2 } } }');
    expect(mistakesOf({ file, overrides: { jobs: { deadline: '5 parsecs' } }, env: { PORT: 'x' } })).toEqual([
      `${base}: log.level: must be one of "fatal", "error", "warn", "info", "debug", "trace", "silent", found "inof" (did you mean "info"?)`,
      `${base}: cache.ttl: must be a duration with its unit, such as "250ms", "5s", "2m" or "24h", found 5`,
      `${base}: cache.maxEntires: unknown key (did you mean "cache.maxEntries"?)`,
      expect.stringContaining(`${base}: redis: must be an object with url, keyPrefix`),
      `${file}: server.port: must be a port from 0 to 65535, found 70000`,
      `${file}: chace: unknown key (did you mean "cache"?)`,
      `${file}: redis.detect.failureRatio: must be a number from 0 to 1, found 2`,
      expect.stringMatching(/^options: jobs\.deadline: must be a duration .*found "5 parsecs"$/),
      'environment: PORT: must be a port from 0 to 65535, found "x"',
    ]);
  });

  it('in the syntax of a file names the file and the line', () => {
    const file = write('mine.json5', '{\n  server: {\n    port 3000,\n  },\n}\n');
    const [mistake, ...others] = mistakesOf({ file });
    expect(mistake).toContain(file);
    expect(mistake).toMatch(/cannot be read: .* at 3:\d+$/);
    expect(others).toEqual([]);
  });

  it('is a file that is not there, that is a folder, or that holds no object', () => {
    mkdirSync(join(dir, 'folder'));
    expect(mistakesOf({ file: join(dir, 'gone.json5') })).toEqual([
      expect.stringMatching(/gone\.json5: cannot be read: ENOENT/),
    ]);
    expect(mistakesOf({ file: join(dir, 'folder') })).toEqual([
      expect.stringMatching(/folder: cannot be read: EISDIR/),
    ]);
    expect(mistakesOf({ file: write('list.json5', '[1]') })).toEqual([expect.stringMatching(/must hold one object$/)]);
  });

  it.each(['constructor', '__proto__', 'toString', 'hasOwnProperty'])('is a key named %s, at any depth', (key) => {
    const file = write('mine.json5', `{ "${key}": { polluted: true }, cache: { "${key}": 1 } }`);
    expect(mistakesOf({ file })).toEqual([
      expect.stringContaining(`: ${key}: unknown key`),
      expect.stringContaining(`: cache.${key}: unknown key`),
    ]);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it.each([
    ['redis.url', { redis: { url: 'http://planted-secret@host' } }],
    ['redis.url', { redis: { url: 'planted-secret' } }],
    ['postgres.url', { postgres: { url: 'mysql://root:planted-secret@host/db' } }],
    ['postgres.url', { postgres: { url: 'pglite:' } }],
    ['sessions.secret', { sessions: { secret: { 'planted-secret': 1 } } }],
    ['server.apiToken', { server: { apiToken: ['planted-secret'] } }],
  ])('in %s never shows the secret', (path, overrides) => {
    const mistakes = mistakesOf({ overrides });
    expect(mistakes).toEqual([expect.stringMatching(new RegExp(`^options: ${path}: must be .* found \\[secret\\]$`))]);
    expect(mistakes.join()).not.toContain('planted-secret');
  });

  it('is handed to programs as a list too', () => {
    const finding = { file: 'options', path: 'server.port', message: 'must be a port from 0 to 65535, found -1' };
    expect(() => load({ overrides: { server: { port: -1 } } })).toThrow(expect.objectContaining({ cause: [finding] }));
  });
});

describe('the configuration in code', () => {
  it('has durations in milliseconds under …Ms and sizes in bytes', () => {
    const { config } = load({ overrides: { cache: { deadline: '1.5s', maxBytes: '1.5kb' }, sessions: { ttl: '7d' } } });
    expect(config.cache).toMatchObject({ deadlineMs: 1_500, maxBytes: 1_536 });
    expect(config.sessions.ttlMs).toBe(604_800_000);
    expect(config.cache).not.toHaveProperty('deadline');
  });

  it('is frozen to its leaves', () => {
    const { config } = load({ overrides: { health: { readiness: ['redis'] } } });
    const frozen = (value: unknown): boolean =>
      typeof value !== 'object' || value === null || (Object.isFrozen(value) && Object.values(value).every(frozen));
    expect(frozen(config)).toBe(true);
  });

  it('leaves what the caller handed in as it was', () => {
    const overrides = { health: { readiness: ['redis'] } };
    load({ overrides });
    overrides.health.readiness.push('postgres');
    expect(overrides.health.readiness).toEqual(['redis', 'postgres']);
  });

  it('is masked where people see it: no secret, no URL that may carry one', () => {
    const planted = 'planted-secret-0123456789-0123456789';
    const { config } = load({
      env: {
        REDIS_URL: `redis://u:${planted}@h`,
        DATABASE_URL: `postgres://u:${planted}@h/d`,
        SESSION_SECRET: `${planted},${planted}`,
        API_TOKEN: planted,
      },
    });
    const masked = maskConfig(config);
    expect(JSON.stringify(masked)).not.toContain('planted');
    expect(masked).toMatchObject({
      redis: { url: '[secret]', deadlineMs: 250 },
      sessions: { secret: '[secret]' },
      server: { apiToken: '[secret]', port: 3000 },
    });
    expect(config.server.apiToken).toBe(planted);
  });

  it('shows that a secret is not set', () => {
    expect(maskConfig(load().config)).toMatchObject({ server: { apiToken: '' }, sessions: { secret: [] } });
  });
});

function until(value: string): string[] {
  return mistakesOf({ overrides: { sessions: { adopt: { until: value } } } });
}

describe('an instant', () => {
  it('names its time zone, so that it is the same on every machine', () => {
    for (const value of ['', '2026-12-31T18:00Z', '2026-12-31T18:00:00.5+02:00']) expect(until(value)).toEqual([]);
    for (const value of ['tomorrow', '2026-12-31', '2026-12-31T18:00:00', '2026-13-31T18:00:00Z']) {
      expect(until(value)).toEqual([expect.stringContaining('must be an instant with its time zone')]);
    }
  });
});
