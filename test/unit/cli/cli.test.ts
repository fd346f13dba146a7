import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, expect, it } from 'vitest';

import { runCli } from '../../../src/cli/run.ts';
import { statusTable } from '../../../src/cli/status-table.ts';
import { buildReport } from '../../../src/services/health/report.ts';
import { SimulatedClock } from '../../support/clock.ts';
import { testConfig } from '../../support/service-rig.ts';
import { WALL_START, fakeMachine, fakeMachines, fakeRevision, fakeServices, fakeTransition } from '../health/fakes.ts';

const dir = mkdtempSync(join(tmpdir(), 'redoubt-cli-'));
afterAll(() => rmSync(dir, { recursive: true }));

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const context = { env: {}, cwd: dir, version: '1.2.3' };
  const code = await runCli(args, { ...context, out: (text) => out.push(text), err: (text) => err.push(text) });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

describe('redoubt', () => {
  it('lists its commands, and each has help of its own', async () => {
    const { code, out } = await run('--help');
    expect(code).toBe(0);
    for (const command of ['serve', 'check', 'simulate', 'diagram', 'schema', 'status']) {
      expect(out).toContain(command);
      const help = await run(command, '--help');
      expect(help.code).toBe(0);
      expect(help.out).toContain(`Usage: redoubt ${command}`);
    }
  });

  it('says its version', async () => {
    expect(await run('--version')).toMatchObject({ code: 0, out: '1.2.3' });
  });

  it('asks what was meant by a command or an option it does not know, with exit code 2', async () => {
    expect(await run('stauts')).toMatchObject({ code: 2, err: expect.stringContaining('did you mean status?') });
    expect(await run('check', '--jsn')).toMatchObject({
      code: 2,
      err: expect.stringContaining('did you mean --json?'),
    });
    expect(await run('status', 'a', 'b')).toMatchObject({ code: 2 });
    expect(await run('constructor')).toMatchObject({ code: 2 });
    expect(await run()).toMatchObject({ code: 2 });
  });

  it('refuses a port that is none, before anything starts', async () => {
    expect(await run('serve', '--port', 'x')).toMatchObject({ code: 2, err: expect.stringContaining('--port') });
  });
});

describe('redoubt status', () => {
  it('refuses what is no URL of a server', async () => {
    expect(await run('status', 'ftp://host')).toMatchObject({ code: 2 });
  });

  it('shows machines, services, notices and transitions in columns', () => {
    const redis = fakeMachine('redis', 'degraded.unreachable', {
      nextProbeAt: WALL_START + 500,
      history: [fakeTransition(1)],
    });
    const report = buildReport({
      config: testConfig(),
      machines: fakeMachines(redis, fakeMachine('postgres', 'available')),
      services: fakeServices({ cache: 'memory' }),
      version: '1.2.3',
      revision: fakeRevision,
      instance: 'abcd',
      clock: new SimulatedClock(WALL_START),
      started: () => true,
      draining: () => false,
    });
    const table = statusTable(report, WALL_START);
    expect(table).toMatch(/^warn {2}Redis has been unreachable/);
    expect(table).toMatch(/redis +degraded\.unreachable +degraded +for 0s +.*\(next probe in 0\.5s\)/);
    expect(table).toMatch(/cache +memory +prefers redis +instance/);
    expect(table).toContain('available → degraded.slow');
  });

  it('says so when the server shows no details', () => {
    expect(statusTable({ status: 'warn' }, 0)).toContain('only with its API token');
  });
});
