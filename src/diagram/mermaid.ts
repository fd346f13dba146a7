import { arrowsOf } from './arrow.ts';
import { boxOf } from './box.ts';
import { type Move, type State, isWithin, movesOf, relativePath, stateTree, walkStates } from './graph.ts';
import type { MachineDefinition } from '../runtime/types.ts';
import type { Numbers } from './label.ts';

/**
 * A machine as a Mermaid state diagram, as GitHub draws it in a fenced block.
 *
 * Kept to what Mermaid draws reliably. It fails on arrows between a frame and what lies in it, and
 * on notes at frames: both are said in a note at the frame's first state. It fails on arrows into
 * the regions of a parallel state too (mermaid-js/mermaid#5096): these are frames beside each other.
 */
export function toMermaid(definition: MachineDefinition, numbers: Numbers): string {
  const root = stateTree(definition);
  const moves = movesOf(root, definition.id, numbers);
  const ids = nameStates(root);
  const framed = new Set([...walkStates(root)].filter((state) => state.children.length > 0).map(({ path }) => path));
  const noted = moves.filter((move) => isNoted(move, framed));
  const arrows = arrowsOf(moves.filter((move) => !noted.includes(move)));
  const declared = root.children.length > 0 ? inside(root, ids) : declare(root, ids);
  const lines = [
    ...declared,
    ...arrows.map(({ from, to, moves: grouped }) => {
      const texts = grouped.map((move) => line(move.label, relativePath(move.to, to)));
      // Not inside the frames: there an arrow would pull its other end in.
      return `${ids.get(from)} --> ${ids.get(to)} : ${texts.map(escapeLine).join('<br/>')}`;
    }),
    ...notes(root, noted, ids),
  ];
  const title = definition.type === 'parallel' ? `${definition.id} (parallel)` : definition.id;
  return `---\ntitle: ${JSON.stringify(title)}\n---\nstateDiagram-v2\n${lines.map((text) => `  ${text}\n`).join('')}`;
}

type Ids = ReadonlyMap<string, string>;

/** Mermaid's own words and its commands begin lines and names: behind a prefix no name is one of them. */
function nameStates(root: State): Ids {
  const ids = new Map<string, string>();
  const taken = new Set<string>();
  for (const { path } of walkStates(root)) {
    const wanted = `s_${path.replaceAll(/[^A-Za-z0-9]/g, '_')}`;
    let id = wanted;
    for (let copy = 2; taken.has(id); copy += 1) id = `${wanted}_${copy}`;
    taken.add(id);
    ids.set(path, id);
  }
  return ids;
}

function isNoted({ from, to, internal }: Move, framed: ReadonlySet<string>): boolean {
  if (internal) return true;
  return from === to ? framed.has(from) : isWithin(to, from) || isWithin(from, to);
}

function declare(state: State, ids: Ids): string[] {
  const { name, path, definition, children } = state;
  const title = definition.type === 'parallel' ? `${escapeName(name)} (parallel)` : escapeName(name);
  const text = `state "${title}" as ${ids.get(path)}`;
  return children.length === 0 ? [text] : [`${text} {`, ...inside(state, ids).map((each) => `  ${each}`), '}'];
}

function inside({ children, initial }: State, ids: Ids): string[] {
  const last = children.filter(({ definition }) => definition.type === 'final');
  return [
    ...children.flatMap((child) => declare(child, ids)),
    ...(initial === undefined ? [] : [`[*] --> ${ids.get(initial)}`]),
    ...last.map(({ path }) => `${ids.get(path)} --> [*]`),
  ];
}

/** Notes at the innermost states; that of a frame's first one speaks for the frame too. */
function notes(root: State, noted: readonly Move[], ids: Ids): string[] {
  const texts = new Map<string, string[]>();
  for (const state of walkStates(root)) {
    const box = boxOf(
      state,
      noted.filter((move) => move.from === state.path),
      true,
    );
    const tags = box.tags.length > 0 ? [`tags ${box.tags.join(', ')}`] : [];
    const own = [...tags, ...box.lines.map(({ text }) => text)];
    if (own.length === 0) continue;
    const leaf = firstLeaf(state);
    const before = texts.get(leaf.path) ?? [];
    const heading = before.length > 0 ? [`${state.name} itself`] : [];
    texts.set(leaf.path, [...before, ...(leaf === state ? heading : [`all of ${state.name}`]), ...own]);
  }
  return [...texts].flatMap(([path, own]) => [
    `note right of ${ids.get(path)}`,
    ...own.map((text) => `  ${escapeLine(text)}`),
    'end note',
  ]);
}

function firstLeaf(state: State): State {
  const first = state.children.find(({ path }) => path === state.initial) ?? state.children[0];
  return first ? firstLeaf(first) : state;
}

function line(label: string, where: string): string {
  return where === '' ? label : `${label} → ${where}`;
}

/** Numeric entities, which Mermaid takes out before it reads anything else. */
function escapeName(text: string): string {
  return encode(text, /[^\p{L}\p{N}.]/gu);
}

/** As `escapeName`, but our own signs stay readable. Mermaid obeys `direction LR` and `end note` anywhere in a line. */
function escapeLine(text: string): string {
  const encoded = encode(text.trim().replaceAll(/\s+/g, ' '), /[^\p{L}\p{N}. [\]()=/,·→↺]/gu);
  return encoded.replaceAll(/\b(direction|end) /gi, '$1#32;');
}

/** What no document can hold is not worth an entity: control signs and halves of a character. */
function encode(text: string, signs: RegExp): string {
  const clean = text
    .replaceAll(/\p{Cc}/gu, ' ')
    .trim()
    .toWellFormed();
  return clean.replaceAll(signs, (sign) => `#${sign.codePointAt(0)};`);
}
