import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, describe, expect, it } from 'vitest';

import { runCli } from '../../../src/cli/run.ts';
import type { Finding } from '../../../src/runtime/load.ts';

const shipped = fileURLToPath(new URL('../../../machines/', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'redoubt-check-'));
afterAll(() => rmSync(dir, { recursive: true }));

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const context = { env: {}, cwd: dir, version: '1.2.3' };
  const code = await runCli(args, { ...context, out: (text) => out.push(text), err: (text) => err.push(text) });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

function file(name: string, text: string): string {
  mkdirSync(dirname(join(dir, name)), { recursive: true });
  writeFileSync(join(dir, name), text);
  return name;
}

/** A folder of the shipped machines with one text of redis.machine.json replaced. */
function machines(name: string, from: string, to: string): string {
  cpSync(shipped, join(dir, name), { recursive: true });
  const text = readFileSync(join(dir, name, 'redis.machine.json'), 'utf8');
  expect(text).toContain(from);
  file(`${name}/redis.machine.json`, text.replace(from, to));
  return name;
}

describe('redoubt check', () => {
  it('finds nothing wrong in what is shipped', async () => {
    expect(await run('check', '--strict')).toMatchObject({ code: 0, out: expect.stringContaining('Nothing wrong') });
  });

  it.each(readdirSync(join(shipped, '../examples/recipes')))('finds nothing wrong in the recipe %s', async (recipe) => {
    const folder = join(shipped, '../examples/recipes', recipe);
    expect(await run('check', folder, '--strict')).toMatchObject({
      code: 0,
      out: expect.stringContaining('Nothing wrong'),
    });
  });

  it('prints every mistake of a configuration with its line and column, and exits with 1', async () => {
    const name = file('bad.json5', "// mine\n{ cache: { tll: '5m',\n    deadline: 250 } }");
    const { code, out } = await run('check', '--config', name);
    expect(code).toBe(1);
    expect(out).toContain('bad.json5:2:12: error [config] cache.tll: unknown key (did you mean "cache.ttl"?)');
    expect(out).toContain('bad.json5:3:15: error [config] cache.deadline: must be a duration');
    expect(out).toContain('2 errors, 0 warnings');
  });

  it('says where a configuration is no JSON5', async () => {
    const { code, out } = await run('check', file('torn.json5', '{\n  cache: {,\n}'));
    expect(code).toBe(1);
    expect(out).toMatch(/^torn\.json5:2:11: error \[config\]/);
  });

  it('lets a configuration name its schema for editors', async () => {
    const name = file('mine.json5', "{ $schema: './config.schema.json', cache: { ttl: '1m' } }");
    expect(await run('check', name)).toMatchObject({ code: 0 });
  });

  it('prints findings that a program can read with --json', async () => {
    const name = file('bad2.json5', '{\n cash: {} }');
    const { code, out } = await run('check', name, '--json');
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      ok: false,
      errors: 1,
      warnings: 0,
      findings: [{ code: 'config', severity: 'error', path: 'cash', line: 2, column: 2 }],
    });
  });

  it('points into a machine file, at the line and column of the mistake', async () => {
    const folder = machines('typo', '"target": "recovering"', '"target": "recoverin"');
    const { code, out } = await run('check', folder);
    expect(code).toBe(1);
    const text = readFileSync(join(dir, folder, 'redis.machine.json'), 'utf8').split('\n');
    const line = text.findIndex((each) => each.includes('"recoverin"'));
    const column = (text[line] ?? '').indexOf('"recoverin"') + 1;
    expect(out).toContain(`typo/redis.machine.json:${line + 1}:${column}: error [unknown-target]`);
    expect(out).toContain('did you mean "recovering"');
  });

  it('fails for a warning only with --strict', async () => {
    const folder = machines('numeric', '"connectTimeout": {', '"2000": {');
    const lenient = await run('check', folder);
    expect(lenient).toMatchObject({ code: 0, out: expect.stringContaining('warning [numeric-delay]') });
    expect(lenient.out).toContain('0 errors, 1 warning');
    expect(await run('check', folder, '--strict')).toMatchObject({ code: 1 });
    expect(await run('check', '--machines', folder, '--strict')).toMatchObject({ code: 1 });
  });

  it('prints SARIF 2.1.0, its rules and places consistent with the findings', async () => {
    const folder = machines('sarif', '"connectTimeout": {', '"conectTimeout": {');
    const { code, out } = await run('check', folder, '--sarif');
    expect(code).toBe(1);
    const { findings } = JSON.parse((await run('check', folder, '--json')).out) as { findings: Finding[] };
    const [found] = findings;
    expect(JSON.parse(out)).toMatchObject({
      version: '2.1.0',
      runs: [
        {
          tool: { driver: { name: 'redoubt', version: '1.2.3', rules: [{ id: 'unknown-delay' }] } },
          results: [
            {
              ruleId: 'unknown-delay',
              ruleIndex: 0,
              level: 'error',
              message: { text: expect.stringContaining('"connectTimeout"') },
              locations: [
                {
                  physicalLocation: {
                    artifactLocation: { uri: 'sarif/redis.machine.json' },
                    region: { startLine: found?.line, startColumn: found?.column },
                  },
                },
              ],
            },
          ],
        },
      ],
    });
  });

  it('knows the parts of the extensions that the configuration names, and says where they cannot be loaded', async () => {
    file('own.mjs', "export default { guards: { atNight: { doc: 'It is night.', test: () => true } } };");
    const own = file('own.json5', "{ runtime: { extensions: './own.mjs' } }");
    const guarded = '"probe.refused": { "guard": "atNight",';
    const folder = machines('guarded', '"probe.refused": {', guarded);
    expect(await run('check', folder, '--config', own)).toMatchObject({ code: 0 });
    expect(await run('check', folder)).toMatchObject({ code: 1, out: expect.stringContaining('unknown-guard') });
    const gone = file('gone.json5', "{ runtime: { extensions: './gone.mjs' } }");
    expect(await run('check', '--config', gone)).toMatchObject({
      code: 1,
      out: expect.stringContaining('error [extensions]'),
    });
  });

  it('takes a path that does not exist, or holds nothing to check, for wrong usage', async () => {
    expect(await run('check', 'nowhere')).toMatchObject({ code: 2 });
    expect(await run('check', file('notes.txt', ''))).toMatchObject({ code: 2 });
  });

  it('checks every machine and configuration of a folder', async () => {
    const folder = machines('both', '"target": "recovering"', '"target": "recoverin"');
    file('both/bad.json5', '{ cash: {} }');
    expect((await run('check', folder)).out).toContain('both/bad.json5:1:3');
    file('both/bad.json5', '{}');
    expect((await run('check', folder)).out).toContain('both/redis.machine.json');
  });
});

describe('redoubt schema', () => {
  it('prints the schema of machines and of configurations', async () => {
    for (const kind of ['machine', 'config']) {
      const { code, out } = await run('schema', kind);
      expect(code).toBe(0);
      expect(`${out}\n`).toBe(readFileSync(join(shipped, `../schema/${kind}.schema.json`), 'utf8'));
    }
  });

  it('knows the delays and the extensions of a configuration of your own', async () => {
    file('words.mjs', "export default { guards: { atDawn: { doc: 'It is dawn.', test: () => true } } };");
    const own = file('words.json5', "{ runtime: { extensions: './words.mjs', delays: { nap: '30m' } } }");
    const { code, out } = await run('schema', 'machine', '--config', own);
    expect(code).toBe(0);
    expect(out).toContain('"const": "atDawn"');
    expect(out).toContain('runtime.delays.nap. Now 30m.');
  });

  it('asks what was meant by another word', async () => {
    expect(await run('schema', 'machin')).toMatchObject({ code: 2, err: expect.stringContaining('machine?') });
    expect(await run('schema')).toMatchObject({ code: 2 });
  });
});
