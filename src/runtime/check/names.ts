import { suggest } from '../../core/format.ts';
import { type BackendTable, SERVICES, type ServiceName } from '../../core/mode.ts';
import type { Documented } from '../documented.ts';
import type { Vocabulary } from '../vocabulary.ts';
import type { MachineDefinition, NamedRef, StateDefinition } from '../types.ts';
import type { CheckCode, CheckFinding } from './codes.ts';
import { type StateNode, pathOf, resolveTarget, transitionsOf, walkStates } from './walk.ts';

type Add = (code: CheckCode, path: string, message: string) => void;

/** What a finding `unknown-…` may be about. */
type Named = (CheckCode extends infer Code ? (Code extends `unknown-${infer Kind}` ? Kind : never) : never) & string;

/** Every name that is used exists: states, events, guards, actions, actors, delays, backends, tags. */
export function checkNames(definition: MachineDefinition, vocabulary: Vocabulary): readonly CheckFinding[] {
  const findings: CheckFinding[] = [];
  const add: Add = (code, path, message) => findings.push({ code, path, message });
  const nodes = new Map([...walkStates(definition)].map((node) => [node.keys.join('.'), node]));
  for (const node of nodes.values()) {
    const at = (place: string): string => [pathOf(node), place].filter(Boolean).join('.');
    checkInitial(node, at, add);
    checkBackends(node.state, vocabulary.backends, at, add);
    for (const key of Object.keys(node.state.states ?? {}).filter((name) => /[.#+\s]|^$/.test(name))) {
      const better = key.replaceAll(/[.#+\s]+(\w?)/g, (_marks, next: string) => next.toUpperCase());
      add('wrong-name', at(`states.${key}`), `a state's name has no dot, "#", "+" or space${hint(better)}`);
    }
    for (const [index, tag] of (node.state.tags ?? []).entries())
      known('tag', tag, Object.keys(vocabulary.tags), at(`tags.${index}`), add);
    for (const ref of listOf(node.state.entry)) checkRef('action', ref, vocabulary.actions, at('entry'), add);
    for (const ref of listOf(node.state.exit)) checkRef('action', ref, vocabulary.actions, at('exit'), add);
    if (node.state.invoke) known('actor', node.state.invoke.src, Object.keys(vocabulary.actors), at('invoke.src'), add);
    for (const event of Object.keys(node.state.on ?? {}))
      known('event', event, Object.keys(vocabulary.events), at(`on.${event}`), add);
    for (const delay of Object.keys(node.state.after ?? {})) {
      if (!/^\d+$/.test(delay)) known('delay', delay, Object.keys(vocabulary.delays), at(`after.${delay}`), add);
    }
    for (const { place, transition } of transitionsOf(node)) {
      const { target, guard, actions } = transition;
      if (target !== undefined && !resolveTarget(nodes, definition, node, target)) {
        const near = nearestTarget(target, node, nodes, definition);
        add('unknown-target', at(`${place}.target`), `no state "${target}" can be named from here${hint(near)}`);
      }
      if (guard !== undefined) checkRef('guard', guard, vocabulary.guards, at(`${place}.guard`), add);
      for (const ref of listOf(actions)) checkRef('action', ref, vocabulary.actions, at(`${place}.actions`), add);
    }
  }
  return findings;
}

/** The target that was meant, as it must be written in this state. */
function nearestTarget(
  target: string,
  from: StateNode,
  nodes: ReadonlyMap<string, StateNode>,
  definition: MachineDefinition,
): string | undefined {
  const absolute = (name: string): string => `#${definition.id}.${name}`;
  const names = [...nodes.keys()].filter(Boolean);
  const bare = target.replace(/^#[^.]*\.|^[.#]/, '');
  // Well spelt, but out of reach of a relative name.
  if (nodes.has(bare)) return absolute(bare);
  const leaf = names.find((name) => name.split('.').at(-1) === bare);
  if (leaf) return absolute(leaf);
  const around = from.keys
    .slice(0, -1)
    .map((key) => `${key}.`)
    .join('');
  const relative = names.filter((name) => name.startsWith(around)).map((name) => name.slice(around.length));
  const near = suggest(target, relative);
  const far = suggest(bare, names);
  return near ?? (far === undefined ? undefined : absolute(far));
}

function checkInitial({ state }: StateNode, at: (place: string) => string, add: Add): void {
  const children = Object.keys(state.states ?? {});
  if (children.length === 0 || state.type === 'parallel') return;
  if (state.initial === undefined)
    add('no-initial', at('initial'), `"initial" is missing: one of ${children.join(', ')}`);
  else known('state', state.initial, children, at('initial'), add);
}

function checkBackends({ meta }: StateDefinition, table: BackendTable, at: (place: string) => string, add: Add): void {
  for (const [service, names] of Object.entries(meta?.backends ?? {})) {
    const path = at(`meta.backends.${service}`);
    if (!known('service', service, SERVICES, path, add)) continue;
    if (names.length === 0) add('no-backend', path, 'the list is empty');
    const allowed = Object.keys(table).filter((name) => table[name]?.services.includes(service as ServiceName));
    for (const [index, name] of names.entries()) known('backend', name, allowed, `${path}.${index}`, add);
  }
}

function checkRef(
  kind: 'guard' | 'action',
  ref: NamedRef,
  registered: Readonly<Record<string, Documented>>,
  path: string,
  add: Add,
): void {
  const { type, params = {} } = typeof ref === 'string' ? { type: ref } : ref;
  const namePath = typeof ref === 'string' ? path : `${path}.type`;
  if (!known(kind, type, Object.keys(registered), namePath, add)) return;
  const { params: allowed = {}, required = [] } = registered[type] ?? {};
  for (const [name, value] of Object.entries(params)) {
    if (!known('parameter', name, Object.keys(allowed), `${path}.params`, add)) continue;
    const values = allowed[name] ?? [];
    const what = name === 'policy' ? name : 'value';
    if (values.length > 0) known(what, String(value), values, `${path}.params.${name}`, add);
  }
  for (const name of required.filter((wanted) => !(wanted in params))) {
    const values = allowed[name] ?? [];
    const choice = values.length > 0 ? `: one of ${values.join(', ')}` : '';
    add('missing-parameter', path, `"${type}" needs params.${name}${choice}`);
  }
}

/** Adds a finding and answers `false` where `name` is not among `names`. */
function known(kind: Named, name: string, names: readonly string[], path: string, add: Add): boolean {
  if (names.includes(name)) return true;
  const near = suggest(name, names);
  add(`unknown-${kind}`, path, `unknown ${kind} "${name}"${near ? hint(near) : `; known are ${names.join(', ')}`}`);
  return false;
}

function hint(near: string | undefined): string {
  return near ? ` (did you mean "${near}"?)` : '';
}

function listOf(refs: NamedRef | readonly NamedRef[] | undefined): readonly NamedRef[] {
  if (refs === undefined) return [];
  return Array.isArray(refs) ? (refs as readonly NamedRef[]) : [refs as NamedRef];
}
