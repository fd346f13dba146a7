import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.ts';
import { startRedis } from '../support/redis.ts';
import { type Rig, startRig } from './rig.ts';

const RECIPES = fileURLToPath(new URL('../../examples/recipes/', import.meta.url));

/** A server with the files of a recipe as docs/machines.md shows them; only addresses and lengths are the test's. */
function cook(recipe: string, env: Record<string, string> = {}): Promise<Rig> {
  const dir = join(RECIPES, recipe);
  const config = join(dir, 'config.json5');
  const args = ['--machines', dir, ...(existsSync(config) ? ['--config', config] : [])];
  return startRig({ args, env });
}

describe('recipes of docs/machines.md', () => {
  it('maintenance: an operator takes Redis out of use, it is not probed, and it ends by itself', async () => {
    await using rig = await cook('maintenance', { REDOUBT_RUNTIME_DELAYS: '{ maintenanceMax: "2s" }' });
    await rig.becomes('available');
    await rig.operator('operator.isolate');
    const report = await rig.becomes('maintenance');
    expect(report.services.sessions.backend).toBe('postgres');
    expect(report.machines['redis']?.nextProbeAt).toBeNull();
    const user = rig.user();
    await user.login('ada');
    await rig.redis.restart({ empty: true });
    expect(await user.visit()).toBe(1);
    await rig.becomes('available');
    await rig.operator('operator.isolate');
    await rig.becomes('maintenance');
    await rig.operator('operator.release');
    await rig.becomes('available');
    expect(await user.visit()).toBe(2);
    await rig.expectSound();
  });

  it('read-only: cache reads stay on a Redis that refuses writes, and a write is never read back old', async () => {
    await using rig = await cook('read-only');
    await rig.becomes('available');
    const put = async (value: string): Promise<void> => {
      const answer = await rig.server.fetch('/v1/cache/k', { method: 'PUT', body: value });
      expect(answer.status).toBe(204);
    };
    const get = async (): Promise<[string, string | null]> => {
      const answer = await rig.server.fetch('/v1/cache/k');
      return [await answer.text(), answer.headers.get('x-backend')];
    };
    await put('before');
    const control = rig.redis.client();
    await control.config('SET', 'maxmemory', '1');
    const report = await rig.becomes('degraded.readOnly');
    expect(report.services.cache.backend).toBe('redis');
    expect(report.services.sessions.backend).toBe('postgres');
    const [text, backend] = await get();
    expect(text).toBe('before');
    expect(['l1', 'redis']).toContain(backend);
    await put('during');
    expect((await get())[0]).toBe('during');
    const user = rig.user();
    await user.login('ada');
    expect(await user.visit()).toBe(1);
    await control.config('SET', 'maxmemory', '0');
    await rig.becomes('available');
    await eventually(async () => expect(await get()).toEqual(['during', 'redis']));
    await rig.redis.kill();
    await rig.becomes('degraded.unreachable');
    expect((await rig.health()).services.cache.backend).toBe('memory');
    await rig.expectSound();
  });

  it('sessions-settle: sessions are read from PostgreSQL until Redis has held, and nothing is lost on the way', async () => {
    await using rig = await cook('sessions-settle', { REDOUBT_RUNTIME_DELAYS: '{ settleTime: "1500ms" }' });
    const report = await rig.becomes('available.settling');
    expect(report.services.cache.backend).toBe('redis');
    await eventually(async () => expect((await rig.health()).services.sessions.backend).toBe('postgres'));
    const user = rig.user();
    await user.login('ada');
    expect(await user.visit()).toBe(1);
    expect((await rig.becomes('available.settled')).services.sessions.backend).toBe('redis');
    expect(await user.visit()).toBe(2);
    await rig.redis.kill();
    await rig.becomes('degraded');
    expect(await user.visit()).toBe(3);
    await rig.redis.restart({ empty: true });
    await rig.becomes('available.settling');
    expect(await user.visit()).toBe(4);
    await rig.becomes('available.settled');
    expect(await user.visit()).toBe(5);
    await rig.expectSound();
  });

  it('sockets-redis: a second Redis carries the sockets, and each is lost and found on its own', async () => {
    await using second = await startRedis();
    await using rig = await cook('sockets-redis', { REDOUBT_RUNTIME_REDIS: `{ socketsRedis: '${second.url}' }` });
    const backends = async (): Promise<string[]> => {
      const { services } = await rig.health();
      return [services.cache.backend, services.sockets.backend];
    };
    await eventually(async () => expect(await backends()).toEqual(['redis', 'redis']));
    await second.kill();
    await eventually(async () => expect(await backends()).toEqual(['redis', 'local']));
    await second.restart();
    await rig.redis.kill();
    await eventually(async () => expect(await backends()).toEqual(['memory', 'redis']), { withinMs: 10_000 });
    await rig.expectSound();
  });
});
