import { type Move, isWithin, parentOf } from './graph.ts';

/** All transitions that one line stands for; `to` is the outermost state around their targets. */
export interface Arrow {
  readonly from: string;
  readonly to: string;
  readonly moves: readonly Move[];
}

/**
 * Transitions as arrows: those from one state into the same frame share one, which ends at the
 * frame, so that a machine stays readable.
 */
export function arrowsOf(moves: readonly Move[]): Arrow[] {
  const arrows = new Map<string, Arrow & { readonly moves: Move[] }>();
  for (const move of moves) {
    const to = outermostAround(move.to, move.from);
    // JSON, because a name may hold any sign that could part the two.
    const id = JSON.stringify([move.from, to]);
    const arrow = arrows.get(id) ?? { from: move.from, to, moves: [] };
    arrow.moves.push(move);
    arrows.set(id, arrow);
  }
  return [...arrows.values()];
}

/** Whether the move is written in its state's box, not drawn: it leads nowhere, or from a frame to a state in it. */
export function isInside({ from, to, internal }: Move): boolean {
  return internal || (from !== to && isWithin(to, from));
}

/** The outermost state around `path` (or itself) that `from` is not in. */
function outermostAround(path: string, from: string): string {
  let around = path;
  while (around !== '' && around !== from && !isWithin(from, parentOf(around))) around = parentOf(around);
  return around;
}
