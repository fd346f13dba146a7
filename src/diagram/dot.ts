import type { MachineDefinition } from '../runtime/types.ts';
import { arrowsOf } from './arrow.ts';
import { type Box, boxOf, columns } from './box.ts';
import { type Move, type State, isWithin, movesOf, relativePath, stateTree, walkStates } from './graph.ts';
import type { Numbers } from './label.ts';

const FONT = 'fontname="monospace", fontsize=11';
/** Without a first state (parallel) the dot only holds lines. */
const HIDDEN = ', style=invis';

/** A machine as a Graphviz graph: frames are clusters, and arrows end at their borders. */
export function toDot(definition: MachineDefinition, numbers: Numbers): string {
  const root = stateTree(definition);
  const moves = movesOf(root, definition.id, numbers);
  const frames = new Map([...walkStates(root)].flatMap((state, index) => frameOf(state, index)));
  const written = moves.filter((move) => isWritten(move, frames));
  const drawn = moves.filter((move) => !written.includes(move));
  const arrows = arrowsOf(drawn).map(({ from, to, moves: grouped }) => {
    const texts = columns(grouped.map((move) => [move.label, relativePath(move.to, to)]));
    const ends = [...clip('ltail', frames.get(from)), ...clip('lhead', frames.get(to))];
    const attributes = [`label=${quoteLines(texts)}`, ...ends];
    return `${node(from, frames)} -> ${node(to, frames)} [${attributes.join(', ')}]`;
  });
  // The machine itself is the graph, not a frame in it: Graphviz lets labels stick out of frames.
  const [attributes, contents] = frameParts(root, written, frames);
  const lines = [
    `graph [compound=true, ${FONT}, labelloc=t, labeljust=l, nodesep=0.4, ranksep=0.6, ${attributes}]`,
    `node [shape=box, style=rounded, ${FONT}]`,
    `edge [${FONT}]`,
    ...contents,
    ...arrows,
  ];
  return `digraph ${quote(definition.id)} {\n${lines.map((text) => `  ${text}\n`).join('')}}\n`;
}

/** A frame has no node: lines that touch it begin or end at its dot and are cut off at its border. */
interface Frame {
  readonly cluster: string;
  readonly dot: string;
}
type Frames = ReadonlyMap<string, Frame>;

function frameOf({ path, children }: State, index: number): [string, Frame][] {
  return children.length === 0 ? [] : [[path, { cluster: `cluster_${index}`, dot: `dot_${index}` }]];
}

/** Whether the move stands in its state's text: a line between a frame and its inside cannot be drawn. */
function isWritten({ from, to, internal }: Move, frames: Frames): boolean {
  if (internal) return true;
  return from === to ? frames.has(from) : isWithin(to, from) || isWithin(from, to);
}

function declare(state: State, written: readonly Move[], frames: Frames): string[] {
  const frame = frames.get(state.path);
  if (!frame) {
    const ring = state.definition.type === 'final' ? ', peripheries=2' : '';
    return [`${quote(state.path)} [${labelOf(state, written)}${ring}]`];
  }
  const [attributes, contents] = frameParts(state, written, frames);
  const style = state.definition.type === 'parallel' ? 'rounded,dashed' : 'rounded';
  return [
    `subgraph ${frame.cluster} {`,
    `  graph [${attributes}, style="${style}"]`,
    ...contents.map((text) => `  ${text}`),
    '}',
  ];
}

function frameParts(state: State, written: readonly Move[], frames: Frames): [attributes: string, contents: string[]] {
  const { path, initial, children } = state;
  const frame = frames.get(path);
  const inner = children.flatMap((child) => declare(child, written, frames));
  if (frame) inner.unshift(`${frame.dot} [shape=point, width=0.12, label=""${initial === undefined ? HIDDEN : ''}]`);
  if (frame && initial !== undefined) {
    inner.push(`${frame.dot} -> ${node(initial, frames)}${startClip(initial, frames)}`);
  }
  return [labelOf(state, written), inner];
}

function labelOf(state: State, written: readonly Move[]): string {
  const moves = written.filter((move) => move.from === state.path);
  return `label=${quoteLines(textsOf(boxOf(state, moves, true), state.definition.type))}`;
}

function startClip(initial: string, frames: Frames): string {
  const [clipped] = clip('lhead', frames.get(initial));
  return clipped === undefined ? '' : ` [${clipped}]`;
}

function textsOf({ title, tags, lines }: Box, type: State['definition']['type']): string[] {
  const marks = [...(type === 'parallel' ? ['parallel'] : []), ...tags];
  const heading = marks.length > 0 ? `${title} (${marks.join(', ')})` : title;
  return [heading, ...lines.map(({ text }) => text)];
}

function node(path: string, frames: Frames): string {
  return frames.get(path)?.dot ?? quote(path);
}

function clip(end: 'ltail' | 'lhead', frame: Frame | undefined): string[] {
  return frame ? [`${end}=${frame.cluster}`] : [];
}

function quoteLines(lines: readonly string[]): string {
  return `"${lines.map((text) => `${escape(text)}\\l`).join('')}"`;
}

function quote(text: string): string {
  return `"${escape(text)}"`;
}

/** A backslash would be one of Graphviz' own escapes (`\N` is the node's name), `&` the begin of an entity. */
function escape(text: string): string {
  return text
    .replaceAll('\\', '\\\\')
    .replaceAll('&', '&amp;')
    .replaceAll('"', '\\"')
    .replaceAll(/\p{Cc}+/gu, ' ');
}
