import type { MachineDefinition } from '../runtime/types.ts';
import { FONT, LINE_HEIGHT, PADDING, tagWidth, textWidth } from './box.ts';
import { escapeXml } from './escape.ts';
import type { Move } from './graph.ts';
import { type Layout, layoutMachine, type PlacedArrow, type PlacedState, type Point } from './layout.ts';

const CORNER = 7;

/**
 * Draws a machine's definition as SVG: states with their tags and backends, compound states as
 * frames, transitions as arrows. Looks come from CSS classes alone (`STYLE` of style.ts); each
 * state is a group with `data-state="degraded.slow"`, each arrow one with `data-from` and `data-to`.
 *
 * Costs 0.2 to 0.4 s in a thread of its own; keep the result.
 *
 * @throws {RedoubtError} `ERR_MACHINE` when the layout fails or takes more than 10 s
 */
export async function drawMachine(definition: MachineDefinition): Promise<string> {
  return drawLayout(await layoutMachine(definition), definition.id);
}

/**
 * The SVG text of a layout; pure.
 *
 * @param behind - SVG that stands first, so that everything is drawn over it
 */
export function drawLayout(layout: Layout, id: string, behind: readonly string[] = []): string {
  const { width, height } = layout;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="machine" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="State machine ${escapeXml(id)}" data-machine="${escapeXml(id)}">`,
    ...behind,
    ...layout.states.map(drawState),
    ...layout.dots.map(drawDot),
    ...layout.arrows.map(drawArrow),
    // Above every line, so that no arrow crosses a label of another one.
    ...layout.arrows.flatMap(drawLabel),
    '</svg>',
  ].join('\n');
}

function drawState({ state, box, ...area }: PlacedState): string {
  const { type, description } = state.definition;
  const kind = state.children.length > 0 ? (type === 'parallel' ? 'frame parallel' : 'frame') : (type ?? 'atomic');
  const left = area.x + PADDING;
  const titleY = area.y + PADDING + FONT.title;
  let tagX = left + textWidth(box.title, FONT.title) + 10;
  const tags = box.tags.map((tag) => {
    const x = tagX;
    tagX += tagWidth(tag);
    const width = tagWidth(tag) - 8;
    return (
      `<rect class="tag" x="${x}" y="${titleY - 12}" width="${width}" height="16" rx="8"/>` +
      text('tag', x + 6, titleY, tag)
    );
  });
  const lines = box.lines.map((line, index) =>
    text(line.kind, left, titleY + 8 + (index + 1) * LINE_HEIGHT, line.text, line.move),
  );
  return [
    `<g class="state ${kind}" data-state="${escapeXml(state.path)}">`,
    description === undefined ? '' : `<title>${escapeXml(description)}</title>`,
    `<rect class="body" ${rect(area)} rx="${CORNER}"/>`,
    type === 'final' ? `<rect class="ring" ${rect(inset(area, 3))} rx="${CORNER - 2}"/>` : '',
    text('title', left, titleY, box.title),
    ...tags,
    ...lines,
    '</g>',
  ].join('');
}

function drawDot({ x, y, width }: Layout['dots'][number]): string {
  return `<circle class="initial" cx="${round(x + width / 2)}" cy="${round(y + width / 2)}" r="5"/>`;
}

function drawArrow({ from, to, moves, points }: PlacedArrow, index: number): string {
  const kind = moves.length === 0 ? 'arrow start' : 'arrow';
  return `<g class="${kind}" data-arrow="${index}" data-from="${escapeXml(from)}" data-to="${escapeXml(to)}"><path d="${linePath(points)}"/><path class="head" d="${headPath(points)}"/></g>`;
}

function drawLabel({ moves, lines, label }: PlacedArrow, arrow: number): string[] {
  if (!label) return [];
  const texts = lines.map((line, index) =>
    text('event', label.x + 4, label.y + 12 + index * LINE_HEIGHT, line, moves[index], ` data-arrow="${arrow}"`),
  );
  return [`<g class="label"><rect ${rect(label)} rx="3"/>${texts.join('')}</g>`];
}

function text(kind: string, x: number, y: number, content: string, move?: Move, more = ''): string {
  const attributes = (move ? ` ${moveAttributes(move)}` : '') + more;
  return `<text class="${kind}" x="${round(x)}" y="${round(y)}" xml:space="preserve"${attributes}>${escapeXml(content)}</text>`;
}

function moveAttributes({ from, to, event }: Move): string {
  return `data-from="${escapeXml(from)}" data-to="${escapeXml(to)}" data-event="${escapeXml(event)}"`;
}

/** A path through all points, its corners rounded. */
function linePath(points: readonly Point[]): string {
  return points
    .map((point, index) => {
      const before = points[index - 1];
      const after = points[index + 1];
      if (!before) return `M${at(point)}`;
      if (!after) return `L${at(point)}`;
      return `L${at(towards(point, before))}Q${at(point)} ${at(towards(point, after))}`;
    })
    .join('');
}

/** A triangle at the last point, in the direction of the last line. */
function headPath(points: readonly Point[]): string {
  const tip = points.at(-1);
  const before = points.at(-2);
  if (!tip || !before) return '';
  const length = Math.hypot(tip.x - before.x, tip.y - before.y) || 1;
  const [x, y] = [(tip.x - before.x) / length, (tip.y - before.y) / length];
  const corner = (side: number): Point => ({ x: tip.x - 8 * x - side * 4 * y, y: tip.y - 8 * y + side * 4 * x });
  return `M${at(tip)}L${at(corner(1))}L${at(corner(-1))}Z`;
}

function towards(point: Point, other: Point): Point {
  const length = Math.hypot(other.x - point.x, other.y - point.y) || 1;
  const share = Math.min(CORNER, length / 2) / length;
  return { x: point.x + (other.x - point.x) * share, y: point.y + (other.y - point.y) * share };
}

function inset(area: Parameters<typeof rect>[0], by: number): Parameters<typeof rect>[0] {
  return { x: area.x + by, y: area.y + by, width: area.width - 2 * by, height: area.height - 2 * by };
}

function rect({ x, y, width, height }: Point & { readonly width: number; readonly height: number }): string {
  return `x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}"`;
}

function at({ x, y }: Point): string {
  return `${round(x)},${round(y)}`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
