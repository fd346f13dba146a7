import type { MachineDefinition } from '../types.ts';
import type { Vocabulary } from '../vocabulary.ts';
import { CHECKED, checkDigest } from './checked.ts';
import { CODES, type CheckFinding } from './codes.ts';
import { checkDead } from './dead.ts';
import { graphOf } from './graph.ts';
import { walkModel } from './model.ts';
import { checkNames } from './names.ts';
import { checkReach } from './reach.ts';
import { checkShape } from './shape.ts';
import { checkTiming } from './timing.ts';

/**
 * Finds what XState would let pass: the shape, the names, the graph, and at last a walk through the
 * real machine; a later look is taken only at what the earlier ones found sound.
 */
export function checkMachine(definition: MachineDefinition, vocabulary: Vocabulary): readonly CheckFinding[] {
  return CHECKED.has(checkDigest(definition, vocabulary)) ? [] : checkAnew(definition, vocabulary);
}

/** The same for a machine that has been checked before. */
export function checkAnew(definition: MachineDefinition, vocabulary: Vocabulary): readonly CheckFinding[] {
  const shape = checkShape(definition);
  // Names can be looked up beside a misspelt key, but not in a text where an object should be.
  if (shape.some(({ code }) => code !== 'unknown-key')) return shape;
  const spelling = [...shape, ...checkNames(definition, vocabulary)];
  if (spelling.length > 0) return spelling;
  const graph = graphOf(definition, vocabulary);
  const findings = [
    ...checkReach(graph, vocabulary),
    ...checkTiming(graph, vocabulary),
    ...checkDead(graph, vocabulary),
  ];
  if (findings.some(({ code }) => CODES[code].severity === 'error')) return findings;
  return [...findings, ...walkModel(graph, vocabulary).findings];
}
