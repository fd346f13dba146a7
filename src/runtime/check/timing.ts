import { formatDuration } from '../../core/format.ts';
import type { Vocabulary } from '../vocabulary.ts';
import type { CheckFinding } from './codes.ts';
import { type Edge, type MachineGraph, closure } from './graph.ts';
import { type StateNode, placeIn, tagsOf } from './walk.ts';

/** What goes wrong in time: cycles without an end, loops quicker than the dwell time, timers that meet. */
export function checkTiming(graph: MachineGraph, vocabulary: Vocabulary): readonly CheckFinding[] {
  return [...checkAlways(graph), ...checkFlapping(graph, vocabulary), ...checkTimers(graph, vocabulary)];
}

function checkAlways(graph: MachineGraph): CheckFinding[] {
  const steps = graph.edges.filter(({ via }) => via.place === 'always');
  const next = Map.groupBy(steps, ({ from }) => from);
  const found = new Map<string, CheckFinding>();
  for (const { from, to, via } of steps) {
    const way = closure([to], (atom) => (next.get(atom) ?? []).map((edge) => edge.to));
    if (!way.has(from)) continue;
    const path = placeIn(via.from, 'always');
    const names = [...new Set([from, ...way])].map(nameOf).join(' → ');
    const message = `${names} follow each other without an end; wait for an event ("on") or a time ("after") in one of them`;
    found.set(path, { code: 'always-cycle', path, message });
  }
  for (const node of graph.nodes.values()) {
    const { always } = node.state;
    if (!always || always.target !== undefined) continue;
    const path = placeIn(node, 'always');
    found.set(path, {
      code: 'always-cycle',
      path,
      message: '"always" without a target is taken for ever; give it one',
    });
  }
  return [...found.values()];
}

/**
 * The way back to a usable state must cost the dwell time. Only `recoverable` asks for it, so a way
 * of timers, `always`, finished actors and passed probes without that guard is as quick as it looks.
 */
function checkFlapping(graph: MachineGraph, { dwellMs, delays }: Vocabulary): CheckFinding[] {
  const quick = graph.edges.flatMap((edge) => {
    const ms = leastMs(edge, delays);
    return ms === undefined || edge.from === edge.to ? [] : [{ edge, ms }];
  });
  const found = new Map<string, CheckFinding>();
  for (const leave of graph.edges) {
    if (!isUsable(leave.from) || isUsable(leave.to)) continue;
    const before = leastMs(leave, delays) ?? 0;
    const back = quickest(leave.to, leave.from, quick);
    if (!back || before + back.ms >= dwellMs) continue;
    const slowest = back.way.toSorted((a, b) => b.ms - a.ms)[0]?.edge ?? leave;
    const path = placeIn(slowest.via.from, slowest.via.place);
    const names = [leave.from, ...[leave, ...back.way.map(({ edge }) => edge)].map(({ to }) => to)].map(nameOf);
    const passed = back.way.some(({ edge }) => edge.via.place === 'on.probe.passed');
    const cure = passed ? 'guard probe.passed with "recoverable"' : 'make the delay longer';
    const message = `${names.join(' → ')} takes ${formatDuration(before + back.ms)}, quicker than the dwell time (${formatDuration(dwellMs)}); ${cure}`;
    if (!found.has(path)) found.set(path, { code: 'flapping', path, message });
  }
  return [...found.values()];
}

/** The least time until a transition is taken by itself; `undefined` where it waits for something outside. */
function leastMs({ via }: Edge, delays: Vocabulary['delays']): number | undefined {
  const { place, transition } = via;
  if (place === 'always' || place === 'invoke.onDone') return 0;
  if (place.startsWith('after.')) return delayMs(place.slice('after.'.length), delays);
  const guard = typeof transition.guard === 'object' ? transition.guard.type : transition.guard;
  return place === 'on.probe.passed' && guard !== 'recoverable' ? 0 : undefined;
}

interface Step {
  readonly edge: Edge;
  readonly ms: number;
}

/** Dijkstra over a dozen states; the way with its length, or `undefined` where none leads there. */
function quickest(
  from: StateNode,
  to: StateNode,
  steps: readonly Step[],
): { readonly ms: number; readonly way: readonly Step[] } | undefined {
  const ways = new Map<StateNode, { readonly ms: number; readonly way: readonly Step[] }>([[from, { ms: 0, way: [] }]]);
  const open = new Set([from]);
  while (open.size > 0) {
    const [node] = [...open].toSorted((a, b) => (ways.get(a)?.ms ?? 0) - (ways.get(b)?.ms ?? 0));
    const here = node && ways.get(node);
    if (!node || !here || node === to) break;
    open.delete(node);
    for (const step of steps.filter(({ edge }) => edge.from === node)) {
      const ms = here.ms + step.ms;
      if (ms >= (ways.get(step.edge.to)?.ms ?? Number.POSITIVE_INFINITY)) continue;
      ways.set(step.edge.to, { ms, way: [...here.way, step] });
      open.add(step.edge.to);
    }
  }
  return ways.get(to);
}

function checkTimers({ nodes }: MachineGraph, { delays }: Vocabulary): CheckFinding[] {
  return [...nodes.values()].flatMap((node) => {
    const timers = Object.entries(node.state.after ?? {});
    return timers.flatMap(([name, { guard, target }], index): CheckFinding[] => {
      const path = placeIn(node, `after.${name}`);
      const ms = delayMs(name, delays);
      const twin = timers.slice(0, index).find(([other, earlier]) => {
        return delayMs(other, delays) === ms && earlier.target !== target && earlier.guard === undefined;
      });
      const findings: CheckFinding[] = [];
      if (twin && guard === undefined) {
        const message = `"${twin[0]}" is due at the same moment (${formatDuration(ms)}) and leads elsewhere; keep one`;
        findings.push({ code: 'ambiguous', path, message });
      }
      if (/^\d+$/.test(name)) findings.push({ code: 'numeric-delay', path, message: numericHint(ms, delays) });
      return findings;
    });
  });
}

function numericHint(ms: number, delays: Vocabulary['delays']): string {
  const same = Object.entries(delays).find(([, { value }]) => value === ms);
  if (same) return `write "${same[0]}", which the configuration sets to ${formatDuration(ms)}`;
  return `name it in the configuration: runtime.delays { myDelay: "${formatDuration(ms)}" }, and write "myDelay" here`;
}

function delayMs(name: string, delays: Vocabulary['delays']): number {
  return delays[name]?.value ?? Number(name);
}

function isUsable(atom: StateNode): boolean {
  return tagsOf(atom).has('usable');
}

function nameOf({ keys }: StateNode): string {
  return keys.join('.');
}
