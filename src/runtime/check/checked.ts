import { createHash } from 'node:crypto';

import type { MachineDefinition } from '../types.ts';
import type { Vocabulary } from '../vocabulary.ts';

/**
 * The shipped machines under the shipped numbers, by digest: the tests have checked them, so that no start has to. A
 * check costs 15 ms and 6 MB for a machine, most of it for the walk. Whatever is changed in a file or a number is checked.
 */
export const CHECKED: ReadonlySet<string> = new Set([
  '7e18e89b622c564bef13e82d8ade7eec28a07e00169d501e235063f826b9a794',
  '12f4f4f13803f4308452935bb20ad0123c01ac8ff7f2a9c1695f3e98c9ea94e4',
]);

/** The digest of all that a check depends on: the definition, the names that it may use, and the numbers behind them. */
export function checkDigest(definition: MachineDefinition, vocabulary: Vocabulary): string {
  const { guards, actions, actors, events, tags, delays, policies, backends, dwellMs } = vocabulary;
  const names = [guards, actions, actors, events, tags].map((each) => Object.keys(each));
  const numbers = [delays, policies].map((each) => Object.entries(each).map(([name, { value }]) => [name, value]));
  const reach = Object.entries(backends).map(([name, { machine, services }]) => [name, machine, services]);
  const content = JSON.stringify([definition, names, numbers, reach, dwellMs]);
  return createHash('sha256').update(content).digest('hex');
}
