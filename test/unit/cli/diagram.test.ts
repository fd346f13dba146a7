import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, describe, expect, it } from 'vitest';

import { runCli } from '../../../src/cli/run.ts';

const dir = mkdtempSync(join(tmpdir(), 'redoubt-diagram-'));
afterAll(() => rmSync(dir, { recursive: true }));

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const context = { env: {}, cwd: dir, version: '1.2.3' };
  const write = { out: (text: string) => out.push(text), err: (text: string) => err.push(text) };
  const code = await runCli(['diagram', ...args], { ...context, ...write });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

function machines(folder: string, redis: string): string {
  mkdirSync(join(dir, folder));
  writeFileSync(join(dir, folder, 'redis.machine.json'), redis);
  return folder;
}

const shipped = new URL('../../../machines/redis.machine.json', import.meta.url);

describe('redoubt diagram', () => {
  it('draws a machine as an SVG file where nothing else is asked for', async () => {
    const { code, out } = await run('redis');
    expect(code).toBe(0);
    expect(out).toMatch(/^<svg [^]*<\/svg>$/);
  });

  it.each([
    ['mermaid', /^---\ntitle: "postgres"\n---\nstateDiagram-v2\n/],
    ['dot', /^digraph "postgres" \{\n/],
    ['json', /^\{\n {2}"machine": "postgres",\n/],
  ])('draws a machine as %s', async (format, begin) => {
    const { code, out } = await run('postgres', '--format', format);
    expect(code).toBe(0);
    expect(out).toMatch(begin);
  });

  it('draws all machines where none is named, but as an SVG only one', async () => {
    const { out } = await run('--format', 'json');
    expect(JSON.parse(out)).toMatchObject([{ machine: 'redis' }, { machine: 'postgres' }]);
    const { code, err } = await run();
    expect(code).toBe(2);
    expect(err).toContain('redis, postgres');
  });

  it('writes a file with --out, and nothing to standard output', async () => {
    const { code, out } = await run('redis', '--format', 'dot', '--out', 'redis.dot');
    expect({ code, out }).toEqual({ code: 0, out: '' });
    expect(readFileSync(join(dir, 'redis.dot'), 'utf8')).toMatch(/^digraph [^]*\}\n$/);
    expect(await run('redis', '--format', 'dot', '--out', 'nowhere/redis.dot')).toMatchObject({
      code: 1,
      err: expect.stringContaining('nowhere/redis.dot cannot be written'),
    });
  });

  it('shows the numbers of the configuration that is named', async () => {
    writeFileSync(
      join(dir, 'slow.json5'),
      "{ redis: { detect: { successesToRecover: 9 }, delays: { recoverTimeout: '77s' } } }",
    );
    const { out } = await run('redis', '--format', 'mermaid', '--config', 'slow.json5');
    expect(out).toContain('[recoverable successesToRecover=9]');
    expect(out).toContain('after recoverTimeout (77s)');
  });

  it('takes machines from the folder that is named', async () => {
    const folder = machines(
      'own',
      readFileSync(shipped, 'utf8').replaceAll('"slow"', '"sluggish"').replaceAll('degraded.slow', 'degraded.sluggish'),
    );
    const { code, out } = await run('redis', '--format', 'mermaid', '--machines', folder);
    expect(code).toBe(0);
    expect(out).toContain('state "sluggish" as s_degraded_sluggish');
  });

  it('lists the mistakes of a machine file and draws nothing', async () => {
    const folder = machines('broken', '{ "id": "redis", "initial": "nowhere", "states": { "a": {} } }');
    const { code, out, err } = await run('redis', '--machines', folder);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain('broken/redis.machine.json');
    expect(err).toContain('nothing was drawn');
  });

  it('takes an unknown machine or format for wrong usage and says what was meant', async () => {
    expect(await run('reddis')).toMatchObject({ code: 2, err: expect.stringContaining('did you mean redis?') });
    const { code, err } = await run('redis', '--format', 'mermade');
    expect(code).toBe(2);
    expect(err).toContain('did you mean mermaid?');
  });

  it('ends as a process, the thread that laid it out included', () => {
    const main = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));
    const svg = execFileSync(process.execPath, [main, 'diagram', 'redis'], { cwd: dir, timeout: 30_000, env: {} });
    expect(String(svg)).toMatch(/<\/svg>\n$/);
  });
});
