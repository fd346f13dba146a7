import { describe, expect, it } from 'vitest';

import type { HealthOptions } from '../../../src/services/health/options.ts';
import { buildReport } from '../../../src/services/health/report.ts';
import { roughLength } from '../../../src/services/health/summary.ts';
import { notReady } from '../../../src/services/health/machines.ts';
import { SimulatedClock } from '../../support/clock.ts';
import { testConfig } from '../../support/service-rig.ts';
import { WALL_START, fakeMachine, fakeMachines, fakeRevision, fakeServices, fakeTransition } from './fakes.ts';

const ALONE = { cache: 'memory', sessions: 'postgres', sockets: 'local', jobs: 'reject' } as const;

function options(facts: Partial<HealthOptions> = {}): HealthOptions {
  return {
    config: testConfig(),
    machines: fakeMachines(fakeMachine('redis', 'available'), fakeMachine('postgres', 'available')),
    services: fakeServices(),
    version: '1.2.3',
    revision: fakeRevision,
    instance: 'abcd',
    clock: new SimulatedClock(WALL_START),
    started: () => true,
    draining: () => false,
    ...facts,
  };
}

describe('health status', () => {
  it('passes when both machines are up and every service is on its preferred backend', () => {
    const report = buildReport(options());
    expect(report.status).toBe('pass');
    expect(report.summary).toMatch(/^Redis and PostgreSQL are in use/);
  });

  it('warns and says since when, why and what serves instead when Redis is gone', async () => {
    const clock = new SimulatedClock(WALL_START);
    const machines = fakeMachines(fakeMachine('redis', 'degraded.unreachable'), fakeMachine('postgres', 'available'));
    await clock.advance(12_000);
    const report = buildReport(options({ clock, machines, services: fakeServices(ALONE) }));
    expect(report.status).toBe('warn');
    expect(report.summary).toBe(
      'Redis has been unreachable for 12s: cache on memory, sessions on PostgreSQL, ' +
        'sockets on this instance alone, jobs refused with a typed error.',
    );
    expect(report.machines['redis']).toMatchObject({
      state: 'degraded.unreachable',
      status: 'degraded',
      since: '2026-01-01T00:00:00.000Z',
      reason: { code: 'ECONNREFUSED' },
    });
    expect(report.uptime).toBe(12);
  });

  it('warns, not fails, when both are gone: memory still serves', () => {
    const machines = fakeMachines(
      fakeMachine('redis', 'degraded.unreachable'),
      fakeMachine('postgres', 'degraded.unreachable'),
    );
    const report = buildReport(options({ machines, services: fakeServices({ ...ALONE, sessions: 'memory' }) }));
    expect(report.status).toBe('warn');
    expect(report.summary).toMatch(/^Redis has been unreachable .* and PostgreSQL has been unreachable/);
  });

  it('does not miss what was not configured, and says what that is', () => {
    const machines = fakeMachines(fakeMachine('redis', 'available'), fakeMachine('postgres', 'disabled'));
    const report = buildReport(options({ machines }));
    expect(report.status).toBe('pass');
    expect(report.summary).toBe(
      'Redis is in use; no PostgreSQL is configured; every service is on its preferred backend.',
    );
  });

  it('passes with neither Redis nor PostgreSQL', () => {
    const machines = fakeMachines(fakeMachine('redis', 'disabled'), fakeMachine('postgres', 'disabled'));
    const report = buildReport(options({ machines }));
    expect(report.status).toBe('pass');
    expect(report.summary).toBe('No Redis and no PostgreSQL is configured; every service is on its preferred backend.');
  });

  it('warns while a machine is up but a service is not on its preferred backend', () => {
    expect(buildReport(options({ services: fakeServices({ cache: 'memory' }) })).status).toBe('warn');
  });

  it('fails when a service has no backend at all', () => {
    const report = buildReport(options({ services: fakeServices({ jobs: 'none' }) }));
    expect(report.status).toBe('fail');
    expect(report.summary).toContain('jobs without any backend');
  });

  it('fails while draining, and says so', () => {
    const report = buildReport(options({ draining: () => true }));
    expect(report.status).toBe('fail');
    expect(report.summary).toMatch(/^This instance is stopping/);
  });

  it('names a state of a user by its own name', () => {
    const machines = fakeMachines(fakeMachine('redis', 'resting.deeply'));
    expect(buildReport(options({ machines })).summary).toContain('Redis has been in state resting.deeply');
  });
});

describe('health report', () => {
  it('shows the last 20 transitions, newest last', () => {
    const history = Array.from({ length: 30 }, (_, i) => fakeTransition(i));
    const machines = fakeMachines(fakeMachine('redis', 'degraded.slow', { history }));
    const { transitions } = buildReport(options({ machines })).machines['redis'] ?? { transitions: [] };
    expect(transitions).toHaveLength(20);
    expect(transitions.at(-1)).toMatchObject({ at: '2026-01-01T00:00:29.000Z', spentMs: 10 });
  });

  it('passes nothing on that it does not name', () => {
    const reason = { code: 'X', message: 'refused', driver: 'redis://user:planted@10.0.0.1' };
    const machine = fakeMachine('redis', 'degraded.slow', { reason, history: [fakeTransition(1, reason)] });
    const report = buildReport(options({ machines: fakeMachines(machine) }));
    expect(JSON.stringify(report)).not.toContain('planted');
  });
});

describe('readiness', () => {
  const redis = fakeMachine('redis', 'degraded.unreachable');

  it('waits for the machines that are listed, and for no other', () => {
    expect(notReady([redis, fakeMachine('postgres', 'available')], ['postgres'])).toEqual([]);
    expect(notReady([redis, fakeMachine('postgres', 'degraded.slow')], ['postgres'])).toEqual(['postgres']);
  });

  it('does not wait for a PostgreSQL that is not configured', () => {
    expect(notReady([redis, fakeMachine('postgres', 'disabled')], ['postgres'])).toEqual([]);
  });
});

it('a length is said as people say it, and never negative when the wall clock jumps back', () => {
  expect([-5000, 400, 119_000, 7_000_000, 90_000_000, 400_000_000].map(roughLength)).toEqual([
    '0s',
    '0s',
    '119s',
    '116m',
    '25h',
    '4d',
  ]);
});
