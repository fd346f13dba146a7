import { readFileSync, readdirSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import type { MachineDefinition } from '../../../src/runtime/types.ts';

const ROOT = new URL('../../../', import.meta.url);

function machineOf(path: string): MachineDefinition {
  return JSON.parse(readFileSync(new URL(path, ROOT), 'utf8')) as MachineDefinition;
}

/** The states at the top, and what a machine that has just started listens to. */
function namesOf({ states = {} }: MachineDefinition): string[] {
  return [...Object.keys(states), ...Object.keys(states['connecting']?.on ?? {})];
}

describe('recipes of docs/machines.md', () => {
  const shipped = machineOf('machines/redis.machine.json');

  it.each(readdirSync(new URL('examples/recipes', ROOT)))('%s keeps every state that ours has', (recipe) => {
    const own = machineOf(`examples/recipes/${recipe}/redis.machine.json`);
    expect(namesOf(own)).toEqual(expect.arrayContaining(namesOf(shipped)));
  });
});
