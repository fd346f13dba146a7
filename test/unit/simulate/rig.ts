import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { loadConfig } from '../../../src/config/load.ts';
import { loadCheckedMachines } from '../../../src/runtime/load.ts';
import type { SimulationResult } from '../../../src/runtime/simulate/result.ts';
import { type Script, parseScript } from '../../../src/runtime/simulate/script.ts';
import { simulate } from '../../../src/runtime/simulate/simulate.ts';

export const SHIPPED = fileURLToPath(new URL('../../../simulations/', import.meta.url));
export const NAMES = { machines: ['redis', 'postgres'], events: [] };

/** A script from an object, checked as a file is. */
export function scriptFrom(fields: object): Script {
  return parseScript(JSON.stringify({ title: 'a test', duration: '2m', ...fields }), 'test.json5', NAMES);
}

export function shipped(name: string): Script {
  return parseScript(readFileSync(`${SHIPPED}${name}.json5`, 'utf8'), name, NAMES);
}

/** Runs a script under the shipped policy, or one that differs from it. */
export function play(script: Script, overrides: object = {}): Promise<SimulationResult> {
  const { config } = loadConfig({ overrides, env: {} });
  return simulate({ script, config, definitions: loadCheckedMachines({ dir: '', config }) });
}

/** The way of one machine: `available → degraded.unreachable (redis.lost)`. */
export function pathOf({ transitions }: SimulationResult, machine = 'redis'): string[] {
  return transitions
    .filter((each) => each.machine === machine)
    .map(({ from, to, event }) => `${from} → ${to} (${event})`);
}
