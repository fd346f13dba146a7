import { describe, expect, it } from 'vitest';

import { loadConfig } from '../../../src/config/load.ts';
import { loadCheckedMachines } from '../../../src/runtime/load.ts';
import { compareResults } from '../../../src/runtime/simulate/compare.ts';
import { simulate } from '../../../src/runtime/simulate/simulate.ts';
import { pathOf, play, scriptFrom, shipped } from './rig.ts';

const STARTED = ['connecting → recovering (probe.passed)', 'recovering → available (reconcile.finished)'];
const RECOVERED = (from: string): string[] => [
  `${from} → recovering (probe.passed)`,
  'recovering → available (reconcile.finished)',
];

describe('a simulated outage', () => {
  it('is noticed at once when Redis is killed, and nobody waits for a deadline', async () => {
    const result = await play(shipped('kill'));
    expect(pathOf(result)).toEqual([
      ...STARTED,
      'available → degraded.unreachable (redis.lost)',
      ...RECOVERED('degraded.unreachable'),
    ]);
    expect(result.calls.deadline).toBe(0);
    expect(result.faults).toMatchObject([{ machine: 'redis', fromMs: 20_000, untilMs: 32_000 }]);
    expect(result.faults[0]?.tripMs).toBeLessThan(100);
  });

  it('costs some calls a deadline when Redis freezes, and none after the trip', async () => {
    const { calls, faults, services, ...rest } = await play(shipped('freeze'));
    const [fault] = faults;
    expect(fault?.tripMs).toBeLessThan(1000);
    expect(calls.deadline).toBeGreaterThan(0);
    // 50 calls a second, from the begin of the fault to the trip.
    expect(calls.deadline).toBeLessThanOrEqual(((fault?.tripMs ?? 0) / 1000) * 50);
    expect(calls.longestMs).toBeLessThan(300);
    expect(services.sessions.map(({ backend }) => backend)).toEqual(['memory', 'redis', 'postgres', 'redis']);
    expect(rest.jobsRefusedMs).toBeGreaterThan(59_000);
  });

  it('is told slow, read-only and refused as what it is', async () => {
    expect(pathOf(await play(shipped('slow')))[2]).toBe('available → degraded.slow (probe.slowed)');
    expect(pathOf(await play(shipped('read-only')))[2]).toBe('available → degraded.readOnly (probe.writeRefused)');
    expect(pathOf(await play(shipped('refused')))[2]).toBe('available → degraded.refused (probe.refused)');
  });

  it('trips by the calls alone where probes see nothing', async () => {
    const script = scriptFrom({ calls: { ratePerSecond: 100 }, redis: [{ at: '30s', is: 'gray', share: 0.8 }] });
    expect(pathOf(await play(script))).toContain('available → degraded.unreachable (calls.failing)');
  });

  it('is called flapping, and comes back less and less often, where two passes are enough', async () => {
    const result = await play(shipped('flapping'), { redis: { detect: { successesToRecover: 2 } } });
    expect(result.flapping).toEqual(['redis']);
    const trips = result.transitions.filter(({ event }) => event === 'redis.lost').map(({ atMs }) => atMs);
    // 150 times down in the script.
    expect(trips.length).toBeLessThan(12);
    expect(result.states['redis']).toBe('available');
  });

  it('fault 12: takes at most four transitions in a minute of flapping', async () => {
    const { transitions } = await play(shipped('flapping'));
    const within = transitions.filter(({ atMs }) => atMs >= 30_000 && atMs < 90_000);
    expect(within.length).toBeLessThanOrEqual(4);
  });

  it('puts sessions on sealed memory only while both are down', async () => {
    const { services } = await play(shipped('both-down'));
    expect(services.sessions.map(({ backend }) => backend)).toEqual([
      'memory',
      'redis',
      'postgres',
      'memory',
      'postgres',
      'redis',
    ]);
  });

  it('follows an operator, whatever Redis does meanwhile', async () => {
    expect(pathOf(await play(shipped('isolate')))).toEqual([
      ...STARTED,
      'available → degraded.isolated (operator.isolate)',
      'degraded.isolated → degraded.unreachable (operator.release)',
      ...RECOVERED('degraded.unreachable'),
    ]);
  });

  it('never starts PostgreSQL where the script has none', async () => {
    const result = await play(scriptFrom({ postgres: 'none', redis: [{ at: '10s', is: 'down' }] }));
    expect(result.states['postgres']).toBe('disabled');
    expect(result.services.sessions.at(-1)?.backend).toBe('memory');
  });

  it('repeats to the last millisecond with the same seed, and differs with another', async () => {
    const script = shipped('incident-flapping');
    const first = await play(script);
    expect(JSON.stringify(await play(script))).toBe(JSON.stringify(first));
    expect(JSON.stringify(await play({ ...script, seed: 2 }))).not.toBe(JSON.stringify(first));
  });

  it('takes less than five seconds for an hour of outage', async () => {
    const startedAt = performance.now();
    const result = await play(shipped('long-outage'));
    expect(performance.now() - startedAt).toBeLessThan(5000);
    expect(result.durationMs).toBe(3_600_000);
    expect(result.calls.total).toBeGreaterThan(170_000);
  });

  it('shows what another policy would change, and only that', async () => {
    const script = shipped('freeze');
    const first = await play(script);
    const patient = await play(script, { cache: { deadline: '900ms' }, sessions: { deadline: '900ms' } });
    const rows = compareResults(first, patient);
    const differing = rows.filter(({ differs }) => differs).map(({ name }) => name);
    expect(differing).toContain('longestCallMs');
    expect(differing).not.toContain('states.redis');
    expect(compareResults(first, first).filter(({ differs }) => differs)).toEqual([]);
  });

  it('runs guards of extensions, and only notes their actions', async () => {
    let ran = 0;
    const extensions = {
      guards: { never: { doc: 'No.', test: () => false } },
      actions: { page: { doc: 'Pages somebody.', run: () => (ran += 1) } },
    };
    const { config } = loadConfig({ env: {} });
    const definitions = structuredClone(loadCheckedMachines({ dir: '', config })) as unknown as Record<string, never>[];
    const redis = definitions.find(({ id }) => id === 'redis') as unknown as {
      states: { available: { exit?: string; on: Record<string, { guard?: string }> } };
    };
    redis.states.available.exit = 'page';
    redis.states.available.on['operator.isolate'] = {
      ...redis.states.available.on['operator.isolate'],
      guard: 'never',
    };
    const result = await simulate({
      script: shipped('isolate'),
      config,
      definitions: definitions as never,
      extensions,
    });
    expect(ran).toBe(0);
    expect(result.actions).toEqual([{ atMs: expect.any(Number), machine: 'redis', action: 'page' }]);
    expect(pathOf(result)[2]).toBe('available → degraded.unreachable (redis.lost)');
  });
});
