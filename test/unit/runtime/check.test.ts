import { describe, expect, it } from 'vitest';

import { loadConfig } from '../../../src/config/load.ts';
import { checkMachine } from '../../../src/runtime/check/check.ts';
import { loadMachines } from '../../../src/runtime/load.ts';
import { vocabularyOf } from '../../../src/runtime/vocabulary.ts';
import type { MachineDefinition } from '../../../src/runtime/types.ts';

const { config } = loadConfig({ env: {} });
const shipped = loadMachines({ dir: '', config });
type Loose = Record<string, any>; // oxlint-disable-line typescript/no-explicit-any -- broken on purpose

function findingsOf(spoil: (machine: Loose) => void) {
  const machine = structuredClone(shipped.definitions.find(({ id }) => id === 'redis')) as Loose;
  spoil(machine);
  return checkMachine(machine as unknown as MachineDefinition, vocabularyOf(config, 'redis'));
}

describe('checking a machine', () => {
  it('finds nothing wrong with what is shipped', () => {
    expect(shipped.findings).toEqual([]);
    expect(shipped.definitions.map(({ id }) => id)).toEqual(['redis', 'postgres']);
  });

  it.each<[string, (machine: Loose) => void, string, string]>([
    ['a misspelt key', (m) => (m['states'].available.onn = {}), 'unknown-key', 'did you mean "on"'],
    [
      'a string target',
      (m) => (m['states'].available.on['redis.lost'] = 'degraded'),
      'wrong-kind',
      'must be an object',
    ],
    [
      'a target that does not exist',
      (m) => (m['states'].connecting.on['probe.passed'].target = 'recoverin'),
      'unknown-target',
      '"recovering"',
    ],
    ['a missing initial', (m) => delete m['states'].degraded.initial, 'no-initial', 'unreachable'],
    ['an unknown initial', (m) => (m['initial'] = 'conecting'), 'unknown-state', '"connecting"'],
    [
      'an unknown guard',
      (m) => (m['states'].available.on['probe.failed'].guard.type = 'countAtLest'),
      'unknown-guard',
      '"countAtLeast"',
    ],
    [
      'an unknown policy',
      (m) => (m['states'].available.on['probe.failed'].guard.params.policy = 'failuresToTrap'),
      'unknown-policy',
      '"failuresToTrip"',
    ],
    [
      'a guard without its policy',
      (m) => delete m['states'].available.on['probe.failed'].guard.params,
      'missing-parameter',
      'policy',
    ],
    ['an unknown action', (m) => (m['states'].available.entry = 'anounce'), 'unknown-action', '"announce"'],
    ['an unknown actor', (m) => (m['states'].recovering.invoke.src = 'reconcil'), 'unknown-actor', '"reconcile"'],
    [
      'an unknown delay',
      (m) => (m['states'].connecting.after = { conectTimeout: { target: 'degraded' } }),
      'unknown-delay',
      '"connectTimeout"',
    ],
    [
      'an event nobody sends',
      (m) => (m['states'].available.on['redis.losst'] = { target: 'degraded' }),
      'unknown-event',
      '"redis.lost"',
    ],
    ['an unknown service', (m) => (m['meta'].backends.cashe = ['memory']), 'unknown-service', '"cache"'],
    ['an unknown backend', (m) => (m['meta'].backends.cache = ['memori']), 'unknown-backend', '"memory"'],
    ["another service's backend", (m) => (m['meta'].backends.cache = ['reject']), 'unknown-backend', 'memory'],
    ['an empty list', (m) => (m['meta'].backends.cache = []), 'no-backend', 'empty'],
    ['an unknown tag', (m) => (m['states'].available.tags = ['useable']), 'unknown-tag', '"usable"'],
    ['no usable state', (m) => (m['states'].available.tags = []), 'never-usable', 'usable'],
    [
      'a state that nothing leads to',
      (m) => (m['states'].island = { on: { 'redis.lost': { target: 'degraded' } } }),
      'unreachable',
      'no transition',
    ],
    [
      'a trap',
      (m) => ((m['states'].hole = {}), (m['states'].available.on['operator.isolate'].target = 'hole')),
      'trap',
      'no way',
    ],
    [
      'a list without a floor',
      (m) => (m['states'].available.meta.backends.sessions = ['redis', 'postgres']),
      'no-floor',
      '"memory"',
    ],
  ])('finds %s', (_name, spoil, code, words) => {
    const findings = findingsOf(spoil);
    expect(findings.map((finding) => finding.code)).toContain(code);
    expect(findings.find((finding) => finding.code === code)?.message).toContain(words);
  });
});
