import { readFileSync } from 'node:fs';

import { loadConfig } from '../src/config/load.ts';
import { drawDiagram } from '../src/diagram/diagram.ts';
import { MACHINE_IDS } from '../src/runtime/registry.ts';
import type { MachineDefinition } from '../src/runtime/types.ts';
import { vocabularyOf } from '../src/runtime/vocabulary.ts';

/** The drawings of the shipped machines by file, with the shipped numbers whatever the environment says. */
export const PICTURES: Readonly<Record<string, () => Promise<string>>> = Object.fromEntries(
  MACHINE_IDS.map((id) => [`docs/images/machines/${id}.svg`, () => drawShipped(id)]),
);

function drawShipped(id: string): Promise<string> {
  const file = new URL(`../machines/${id}.machine.json`, import.meta.url);
  const definition = JSON.parse(readFileSync(file, 'utf8')) as MachineDefinition;
  const { config } = loadConfig({ env: {} });
  return drawDiagram('svg', { definition, vocabulary: vocabularyOf(config, id) });
}
