import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, expect, it } from 'vitest';

import { runCli } from '../../../src/cli/run.ts';

const dir = mkdtempSync(join(tmpdir(), 'redoubt-simulate-'));
afterAll(() => rmSync(dir, { recursive: true }));

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const context = { env: {}, cwd: dir, version: '1.2.3' };
  const code = await runCli(['simulate', ...args], {
    ...context,
    out: (text) => out.push(text),
    err: (text) => err.push(text),
  });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

function file(name: string, text: string): string {
  writeFileSync(join(dir, name), text);
  return name;
}

function line(time: number, from: string, to: string, event: string, reason: string): string {
  return JSON.stringify({ time, machine: 'redis', from, to, event, reason });
}

describe('redoubt simulate', () => {
  it('lists the shipped scripts, and runs one by its name', async () => {
    expect(await run('--list')).toMatchObject({ code: 0, out: expect.stringContaining('Redis freezes for a minute') });
    const { code, out } = await run('--script', 'freeze');
    expect(code).toBe(0);
    expect(out).toMatch(/0:30\.\d+ +redis +available → degraded\.unreachable +redis\.lost/);
    expect(out).toContain('calls that waited for a deadline');
    expect(out).toContain('sessions  memory from 0:00.000, redis from');
  });

  it('prints the whole result with --json', async () => {
    const { out } = await run('--script', 'kill', '--json', '--seed', '7');
    expect(JSON.parse(out)).toMatchObject({ seed: 7, durationMs: 60_000, states: { redis: 'available' } });
  });

  it('compares a second policy side by side and marks what differs', async () => {
    const name = file('hasty.json5', '{ redis: { detect: { successesToRecover: 2 } } }');
    const { code, out } = await run('--script', 'flapping', '--compare', name);
    expect(code).toBe(0);
    expect(out).toMatch(/default +hasty\.json5/);
    expect(out).toMatch(/≠ +most transitions of a machine in a minute +3 +\d+$/m);
    expect(out).not.toMatch(/≠ +redis at the end/);
    const json = JSON.parse((await run('--script', 'flapping', '--compare', name, '--json')).out) as {
      differences: { name: string }[];
    };
    expect(json.differences.map((each) => each.name)).toContain('mostTransitionsPerMinute');
  });

  it('makes a script out of a log, says whether it repeats, and runs it', async () => {
    const log = file(
      'serve.log',
      [
        line(1_000, 'connecting', 'recovering', 'probe.passed', 'probe.passed'),
        line(1_050, 'recovering', 'available', 'reconcile.finished', 'reconciled'),
        line(9_000, 'available', 'degraded.unreachable', 'redis.lost', 'ECONNREFUSED'),
        line(15_000, 'degraded.unreachable', 'recovering', 'probe.passed', 'probe.passed'),
        line(15_020, 'recovering', 'available', 'reconcile.finished', 'reconciled'),
      ].join('\n'),
    );
    const { code, out, err } = await run('--record', log);
    expect(err).toBe('The simulation repeats all 5 transitions of serve.log');
    expect(code).toBe(0);
    expect(await run('--script', file('again.json5', out))).toMatchObject({ code: 0 });
  });

  it('says that a record takes another way than its simulation, with exit code 1', async () => {
    const reading = {
      time: 1,
      machine: 'redis',
      from: 'connecting',
      to: 'elsewhere',
      event: 'probe.passed',
      reason: 'x',
    };
    const { code, err } = await run('--record', file('odd.log', JSON.stringify(reading)));
    expect(code).toBe(1);
    expect(err).toContain('redis takes another way');
  });

  it('refuses a script with mistakes with exit code 1, and wrong usage with 2', async () => {
    const bad = file('bad.json5', "{ title: 'x', duration: '1m', redis: [{ at: '1s', is: 'frozzen' }] }");
    expect(await run('--script', bad)).toMatchObject({
      code: 1,
      err: expect.stringContaining('did you mean "frozen"?'),
    });
    expect(await run('--script', 'freez')).toMatchObject({
      code: 2,
      err: expect.stringContaining('did you mean freeze?'),
    });
    expect(await run()).toMatchObject({ code: 2, err: expect.stringContaining('--script') });
    expect(await run('--script', 'kill', '--seed', 'x')).toMatchObject({ code: 2 });
  });
});
