import { SERVICES } from '../core/mode.ts';
import { type Move, isWithin, relativePath, type State } from './graph.ts';
import { actionNames } from './label.ts';

/** Width of one character of the drawing's monospaced fonts, in ems; 0.6 to 0.602 in the usual ones. */
const CHARACTER_EM = 0.602;
/** Font sizes of the drawing in pixels; the stylesheet says the same. */
export const FONT = { title: 14, line: 11 } as const;
export const LINE_HEIGHT = 15;
const TITLE_HEIGHT = 22;
export const PADDING = 10;
const WRAP_AT = 34;
/** Stands above the backends of a frame. */
const INHERITED = 'backends where a state names none';

interface BoxLine {
  readonly kind: 'backend' | 'actor' | 'internal' | 'inner';
  readonly text: string;
  /** The move that this line alone stands for. */
  readonly move?: Move;
}

/** What is written in a state's box, and the room it takes. */
export interface Box {
  readonly title: string;
  readonly tags: readonly string[];
  readonly lines: readonly BoxLine[];
  /** Pixels that the text takes, padding included. */
  readonly width: number;
  readonly height: number;
}

/** Pixels that `text` takes. */
export function textWidth(text: string, size: number): number {
  return Math.ceil([...text].length * size * CHARACTER_EM);
}

/** Pixels that a tag's pill takes, with the gap before it. */
export function tagWidth(tag: string): number {
  return textWidth(tag, FONT.line) + 20;
}

/**
 * The text of a state's box: its name and tags, the backends it gives, its actor, the events it takes
 * without leaving, and where its own events lead inside it.
 *
 * @param full - also says for which states a frame's backends are, and lists entry and exit actions
 */
export function boxOf(state: State, moves: readonly Move[], full: boolean): Box {
  const { tags = [] } = state.definition;
  const lines = [...ownLines(state, full), ...moveLines(state, moves)];
  const title = textWidth(state.name, FONT.title) + tags.reduce((sum, tag) => sum + tagWidth(tag), 0);
  const widest = Math.max(title, ...lines.map((line) => textWidth(line.text, FONT.line)));
  return {
    title: state.name,
    tags,
    lines,
    width: Math.max(96, widest + 2 * PADDING),
    height: TITLE_HEIGHT + lines.length * LINE_HEIGHT + 2 * PADDING,
  };
}

function ownLines({ definition, children }: State, full: boolean): BoxLine[] {
  const { meta, invoke, entry, exit } = definition;
  const backends = SERVICES.flatMap((service) => {
    const list = meta?.backends?.[service];
    return list ? [{ kind: 'backend' as const, text: `${service.padEnd(9)}${list.join(' → ')}` }] : [];
  });
  const lines: BoxLine[] = [];
  if (full && children.length > 0 && backends.length > 0) lines.push({ kind: 'inner', text: INHERITED });
  lines.push(...backends);
  if (invoke) lines.push({ kind: 'actor', text: `runs ${invoke.src}` });
  for (const [when, actions] of full ? Object.entries({ entry, exit }) : []) {
    const names = actionNames(actions);
    if (names.length > 0) lines.push({ kind: 'actor', text: `${when} / ${names.join(', ')}` });
  }
  return lines;
}

function moveLines({ path, name, children }: State, moves: readonly Move[]): BoxLine[] {
  const staying = wrap(moves.filter((move) => move.internal).map((move) => move.label));
  const inner = moves.filter((move) => !move.internal);
  const where = ({ to }: Move): string => (isWithin(to, path) ? relativePath(to, path) : to || name);
  const texts = columns(inner.map((move) => [move.label, where(move)]));
  const heading = inner.length > 0 && children.length > 0;
  return [
    ...staying.map((text, index) => ({ kind: 'internal' as const, text: `${index === 0 ? '↺' : ' '} ${text}` })),
    ...(heading ? [{ kind: 'inner' as const, text: 'from any state inside' }] : []),
    ...texts.map((text, index) => ({ kind: 'inner' as const, text, move: inner[index] as Move })),
  ];
}

/** Rows of `what → where` with the arrows below each other; without a `where`, `what` alone. */
export function columns(rows: readonly (readonly [what: string, where: string])[]): string[] {
  const widest = Math.max(0, ...rows.map(([what, where]) => (where === '' ? 0 : what.length)));
  return rows.map(([what, where]) => (where === '' ? what : `${what.padEnd(widest)} → ${where}`));
}

function wrap(words: readonly string[]): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length + 3 <= WRAP_AT) lines[lines.length - 1] = `${last} · ${word}`;
    else lines.push(word);
  }
  return lines;
}
