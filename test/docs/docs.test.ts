/**
 * Every block of README.md and docs/ is tested as a file of a user's, in an empty project into which the packed package
 * has been installed with what the page's own `npm i` lines name.
 *
 *     ts, js   a module: ts is type-checked by tsc --strict, both are run to their end with a real Redis and PostgreSQL
 *     json5    a configuration file, for `redoubt check --config`
 *     json     part of a machine file; its comment says which
 *     sh       each command with its options must exist; harmless ones are run, curl is sent to `redoubt serve`
 *     sql      is run on connect-pg-simple's table, the blocks of a page one after another
 *     (none)   a drawing, or what a command prints: after `$ redoubt …` that command must print just this
 *
 * What a block takes for granted stands in a comment before it, `<!-- test: … -->`, clauses parted by `; `:
 *
 *     with redoubt, app    these names are there already; programs.ts says as what
 *     serves /health       it goes on running: this path is answered 200, and SIGTERM ends it with exit code 0
 *     throws ERR_CLOSED    it ends with an error of this code
 *     file app.ts          its name, where other blocks of the page import it
 *     in FILE              it is a part of this file: some object in there has all that the block has
 *     answer /health       json: `redoubt serve` answers this path with all that the block has, but for the values
 *     script               json5: an outage for `redoubt simulate`
 *     types: REASON        only type-checked, because of this
 *     no: REASON           not tested, because of this
 */
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import JSON5 from 'json5';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { sharedDatabase } from '../support/postgres.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';
import { type TestServer, startServer } from '../support/server.ts';
import { type Block, PAGES, ROOT, blocksOf, titleOf } from './blocks.ts';
import { type Project, install, pack } from './installed.ts';
import { contains, hasFieldsOf, objectsIn } from './json.ts';
import { Serving, moduleOf, runToEnd, typeMistakes } from './programs.ts';
import { linesOf, mistakeOf, packagesOf } from './shell.ts';

const FILES = fileURLToPath(new URL('files/', import.meta.url));
/** What everybody who writes TypeScript for Node and Express has. */
const TYPES = ['@types/node', '@types/express', '@types/express-session'];

const blocks = PAGES.flatMap(blocksOf);
const byLanguage = (...languages: string[]): Block[] =>
  blocks.filter(({ language, directive }) => languages.includes(language) && directive.no === undefined);

let redis: TestRedis;
let tarball: string;
let project: Project;
let server: TestServer;
const env = {
  PATH: process.env['PATH'],
  HOME: process.env['HOME'],
  SESSION_SECRET: 'a secret of thirty-two characters or more',
};

beforeAll(async () => {
  redis = await startRedis();
  tarball = pack();
  project = install(tarball);
  for (const name of [...TYPES, ...byLanguage('sh').flatMap(packagesOf)])
    if (name !== 'redoubt-runtime') project.link(name);
  cpSync(FILES, project.dir, { recursive: true });
  for (const folder of ['examples', 'machines']) {
    cpSync(join(ROOT, folder), join(project.dir, folder), { recursive: true });
  }
  server = await startServer({
    main: project.bin,
    env: { REDIS_URL: redis.url, DATABASE_URL: await sharedDatabase(), SESSION_SECRET: env.SESSION_SECRET },
  });
}, 120_000);

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  project?.[Symbol.dispose]();
  await redis?.[Symbol.asyncDispose]();
});

describe('programs of the docs', () => {
  const programs = byLanguage('ts', 'js');

  it('are right to tsc --strict, against the declarations of the package', async () => {
    const modules = programs.map((block) => {
      const { name, text } = moduleOf(block);
      project.write(name, text);
      return name;
    });
    expect(
      await typeMistakes(
        project,
        modules.filter((name) => name.endsWith('ts')),
      ),
    ).toBe('');
  });

  const run = programs.filter(({ directive }) => directive.types === undefined);
  const ending = run.filter(({ directive }) => directive.serves === undefined);
  it.each(ending.map((block) => [titleOf(block), block] as const))('%s runs to its end', async (_title, block) => {
    const { name, text } = moduleOf(block);
    project.write(name, text);
    expect(await runToEnd(project, name, await servers(), block.directive.throws)).toBe('');
  });

  const serving = run.filter(({ directive }) => directive.serves !== undefined);
  it.each(serving.map((block) => [titleOf(block), block] as const))('%s serves and stops', async (_title, block) => {
    const { name, text } = moduleOf(block);
    project.write(name, text);
    await using program = await Serving.start(project, name, block.directive.serves!, await servers());
    expect(await program.stop()).toBe('');
  });

  it('of getting-started.md: a session of the application before goes on in the one after', async () => {
    const config = byLanguage('json5').find(({ page }) => page === 'docs/getting-started.md')!;
    const own = await servers();
    await using before = await Serving.start(project, 'before.mts', '/users/7', own);
    const first = await before.get('/users/7');
    const cookie = first.headers.getSetCookie()[0]!.split(';')[0]!;
    await before.stop();
    project.write('config/default.json5', config.text);
    await using after = await Serving.start(project, 'after.mts', '/users/7', own);
    project.remove('config/default.json5');
    await after.well();
    const second = await after.get('/users/7', { cookie });
    expect([await first.json(), await second.json()]).toMatchObject([{ views: 1 }, { views: 2 }]);
  });

  it('of getting-started.md: a session goes on while Redis is frozen, killed, and back without data', async () => {
    await using failing = await startRedis();
    await using after = await Serving.start(project, 'after.mts', '/users/7', {
      ...(await servers()),
      REDIS_URL: failing.url,
    });
    await after.well();
    const first = await after.get('/users/7');
    const cookie = first.headers.getSetCookie()[0]!.split(';')[0]!;
    const views = [await first.json()];
    for (const fault of [() => failing.freeze(), () => failing.kill(), () => failing.restart({ empty: true })]) {
      await fault();
      views.push(await (await after.get('/users/7', { cookie })).json());
    }
    expect(views).toMatchObject([{ views: 1 }, { views: 2 }, { views: 3 }, { views: 4 }]);
  });
});

describe('configuration and machines of the docs', () => {
  const config = byLanguage('json5').filter(({ directive }) => !directive.script && directive.in === undefined);
  it.each(config.map((block) => [titleOf(block), block] as const))('%s is a configuration', (_title, block) => {
    // A page may show one group without its braces.
    const text = block.text.trimStart().startsWith('{') ? block.text : `{${block.text}}`;
    project.write('block.json5', text);
    expect(redoubt('check', '--config', 'block.json5')).toContain('block.json5');
  });

  const scripts = byLanguage('json5').filter(({ directive }) => directive.script);
  it.each(scripts.map((block) => [titleOf(block), block] as const))('%s is an outage', (_title, block) => {
    project.write('block.json5', block.text);
    expect(redoubt('simulate', '--script', './block.json5', '--json')).toContain('"states"');
  });

  const parts = byLanguage('json', 'json5').filter(({ directive }) => directive.in !== undefined);
  it.each(parts.map((block) => [titleOf(block), block] as const))(
    '%s is part of the file it names',
    (_title, block) => {
      const part: unknown = JSON5.parse(block.text.trimStart().startsWith('{') ? block.text : `{${block.text}}`);
      const whole: unknown = JSON5.parse(readFileSync(join(ROOT, block.directive.in!), 'utf8'));
      expect(objectsIn(whole).some((each) => contains(each, part))).toBe(true);
    },
  );

  const answers = byLanguage('json').filter(({ directive }) => directive.answer !== undefined);
  it.each(answers.map((block) => [titleOf(block), block] as const))(
    '%s is what the server answers',
    async (_title, block) => {
      const answer: unknown = await (await server.fetch(block.directive.answer!)).json();
      expect(hasFieldsOf(answer, JSON.parse(block.text))).toBe(true);
    },
  );

  it('has a file for each part of a machine', () => {
    expect(
      byLanguage('json')
        .filter(({ directive }) => directive.in === undefined && directive.answer === undefined)
        .map(titleOf),
    ).toEqual([]);
  });
});

describe('commands of the docs', () => {
  it.each(byLanguage('sh').map((block) => [titleOf(block), block] as const))('%s', async (_title, block) => {
    const mistakes: string[] = [];
    for (const line of linesOf(block)) {
      const mistake = await mistakeOf(line, project, ask);
      if (mistake !== '') mistakes.push(`${line.text}: ${mistake}`);
    }
    expect(mistakes).toEqual([]);
  });

  const prints = byLanguage('').filter(({ text }) => text.startsWith('$ redoubt '));
  it.each(prints.map((block) => [titleOf(block), block] as const))('%s prints what stands there', (_title, block) => {
    const [command = '', ...lines] = block.text.split('\n');
    const args = command.replace(/ +#.*/, '').split(' ').slice(2);
    const printed = redoubt(...args);
    // A line `…` stands for what is left out.
    for (const part of lines.join('\n').split('…\n')) expect(printed).toContain(part.trimEnd());
  });
});

describe('statements of the docs', () => {
  const pages = [...new Set(byLanguage('sql').map(({ page }) => page))];
  it.each(pages)('%s: its SQL runs', async (page) => {
    const client = new Client({ connectionString: await sharedDatabase() });
    await client.connect();
    try {
      await client.query(
        `create table session (sid varchar primary key, sess json not null, expire timestamp(6) not null)`,
      );
      for (const block of byLanguage('sql').filter((each) => each.page === page)) {
        await expect(client.query(block.text)).resolves.toHaveProperty('command');
      }
    } finally {
      await client.end();
    }
  });
});

/** The environment of a program: Redis, and a database of its own. */
async function servers(): Promise<NodeJS.ProcessEnv> {
  return { ...env, REDIS_URL: redis.url, DATABASE_URL: await sharedDatabase() };
}

function redoubt(...args: string[]): string {
  return execFileSync(process.execPath, [project.bin, ...args], {
    cwd: project.dir,
    env: { PATH: env.PATH },
    encoding: 'utf8',
  });
}

/** Sends to the server of the test what a page sends to its reader's. */
async function ask(url: URL, init: RequestInit): Promise<number> {
  const answer = await server.fetch(url.pathname + url.search, init);
  await answer.body?.cancel();
  return answer.status;
}
