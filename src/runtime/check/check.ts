import type { Vocabulary } from '../vocabulary.ts';
import type { MachineDefinition } from '../types.ts';
import { checkGraph } from './graph.ts';
import { checkNames } from './names.ts';
import { checkShape } from './shape.ts';

/** One mistake in a definition; the file is the caller's to add. */
export interface CheckFinding {
  readonly code: string;
  readonly path: string;
  readonly message: string;
}

/**
 * Finds what XState would let pass: first the shape, then the names, then the graph; a later look
 * is taken only at what the earlier one found sound.
 */
export function checkMachine(definition: MachineDefinition, vocabulary: Vocabulary): readonly CheckFinding[] {
  for (const look of [checkShape, checkNames, checkGraph]) {
    const findings = look(definition, vocabulary);
    if (findings.length > 0) return findings;
  }
  return [];
}
