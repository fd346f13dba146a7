import type { TransitionDefinition } from '../types.ts';
import type { Vocabulary } from '../vocabulary.ts';
import type { CheckFinding } from './codes.ts';
import type { MachineGraph } from './graph.ts';
import { NOWHERE, type Standing, type Stimulus, nextTimers, predict, standingName } from './predict.ts';
import { Replay, type Step, guardKey } from './replay.ts';
import { transitionsOf } from './walk.ts';

/** More walks than this are not taken; the shipped machines need 65. */
const MAX_WALKS = 2000;
/** Guards that meet at one event and are tried in every combination; of more, only all and none. */
const MAX_GUARDS = 4;

/** What walking a machine showed. */
export interface ModelReport {
  readonly findings: readonly CheckFinding[];
  /** Walks taken, each from the start on an actor of its own. */
  readonly walks: number;
  /** Every state, regions joined by `+`, that a walk came to. */
  readonly visited: ReadonlySet<string>;
}

/**
 * Walks the real machine, on XState and a simulated clock: from every state that can be reached,
 * every event, timer and end of an actor, with every guard both ways. Each walk must end where the
 * file says, and with the machine still running.
 */
export function walkModel(graph: MachineGraph, vocabulary: Vocabulary): ModelReport {
  const findings = new Map<string, CheckFinding>();
  const visited = new Set<string>();
  // A history state remembers more than a walk's end shows.
  if ([...graph.nodes.values()].some(({ state }) => state.type === 'history')) {
    return { findings: [], walks: 0, visited };
  }
  const replay = new Replay(graph, vocabulary);
  const open: { readonly standing: Standing; readonly steps: readonly Step[] }[] = [{ standing: NOWHERE, steps: [] }];
  let walks = 0;
  for (const { standing, steps } of open) {
    for (const { stimulus, holds } of choicesIn(standing, graph)) {
      if (walks >= MAX_WALKS) return { findings: [...findings.values()], walks, visited };
      walks += 1;
      const verdict = ({ guard }: TransitionDefinition): boolean => guard === undefined || holds.has(guardKey(guard));
      const next = predict(graph, vocabulary, standing, stimulus, verdict);
      if (!next) continue;
      const walk = [...steps, { stimulus, holds, untilMs: next.nowMs }];
      const found = replay.judge(standing, next, walk);
      if (found) findings.set(`${found.code} ${found.path}`, found);
      if (found || visited.has(standingName(next))) continue;
      visited.add(standingName(next));
      open.push({ standing: next, steps: walk });
    }
  }
  return { findings: [...findings.values()], walks, visited };
}

type Choice = Pick<Step, 'stimulus' | 'holds'>;

/** Everything that can happen to a machine where it stands, with the guards that matter both ways. */
function* choicesIn(standing: Standing, graph: MachineGraph): Generator<Choice> {
  const nodes = [...standing.active];
  const places = nodes.flatMap((node) => transitionsOf(node));
  const always = [...graph.nodes.values()].flatMap(({ state }) => guardOf(state.always));
  const withGuards = function* (stimulus: Stimulus, transitions: readonly TransitionDefinition[]): Generator<Choice> {
    const guards = new Set([...transitions.flatMap((transition) => guardOf(transition)), ...always]);
    for (const some of subsets([...guards])) yield { stimulus, holds: some };
  };
  if (nodes.length === 0) {
    yield* withGuards({ type: 'start' }, []);
    return;
  }
  const events = new Set(places.flatMap(({ place }) => (place.startsWith('on.') ? [place.slice('on.'.length)] : [])));
  for (const event of events) {
    const taken = places.filter(({ place }) => place === `on.${event}`).map(({ transition }) => transition);
    yield* withGuards({ type: 'event', event }, taken);
  }
  const [timer, ...others] = nextTimers(standing);
  if (timer && others.length === 0) {
    const taken = timer.node.state.after?.[timer.delay];
    yield* withGuards({ type: 'wait' }, taken ? [taken] : []);
  }
  for (const node of standing.invoking) {
    const { onDone, onError } = node.state.invoke ?? {};
    yield* withGuards({ type: 'done', node }, onDone ? [onDone] : []);
    yield* withGuards({ type: 'failed', node }, onError ? [onError] : []);
  }
}

function guardOf(transition: TransitionDefinition | undefined): readonly string[] {
  return transition?.guard === undefined ? [] : [guardKey(transition.guard)];
}

function subsets(keys: readonly string[]): readonly ReadonlySet<string>[] {
  if (keys.length > MAX_GUARDS) return [new Set(keys), new Set()];
  return Array.from({ length: 2 ** keys.length }, (_, bits) => new Set(keys.filter((_key, i) => bits & (1 << i))));
}
