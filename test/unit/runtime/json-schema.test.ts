import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { Ajv } from 'ajv';
import JSON5 from 'json5';
import { describe, expect, it } from 'vitest';

import { renderConfigSchema, renderMachineSchema } from '../../../scripts/pages.ts';
import { configJsonSchema } from '../../../src/config/json-schema.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { machineJsonSchema } from '../../../src/runtime/json-schema.ts';

const root = new URL('../../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const { config } = loadConfig({ env: {} });
const isMachine = new Ajv({ strict: false }).compile(machineJsonSchema(config));
const isConfig = new Ajv({ strict: false }).compile(configJsonSchema());
type Loose = Record<string, any>; // oxlint-disable-line typescript/no-explicit-any -- broken on purpose

describe('the JSON Schemas', () => {
  it('are fresh in schema/ (npm run docs writes them)', () => {
    expect(read('schema/machine.schema.json')).toBe(renderMachineSchema());
    expect(read('schema/config.schema.json')).toBe(renderConfigSchema());
  });

  it('take every machine that is shipped', () => {
    for (const name of readdirSync(fileURLToPath(new URL('machines/', root)))) {
      expect([name, isMachine(JSON.parse(read(`machines/${name}`))), isMachine.errors]).toEqual([name, true, null]);
    }
  });

  it('take every configuration that is shipped', () => {
    for (const name of readdirSync(fileURLToPath(new URL('config/', root)))) {
      expect([name, isConfig(JSON5.parse(read(`config/${name}`))), isConfig.errors]).toEqual([name, true, null]);
    }
  });

  it.each<[string, (machine: Loose) => void]>([
    ['a misspelt key', (m) => (m['states'].available.onn = {})],
    ['an unknown event', (m) => (m['states'].available.on['redis.loss'] = {})],
    ['an unknown delay', (m) => (m['states'].connecting.after = { conectTimeout: { target: 'degraded' } })],
    ['an unknown guard', (m) => (m['states'].available.on['probe.failed'].guard.type = 'countAtLest')],
    ['an unknown policy', (m) => (m['states'].available.on['probe.failed'].guard.params.policy = 'x')],
    ['a guard without its policy', (m) => delete m['states'].available.on['probe.failed'].guard.params],
    ['a guard by its bare name that needs one', (m) => (m['states'].available.on['redis.lost'].guard = 'recoverable')],
    ['an unknown action', (m) => (m['states'].available.entry = { type: 'anounce', params: { message: 'x' } })],
    ['an unknown actor', (m) => (m['states'].recovering.invoke.src = 'x')],
    ['an unknown tag', (m) => (m['states'].available.tags = ['useable'])],
    ["another service's backend", (m) => (m['meta'].backends.cache = ['local'])],
    ['a string target', (m) => (m['states'].available.on['redis.lost'] = 'degraded')],
    ['a state named with a dot', (m) => (m['states']['a.b'] = {})],
    ['another id', (m) => (m['id'] = 'redys')],
  ])('refuse %s in a machine', (_name, spoil) => {
    const machine = JSON.parse(read('machines/redis.machine.json')) as Loose;
    spoil(machine);
    expect(isMachine(machine)).toBe(false);
  });

  it('take parameters of an action, and know the parts of an extension and a further Redis', () => {
    const machine = JSON.parse(read('machines/redis.machine.json')) as Loose;
    machine['states'].available.entry = { type: 'announce', params: { message: 'up', level: 'warn' } };
    expect([isMachine(machine), isMachine.errors]).toEqual([true, null]);
    machine['states'].available.on['clock.struck'] = { guard: 'atNight', target: 'degraded' };
    machine['meta'].backends.sockets = ['socketsRedis', 'local'];
    expect(isMachine(machine)).toBe(false);
    const wider = loadConfig({ env: {}, overrides: { runtime: { redis: { socketsRedis: 'redis://127.0.0.1:1' } } } });
    const guards = { atNight: { doc: 'It is night.', test: () => true } };
    const schema = machineJsonSchema(wider.config, { guards, events: { 'clock.struck': 'Each hour.' } });
    const isTheirs = new Ajv({ strict: false }).compile(schema);
    expect([isTheirs(machine), isTheirs.errors]).toEqual([true, null]);
  });

  it('explain every word that an editor offers', () => {
    const silent: string[] = [];
    const walk = (node: unknown, path: string): void => {
      if (typeof node !== 'object' || node === null) return;
      const { const: word, description } = node as { const?: unknown; description?: unknown };
      if (word !== undefined && !path.includes('/if/') && !description) silent.push(path);
      for (const [key, child] of Object.entries(node)) walk(child, `${path}/${key}`);
    };
    walk(machineJsonSchema(config), '');
    expect(silent).toEqual([]);
  });

  it.each([
    ['an unknown key', { cash: {} }],
    ['a bare number for a duration', { cache: { ttl: 5 } }],
    ['an unknown unit', { cache: { ttl: '5 minutes' } }],
    ['an unknown word', { log: { level: 'loud' } }],
    ['a ratio beyond one', { redis: { detect: { failureRatio: 2 } } }],
    ['a count of none', { cache: { maxEntries: 0 } }],
    ['another protocol', { redis: { url: 'http://host' } }],
  ])('refuse %s in a configuration', (_name, layer) => {
    expect(isConfig(layer)).toBe(false);
    expect(() => loadConfig({ env: {}, overrides: layer })).toThrow(/ERR_CONFIG|configuration/i);
  });
});
