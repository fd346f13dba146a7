import { createHash } from 'node:crypto';

import type { MachineDefinition } from '../types.ts';
import type { Vocabulary } from '../vocabulary.ts';

/**
 * The shipped machines under the shipped numbers, by digest: the tests walk them, so that no start has to. A walk costs
 * 15 ms and 5 MB for a machine, which is the most of what checking costs. Whatever is changed in a file or a number is
 * walked.
 */
export const WALKED: ReadonlySet<string> = new Set([
  '752f48ca9f7535daf5226f2e7af6b9f303b015b209d2f840f268cd2ff8b8284b',
  '47266bd3b8d6c2f52daae7ee5b8a4689d09e389ff22eb8b0a04da8901eec2b5a',
]);

/** The digest of all that a walk depends on: the definition, the names that it may use, and the lengths of the delays. */
export function walkDigest(definition: MachineDefinition, vocabulary: Vocabulary): string {
  const { guards, actions, actors, delays } = vocabulary;
  const names = [guards, actions, actors].map((each) => Object.keys(each));
  const lengths = Object.entries(delays).map(([name, { value }]) => [name, value]);
  return createHash('sha256')
    .update(JSON.stringify([definition, names, lengths]))
    .digest('hex');
}
