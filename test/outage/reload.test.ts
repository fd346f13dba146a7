import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.ts';
import { startRedis } from '../support/redis.ts';
import { type Rig, logLines, startRig } from './rig.ts';

const MACHINES = fileURLToPath(new URL('../../machines/', import.meta.url));
const EXTENSIONS = fileURLToPath(new URL('fixtures/extensions.ts', import.meta.url));

let dir: string;
let machines: string;
let config: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'redoubt-reload-'));
  machines = join(dir, 'machines');
  config = join(dir, 'mine.json5');
  cpSync(MACHINES, machines, { recursive: true });
  writeFileSync(config, '{}');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

// oxlint-disable-next-line typescript/no-explicit-any -- a file that a test edits in any way
type Json = any;

function edit(id: string, change: (machine: Json) => void, from = id): void {
  const machine = JSON.parse(readFileSync(join(machines, `${from}.machine.json`), 'utf8')) as Json;
  change(machine);
  writeFileSync(join(machines, `${id}.machine.json`), JSON.stringify(machine));
}

function start(env: Record<string, string> = {}): Promise<Rig> {
  return startRig({ args: ['--machines', machines, '--config', config], env });
}

const revisionOf = async (rig: Rig) => (await rig.health()).revision;

describe('reload', () => {
  it('SIGHUP takes over a rebound backend and another threshold in the present state, without a transition', async () => {
    await using rig = await start();
    await rig.becomes('available');
    const before = await rig.health();
    edit('redis', ({ states }) => (states.available.meta.backends.cache = ['memory']));
    writeFileSync(config, "{ redis: { detect: { failuresToTrip: 7 } }, server: { bodyLimit: '2mb' } }");
    rig.server.signal('SIGHUP');
    await eventually(async () => expect((await revisionOf(rig)).source).toBe('signal'));
    const after = await rig.health();
    expect(after.revision.id).not.toBe(before.revision.id);
    expect(after.revision.pending).toEqual(['server.bodyLimit']);
    expect(after.services.cache.backend).toBe('memory');
    expect(after.machines['redis']?.state).toBe('available');
    expect(after.machines['redis']?.since).toBe(before.machines['redis']?.since);
    await rig.redis.kill();
    await rig.becomes('degraded');
    await rig.redis.restart();
    await rig.becomes('available');
    await rig.expectSound();
  });

  it('a mistake is refused: the old revision stays, and health, log and metrics say so', async () => {
    await using rig = await start();
    await rig.becomes('available');
    const { id } = await revisionOf(rig);
    edit('redis', ({ states }) => (states.available.on['redis.lost'].target = 'degradet'));
    expect((await rig.operator('operator.reload')).status).toBe(202);
    const refused = await revisionOf(rig);
    expect(refused).toMatchObject({ id, source: 'start', refused: { source: 'operator' } });
    expect(refused.refused?.message).toContain('degraded');
    expect(logLines(rig.server).some(({ msg }) => String(msg).includes('refused'))).toBe(true);
    expect(await (await rig.server.fetch('/metrics')).text()).toMatch(/^redoubt_reload_refused 1$/m);
    await rig.redis.kill();
    await rig.becomes('degraded.unreachable');

    edit('redis', ({ states }) => (states.available.on['redis.lost'].target = 'degraded.unreachable'));
    await rig.operator('operator.reload');
    expect((await revisionOf(rig)).refused).toBeNull();
    expect(await (await rig.server.fetch('/metrics')).text()).toMatch(/^redoubt_reload_refused 0$/m);
    await rig.expectSound();
  });

  it('a changed file is taken over by itself where runtime.watch says so', async () => {
    await using rig = await start({ REDOUBT_RUNTIME_WATCH: 'true' });
    await rig.becomes('available');
    writeFileSync(config, '{ redis: { detect: { failuresToTrip: 9 } } }');
    await eventually(async () => expect((await revisionOf(rig)).source).toBe('watch'));
    const { id } = await revisionOf(rig);
    edit('redis', ({ meta }) => (meta.backends.sessions = ['memory']));
    await eventually(async () => expect((await revisionOf(rig)).id).not.toBe(id));
    writeFileSync(config, '{ redis: { detekt: 1 } }');
    await eventually(async () =>
      expect((await revisionOf(rig)).refused?.message).toMatch(/redis\.detekt[^]*redis\.detect/),
    );
    await rig.expectSound();
  });

  it('a state that the new definition lacks leads to its initial state, and on from there', async () => {
    edit('redis', ({ states }) => {
      states.maintenance = { tags: ['degraded', 'unprobed'], on: { 'operator.release': { target: 'connecting' } } };
      states.available.on['operator.isolate'].target = 'maintenance';
    });
    await using rig = await start();
    await rig.becomes('available');
    await rig.operator('operator.isolate');
    await rig.becomes('maintenance');
    cpSync(join(MACHINES, 'redis.machine.json'), join(machines, 'redis.machine.json'));
    await rig.operator('operator.reload');
    const report = await rig.becomes('available');
    expect(report.machines['redis']?.transitions.some(({ event }) => event === 'definition.reloaded')).toBe(true);
    await rig.expectSound();
  });
});

describe("users' own parts", () => {
  it('a machine, a guard, an event and a delay come from files and a module, without touching src/', async () => {
    edit(
      'billing',
      (machine) => {
        machine.id = 'billing';
        delete machine.meta;
        machine.states.available.meta = undefined;
        machine.states.available.on['billing.lost'] = { target: 'degraded.unreachable' };
        machine.states.available.on['billing.paused'] = { target: 'paused' };
        delete machine.states.available.on['redis.lost'];
        delete machine.states.recovering.on['redis.lost'];
        machine.states.paused = { tags: ['degraded'], after: { pauseMax: { target: 'connecting' } } };
      },
      'redis',
    );
    edit('redis', ({ states }) => {
      states.available.on['probe.failed'] = {
        guard: { type: 'reasonIs', params: { code: 'NEVER' } },
        target: 'degraded.unreachable',
      };
    });
    writeFileSync(config, "{ runtime: { delays: { pauseMax: '300ms' } } }");
    await using rig = await start({ REDOUBT_RUNTIME_EXTENSIONS: EXTENSIONS });
    const billing = async (): Promise<string> => (await rig.health()).machines['billing']?.state ?? '';
    await eventually(async () => expect(await billing()).toBe('available'));
    rig.server.signal('SIGUSR2');
    await eventually(async () => expect(await billing()).toBe('degraded.unreachable'));
    rig.server.signal('SIGUSR2');
    await eventually(async () => expect(await billing()).toBe('available'));
    const paused = await rig.operator('billing.paused', 'billing');
    expect(paused.status).toBe(202);
    await eventually(async () => {
      const seen = (await rig.health()).machines['billing']?.transitions.map(({ to, event }) => `${event} ${to}`) ?? [];
      expect(seen).toContain('billing.paused paused');
      expect(seen).toContain('after.pauseMax connecting');
    });
    expect(logLines(rig.server).some(({ msg }) => msg === 'billing moved')).toBe(true);
    await rig.expectSound();
  });

  it('a second Redis serves the sockets: losing it leaves the rest, losing the other leaves the sockets', async () => {
    await using second = await startRedis();
    edit(
      'socketsRedis',
      (machine) => {
        machine.id = 'socketsRedis';
        machine.meta = { backends: { sockets: ['local'] } };
        machine.states.available.meta = { backends: { sockets: ['socketsRedis', 'local'] } };
        for (const name of ['available', 'recovering']) {
          const { on } = machine.states[name];
          on['socketsRedis.lost'] = on['redis.lost'];
          delete on['redis.lost'];
        }
      },
      'redis',
    );
    edit('redis', ({ meta, states }) => {
      delete meta.backends.sockets;
      delete states.available.meta.backends.sockets;
    });
    writeFileSync(config, `{ runtime: { redis: { socketsRedis: '${second.url}' } } }`);
    await using rig = await start();
    const backends = async (): Promise<string[]> => {
      const { services } = await rig.health();
      return [services.cache.backend, services.sockets.backend];
    };
    await eventually(async () => expect(await backends()).toEqual(['redis', 'redis']));
    await second.kill();
    await eventually(async () => expect(await backends()).toEqual(['redis', 'local']));
    await second.restart();
    await eventually(async () => expect(await backends()).toEqual(['redis', 'redis']), { withinMs: 10_000 });
    await rig.redis.kill();
    await eventually(async () => expect(await backends()).toEqual(['memory', 'redis']));
    await rig.expectSound();
  });
});
