import { expect, it } from 'vitest';

import { createMetrics } from '../../../src/observe/metrics.ts';
import { fakeMachine, fakeMachines, fakeRevision, fakeServices, fakeTransition } from '../health/fakes.ts';

function lines(text: string, name: string): string[] {
  return text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
}

it('shows the state of each machine as one 1 among 0s', async () => {
  const machines = fakeMachines(fakeMachine('redis', 'degraded.slow'));
  const text = await createMetrics({
    machines,
    services: fakeServices(),
    version: '1',
    revision: fakeRevision,
  }).registry.metrics();
  const states = lines(text, 'redoubt_machine_state');
  expect(states).toContain('redoubt_machine_state{machine="redis",state="degraded.slow"} 1');
  expect(states).toContain('redoubt_machine_state{machine="redis",state="available"} 0');
  expect(states).toHaveLength(6);
});

it('counts transitions by machine, from and to', async () => {
  const machines = fakeMachines(fakeMachine('redis', 'available'));
  const registry = createMetrics({ machines, services: fakeServices(), version: '1', revision: fakeRevision }).registry;
  machines.tell(fakeTransition(1));
  machines.tell(fakeTransition(2));
  expect(lines(await registry.metrics(), 'redoubt_machine_transitions_total')).toEqual([
    'redoubt_machine_transitions_total{machine="redis",from="available",to="degraded.slow"} 2',
  ]);
});

it('shows the backend of each service, and the preferred one as 0 while another is used', async () => {
  const services = fakeServices({ cache: 'memory' });
  const text = await createMetrics({
    machines: fakeMachines(),
    services,
    version: '1',
    revision: fakeRevision,
  }).registry.metrics();
  const backends = lines(text, 'redoubt_service_backend');
  expect(backends).toContain('redoubt_service_backend{service="cache",backend="memory"} 1');
  expect(backends).toContain('redoubt_service_backend{service="cache",backend="redis"} 0');
  expect(backends).toContain('redoubt_service_backend{service="jobs",backend="redis"} 1');
});

it('shows the counters of each service by name, scrape after scrape', async () => {
  let hits = 1;
  const [cache] = fakeServices();
  if (!cache) throw new Error('no service');
  const counting = { name: cache.name, report: () => ({ ...cache.report(), counters: { hits, loadFailures: 2 } }) };
  const registry = createMetrics({
    machines: fakeMachines(),
    services: [counting],
    version: '1',
    revision: fakeRevision,
  }).registry;
  await registry.metrics();
  hits = 5;
  const text = await registry.metrics();
  expect(lines(text, 'redoubt_cache_hits')).toEqual(['redoubt_cache_hits 5']);
  expect(lines(text, 'redoubt_cache_load_failures')).toEqual(['redoubt_cache_load_failures 2']);
});

it('keeps two registries of one process apart', async () => {
  const first = createMetrics({
    machines: fakeMachines(),
    services: fakeServices(),
    version: '1',
    revision: fakeRevision,
  }).registry;
  const second = createMetrics({
    machines: fakeMachines(),
    services: [],
    version: '2',
    revision: fakeRevision,
  }).registry;
  expect(await first.metrics()).toContain('redoubt_cache_hits');
  expect(await second.metrics()).not.toContain('redoubt_cache_hits');
});
