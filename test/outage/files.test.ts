import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { startServer } from '../support/server.ts';
import { startRig } from './rig.ts';
import { eventually } from '../support/eventually.ts';

const MACHINES = fileURLToPath(new URL('../../machines/', import.meta.url));

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'redoubt-files-'));
  cpSync(MACHINES, dir, { recursive: true });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

interface Editable {
  states: Record<string, { on: Record<string, object>; states: Record<string, { meta?: object }>; meta: object }>;
}

function editRedisMachine(edit: (machine: Editable) => void): void {
  const file = join(dir, 'redis.machine.json');
  const machine = JSON.parse(readFileSync(file, 'utf8')) as Editable;
  edit(machine);
  writeFileSync(file, JSON.stringify(machine));
}

async function timeToTrip(args: string[]): Promise<number> {
  await using rig = await startRig({ args });
  await rig.becomes('available');
  // With PostgreSQL too, so that nothing of the start still asks Redis.
  await eventually(async () => expect((await rig.health()).status).toBe('pass'));
  const startedAt = performance.now();
  rig.hop.mode = 'blackhole';
  await rig.becomes('degraded', 20_000);
  return performance.now() - startedAt;
}

describe('changing only files', () => {
  it('another threshold in a config file changes when the running server trips', async () => {
    const config = join(dir, 'patient.json5');
    // A probe must have failed before Redis is out of use, and that takes its deadline; the calls are not counted.
    writeFileSync(config, "{ redis: { probe: { deadline: '6s' }, detect: { minimumCalls: 10000 } } }");
    const usual = await timeToTrip([]);
    const patient = await timeToTrip(['--config', config]);
    expect(patient).toBeGreaterThan(5_000);
    expect(patient).toBeGreaterThan(usual * 1.5);
  });

  it('another backend for a state changes where the sessions go', async () => {
    editRedisMachine(({ states }) => {
      (states['degraded'] as { meta?: object }).meta = { backends: { sessions: ['memory'] } };
    });
    await using rig = await startRig({ args: ['--machines', dir] });
    await rig.becomes('available');
    await rig.redis.kill();
    await rig.becomes('degraded');
    const { services } = await rig.health();
    expect(services.sessions).toMatchObject({ backend: 'memory', preferred: 'redis' });
    expect(services.cache.backend).toBe('memory');
  });

  it('one more state is entered, shown in health, and its backends are used', async () => {
    editRedisMachine(({ states }) => {
      states['maintenance'] = {
        tags: ['degraded', 'unprobed'],
        meta: { backends: { sessions: ['memory'] } },
        on: { 'operator.release': { target: 'connecting' } },
      } as never;
      (states['available'] as { on: object }).on = {
        ...states['available']?.on,
        'operator.isolate': { target: 'maintenance' },
      };
    });
    await using rig = await startRig({ args: ['--machines', dir] });
    await rig.becomes('available');
    expect((await rig.operator('operator.isolate')).ok).toBe(true);
    const report = await rig.becomes('maintenance');
    expect(report.services.sessions.backend).toBe('memory');
    expect((await rig.operator('operator.release')).ok).toBe(true);
    await rig.becomes('available');
    await rig.expectSound();
  });

  it('a broken machine file stops the start before anything listens, with the place and a suggestion', async () => {
    editRedisMachine(({ states }) => {
      (states['available'] as { on: Record<string, object> }).on['redis.lost'] = { target: 'degradet' };
    });
    const failed = startServer({ args: ['--machines', dir], env: { DATABASE_URL: 'none' } });
    await expect(failed).rejects.toThrow(/states\.available\.on\.redis\.lost[^]*"degraded"/);
  });

  it('a broken config file stops the start, naming every mistake at once', async () => {
    const config = join(dir, 'broken.json5');
    writeFileSync(config, "{ redis: { dedline: '1s' }, cache: { ttl: 5 } }");
    const failed = startServer({ args: ['--config', config], env: { DATABASE_URL: 'none' } });
    await expect(failed).rejects.toThrow(/redis\.dedline[^]*redis\.deadline[^]*cache\.ttl/);
  });
});
