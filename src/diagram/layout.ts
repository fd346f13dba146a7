import type { ElkExtendedEdge, ElkNode } from 'elkjs/lib/elk-api.js';

import { RedoubtError, isRedoubtError } from '../core/errors.ts';
import type { MachineDefinition } from '../runtime/types.ts';
import { type Arrow, arrowsOf, isInside } from './arrow.ts';
import { type Box, boxOf, columns, FONT, LINE_HEIGHT, textWidth } from './box.ts';
import { runElk } from './elk.ts';
import { isWithin, type Move, movesOf, relativePath, type State, stateTree, walkStates } from './graph.ts';
import type { Numbers } from './label.ts';

export interface Point {
  readonly x: number;
  readonly y: number;
}

interface Area extends Point {
  readonly width: number;
  readonly height: number;
}

/** A state and where it is, in pixels from the upper left corner of the picture. */
export interface PlacedState extends Area {
  readonly state: State;
  readonly box: Box;
}

/**
 * All transitions from one state to another as one arrow; without moves it leads from the dot to the first state.
 * An arrow into a frame ends at its border, and each move's line says which state inside it goes to.
 */
export interface PlacedArrow {
  readonly from: string;
  readonly to: string;
  readonly moves: readonly Move[];
  readonly lines: readonly string[];
  readonly points: readonly Point[];
  readonly label: Area | undefined;
}

/** A machine as a picture: everything placed, nothing drawn. Frames stand before what lies in them. */
export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly states: readonly PlacedState[];
  /** The dots from which the arrows to the first states start. */
  readonly dots: readonly Area[];
  readonly arrows: readonly PlacedArrow[];
}

interface DrawnArrow extends Arrow {
  readonly id: string;
  readonly source: string;
}

// Every frame needs these of its own.
const SPACING = {
  'elk.spacing.nodeNode': '28',
  'elk.spacing.edgeNode': '18',
  'elk.spacing.edgeEdge': '14',
  'elk.spacing.edgeLabel': '6',
  'elk.spacing.labelNode': '10',
  'elk.layered.spacing.nodeNodeBetweenLayers': '34',
  'elk.layered.spacing.edgeNodeBetweenLayers': '18',
  'elk.layered.spacing.edgeEdgeBetweenLayers': '14',
} as const;
// On the whole picture only: repeated on a frame, hierarchyHandling makes ELK 0.12 fail with a TypeError.
const OPTIONS = {
  ...SPACING,
  'elk.algorithm': 'layered',
  'elk.direction': 'DOWN',
  'elk.hierarchyHandling': 'INCLUDE_CHILDREN',
  'elk.edgeRouting': 'ORTHOGONAL',
  'elk.layered.nodePlacement.strategy': 'NETWORK_SIMPLEX',
  'elk.json.shapeCoords': 'ROOT',
  'elk.json.edgeCoords': 'ROOT',
  'elk.edgeLabels.placement': 'CENTER',
  'elk.padding': '[top=8,left=8,bottom=8,right=8]',
} as const;

/**
 * Places a machine's states and transitions with ELK's layered algorithm (Sugiyama), hierarchy included.
 *
 * Computes in a thread of its own for 0.2 to 0.4 s; keep the result.
 *
 * @param numbers - given: everything is written out, with parameters, numbers and actions
 * @throws {RedoubtError} `ERR_MACHINE` when the layout fails or takes more than 10 s
 */
export async function layoutMachine(definition: MachineDefinition, numbers?: Numbers): Promise<Layout> {
  const root = stateTree(definition);
  const moves = movesOf(root, definition.id, numbers);
  const boxes: Boxes = new Map(
    [...walkStates(root)].map((state) => {
      const inside = moves.filter((move) => move.from === state.path && isInside(move));
      return [stateId(state.path), { state, box: boxOf(state, inside, numbers !== undefined) }];
    }),
  );
  const arrows = drawnArrows(root, moves);
  const graph: ElkNode = {
    id: 'picture',
    layoutOptions: OPTIONS,
    children: [toNode(root, boxes)],
    edges: arrows.map((arrow) => toEdge(arrow, isUpward(arrow, root))),
  };
  try {
    return toLayout(await runElk(graph), boxes, arrows);
  } catch (cause) {
    if (isRedoubtError(cause)) throw cause;
    throw new RedoubtError('ERR_MACHINE', { machine: definition.id, message: 'it could not be laid out' }, { cause });
  }
}

type Boxes = ReadonlyMap<string, { readonly state: State; readonly box: Box }>;

function stateId(path: string): string {
  return `state:${path}`;
}

function drawnArrows(root: State, moves: readonly Move[]): DrawnArrow[] {
  const starts = [...walkStates(root)].flatMap(({ path, initial }) => {
    if (initial === undefined) return [];
    const id = `initial:${path}`;
    return [{ id, from: path, to: initial, source: id, moves: [] }];
  });
  const others = arrowsOf(moves.filter((move) => !isInside(move))).map((arrow, index) => ({
    ...arrow,
    id: `arrow:${index}`,
    source: stateId(arrow.from),
  }));
  return [...starts, ...others];
}

/**
 * Whether the arrow leads back to a state that the file names earlier. Such an arrow is laid out the
 * other way round, so that the file's order, which its author thinks in, runs from top to bottom:
 * ELK's own MODEL_ORDER fails with a TypeError where frames are laid out with what is around them.
 */
function isUpward({ from, to, moves }: Arrow, root: State): boolean {
  if (moves.length === 0 || isWithin(from, to)) return false;
  const order = [...walkStates(root)].map((state) => state.path);
  return order.indexOf(to) < order.indexOf(from);
}

function toNode(state: State, boxes: Boxes): ElkNode {
  const id = stateId(state.path);
  const { width = 0, height = 0 } = boxes.get(id)?.box ?? {};
  if (state.children.length === 0) return { id, width, height };
  const dot: ElkNode[] = state.initial === undefined ? [] : [{ id: `initial:${state.path}`, width: 12, height: 12 }];
  return {
    id,
    layoutOptions: {
      ...SPACING,
      'elk.padding': `[top=${height + 6},left=18,bottom=18,right=18]`,
      'elk.nodeSize.constraints': 'MINIMUM_SIZE',
      'elk.nodeSize.minimum': `(${width}, ${height})`,
    },
    children: [...dot, ...state.children.map((child) => toNode(child, boxes))],
  };
}

function toEdge(arrow: DrawnArrow, upward: boolean): ElkExtendedEdge {
  const { id, to, source } = arrow;
  const lines = linesOf(arrow);
  const width = Math.max(0, ...lines.map((line) => textWidth(line, FONT.line))) + 8;
  const labels = lines.length === 0 ? [] : [{ text: id, width, height: lines.length * LINE_HEIGHT + 4 }];
  const ends = [source, stateId(to)] as const;
  return { id, sources: [ends[upward ? 1 : 0]], targets: [ends[upward ? 0 : 1]], labels };
}

function linesOf({ to, moves }: Pick<Arrow, 'to' | 'moves'>): string[] {
  return columns(moves.map((move) => [move.label, relativePath(move.to, to)]));
}

function toLayout(picture: ElkNode, boxes: Boxes, arrows: readonly DrawnArrow[]): Layout {
  const states: PlacedState[] = [];
  const dots: Area[] = [];
  const visit = (node: ElkNode): void => {
    const known = boxes.get(node.id);
    if (known) states.push({ ...areaOf(node), ...known });
    else if (node !== picture) dots.push(areaOf(node));
    for (const child of node.children ?? []) visit(child);
  };
  visit(picture);
  const edges = new Map((picture.edges ?? []).map((edge) => [edge.id, edge]));
  return {
    width: Math.ceil(picture.width ?? 0),
    height: Math.ceil(picture.height ?? 0),
    states,
    dots,
    arrows: arrows.map((arrow) => {
      const edge = edges.get(arrow.id);
      const points = pointsOf(edge);
      const upward = edge?.sources[0] !== arrow.source;
      const label = edge?.labels?.[0];
      const { from, to, moves } = arrow;
      return {
        from,
        to,
        moves,
        lines: linesOf(arrow),
        points: upward ? points.toReversed() : points,
        label: label && areaOf(label),
      };
    }),
  };
}

function pointsOf(edge: ElkExtendedEdge | undefined): Point[] {
  const section = edge?.sections?.[0];
  return section ? [section.startPoint, ...(section.bendPoints ?? []), section.endPoint] : [];
}

function areaOf({ x = 0, y = 0, width = 0, height = 0 }: Partial<Area>): Area {
  return { x, y, width, height };
}
