import type { MachineDefinition } from '../runtime/types.ts';
import type { Vocabulary } from '../runtime/vocabulary.ts';
import { toDot } from './dot.ts';
import { toGraph } from './json.ts';
import { toMermaid } from './mermaid.ts';
import { toSvg } from './svg.ts';

/** What a machine can be drawn as. */
export const FORMATS = ['svg', 'mermaid', 'dot', 'json'] as const;
export type Format = (typeof FORMATS)[number];

/** A machine, and what the names in it stand for. */
export interface Drawable {
  readonly definition: MachineDefinition;
  readonly vocabulary: Vocabulary;
}

/**
 * One machine as a text that ends with a line end; the same machine and numbers give the same bytes.
 *
 * @throws {RedoubtError} `ERR_MACHINE` when the layout of an SVG fails or takes more than 10 s
 */
export async function drawDiagram(format: Format, { definition, vocabulary }: Drawable): Promise<string> {
  if (format === 'svg') return toSvg(definition, vocabulary);
  if (format === 'mermaid') return toMermaid(definition, vocabulary);
  if (format === 'dot') return toDot(definition, vocabulary);
  return toJsonText(toGraph(definition, vocabulary));
}

/**
 * Several machines in one text: JSON as an array, dot as one graph behind the other, Mermaid, whose
 * files hold one diagram, as Markdown with a block for each.
 */
export function drawDiagrams(format: Exclude<Format, 'svg'>, machines: readonly Drawable[]): string {
  const texts = machines.map(({ definition, vocabulary }) => {
    if (format === 'dot') return toDot(definition, vocabulary);
    // Without headings: each diagram has its machine for a title.
    return `\`\`\`mermaid\n${toMermaid(definition, vocabulary)}\`\`\`\n`;
  });
  if (format !== 'json') return texts.join('\n');
  return toJsonText(machines.map(({ definition, vocabulary }) => toGraph(definition, vocabulary)));
}

function toJsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
