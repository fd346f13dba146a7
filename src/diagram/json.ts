import { type BackendEntry, SERVICES } from '../core/mode.ts';
import { backendsOf } from '../runtime/modes.ts';
import type { BackendsDefinition, MachineDefinition, StateDefinition } from '../runtime/types.ts';
import type { Vocabulary } from '../runtime/vocabulary.ts';
import { type Move, type State, movesOf, parentOf, stateTree, walkStates } from './graph.ts';
import { type Trigger, actionNames, delayMsOf, nameOf } from './label.ts';

/** A machine as a graph for programs; docs/diagram.md documents it. Absent values are `null`. */
export interface GraphJson {
  readonly machine: string;
  readonly description: string | null;
  /** The machine itself (path `''`) first, parents before their children. */
  readonly nodes: readonly GraphNode[];
  /** In the order of the file. */
  readonly edges: readonly GraphEdge[];
  /** The backends that the machine names. */
  readonly backends: Readonly<Record<string, Pick<BackendEntry, 'kind' | 'machine' | 'scope' | 'doc'>>>;
  /** Milliseconds of the delays that the machine names. */
  readonly delays: Readonly<Record<string, number>>;
  /** The thresholds that its guards name. */
  readonly policies: Readonly<Record<string, number>>;
}

interface GraphNode {
  /** Dotted: `degraded.slow`. */
  readonly path: string;
  readonly name: string;
  readonly parent: string | null;
  readonly type: NonNullable<StateDefinition['type']>;
  readonly initial: string | null;
  readonly description: string | null;
  readonly tags: readonly string[];
  /** What holds in the state, inherited or its own. */
  readonly backends: BackendsDefinition;
  /** The actor that it runs. */
  readonly actor: string | null;
  readonly entry: readonly string[];
  readonly exit: readonly string[];
}

interface GraphEdge {
  readonly from: string;
  readonly to: string;
  /** The event is taken and nothing changes. */
  readonly internal: boolean;
  readonly trigger: Trigger;
  /** Of `after` alone. */
  readonly delayMs: number | null;
  readonly guard: { readonly type: string; readonly params: Readonly<Record<string, unknown>> } | null;
  readonly actions: readonly string[];
  /** As the pictures write it. */
  readonly label: string;
}

/** The graph of a machine under a configuration's numbers. */
export function toGraph(definition: MachineDefinition, vocabulary: Vocabulary): GraphJson {
  const root = stateTree(definition);
  const moves = movesOf(root, definition.id, vocabulary);
  const nodes = [...walkStates(root)].map((state) => toNode(state, definition));
  const named = new Set(nodes.flatMap(({ backends }) => SERVICES.flatMap((service) => backends[service] ?? [])));
  const edges = moves.map((move) => toEdge(move, vocabulary));
  const policies = new Set(edges.flatMap(({ guard }) => String(guard?.params['policy'] ?? '')));
  const delays = edges.flatMap(({ trigger, delayMs }) => (delayMs === null ? [] : [[trigger.name, delayMs] as const]));
  return {
    machine: definition.id,
    description: definition.description ?? null,
    nodes,
    edges,
    backends: Object.fromEntries(
      Object.entries(vocabulary.backends)
        .filter(([name]) => named.has(name))
        .map(([name, { kind, machine, scope, doc }]) => [name, { kind, machine, scope, doc }]),
    ),
    delays: Object.fromEntries(delays),
    policies: Object.fromEntries(
      Object.entries(vocabulary.policies)
        .filter(([name]) => policies.has(name))
        .map(([name, { value }]) => [name, value]),
    ),
  };
}

function toNode({ path, name, definition: state, children, initial }: State, machine: MachineDefinition): GraphNode {
  return {
    path,
    name,
    parent: path === '' ? null : parentOf(path),
    type: state.type ?? (children.length > 0 ? 'compound' : 'atomic'),
    initial: initial ?? null,
    description: state.description ?? null,
    tags: state.tags ?? [],
    backends: backendsOf(machine, path),
    actor: state.invoke?.src ?? null,
    entry: actionNames(state.entry),
    exit: actionNames(state.exit),
  };
}

function toEdge({ from, to, internal, trigger, label, definition }: Move, vocabulary: Vocabulary): GraphEdge {
  const { guard, actions } = definition;
  return {
    from,
    to,
    internal,
    trigger,
    delayMs: trigger.kind === 'after' ? (delayMsOf(trigger.name, vocabulary) ?? null) : null,
    guard: guard === undefined ? null : { type: nameOf(guard), params: paramsOf(guard) },
    actions: actionNames(actions),
    label,
  };
}

function paramsOf(guard: NonNullable<Move['definition']['guard']>): Readonly<Record<string, unknown>> {
  return typeof guard === 'string' ? {} : (guard.params ?? {});
}
