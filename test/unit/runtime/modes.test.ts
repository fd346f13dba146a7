import { describe, expect, it } from 'vitest';

import { loadConfig } from '../../../src/config/load.ts';
import { BACKENDS, SERVICES } from '../../../src/core/mode.ts';
import { loadCheckedMachines } from '../../../src/runtime/load.ts';
import { type MachineNow, computeModes } from '../../../src/runtime/modes.ts';

const { config } = loadConfig({ env: {} });
const definitions = loadCheckedMachines({ dir: '', config });
const reason = { code: 'test', message: 'test' };

function machines(redis: string, postgres: string): Map<string, MachineNow> {
  const states: Record<string, string> = { redis, postgres };
  return new Map(
    definitions.map((definition) => {
      const state = states[definition.id] ?? '';
      const usable = state === 'available';
      return [definition.id, { definition, state, usable, engaged: usable, reason }];
    }),
  );
}

const backends = (redis: string, postgres: string): string[] => {
  const modes = computeModes(machines(redis, postgres), BACKENDS, new Map(), 0);
  return SERVICES.map((service) => modes.get(service)?.backend ?? '');
};

describe('modes', () => {
  it.each([
    ['available', 'available', ['redis', 'redis', 'redis', 'redis']],
    ['available', 'degraded.unreachable', ['redis', 'redis', 'redis', 'redis']],
    ['degraded.unreachable', 'available', ['memory', 'postgres', 'local', 'reject']],
    ['degraded.slow', 'degraded.unreachable', ['memory', 'memory', 'local', 'reject']],
    ['recovering', 'available', ['memory', 'postgres', 'local', 'reject']],
    ['connecting', 'disabled', ['memory', 'memory', 'local', 'reject']],
  ])('with Redis %s and PostgreSQL %s', (redis, postgres, expected) => {
    expect(backends(redis, postgres)).toEqual(expected);
  });

  it('lists what writes go through to, and what is preferred', () => {
    const modes = computeModes(machines('available', 'available'), BACKENDS, new Map(), 0);
    expect(modes.get('sessions')?.usable).toEqual(['redis', 'postgres', 'memory']);
    const degraded = computeModes(machines('degraded.slow', 'available'), BACKENDS, modes, 5);
    expect(degraded.get('sessions')).toMatchObject({ backend: 'postgres', preferred: 'redis', since: 5 });
  });

  it('keeps the very same mode where nothing changed for a service', () => {
    const first = computeModes(machines('degraded.slow', 'available'), BACKENDS, new Map(), 0);
    const second = computeModes(machines('degraded.unreachable', 'available'), BACKENDS, first, 9);
    for (const service of SERVICES) expect(second.get(service)).toBe(first.get(service));
  });

  it('tells a new reason without calling it a change', () => {
    const first = computeModes(machines('degraded.slow', 'available'), BACKENDS, new Map(), 0);
    const now = new Map(
      [...machines('degraded.slow', 'available')].map(([id, machine]) => [
        id,
        { ...machine, reason: { code: 'OOM', message: '' } },
      ]),
    );
    const second = computeModes(now, BACKENDS, first, 9);
    expect(second.get('cache')).toMatchObject({ reason: { code: 'OOM' }, since: 0 });
  });

  it('says why Redis is gone, not that no PostgreSQL is configured', () => {
    const now = machines('degraded.unreachable', 'disabled');
    const refused = { code: 'ECONNREFUSED', message: 'nothing listens there' };
    now.set('redis', { ...now.get('redis')!, reason: refused });
    now.set('postgres', { ...now.get('postgres')!, disabled: true, reason: { code: 'disabled', message: 'None' } });
    expect(computeModes(now, BACKENDS, new Map(), 0).get('sessions')).toMatchObject({
      backend: 'memory',
      reason: refused,
    });
  });

  it('gives a service a backend that a degraded state names itself, while its clients are engaged', () => {
    const definition = structuredClone(definitions[0]) as (typeof definitions)[number];
    const readOnly = definition.states?.['degraded']?.states?.['readOnly'] as { meta?: object };
    readOnly.meta = { backends: { cache: ['redis', 'memory'] } };
    const now = machines('degraded.readOnly', 'available');
    const state = { definition, state: 'degraded.readOnly', usable: false, reason };
    now.set('redis', { ...state, engaged: true });
    expect(computeModes(now, BACKENDS, new Map(), 0).get('cache')?.backend).toBe('redis');
    now.set('redis', { ...state, engaged: false });
    expect(computeModes(now, BACKENDS, new Map(), 0).get('cache')?.backend).toBe('memory');
  });
});
