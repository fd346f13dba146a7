import { suggest } from '../../core/format.ts';
import { BACKENDS, type BackendName, SERVICES, type ServiceName } from '../../core/mode.ts';
import { TAGS } from '../events.ts';
import type { Documented, Vocabulary } from '../registry.ts';
import type { MachineDefinition, NamedRef, StateDefinition } from '../types.ts';
import type { CheckFinding } from './check.ts';
import { type StateNode, pathOf, resolveTarget, transitionsOf, walkStates } from './walk.ts';

type Add = (code: string, path: string, message: string) => void;

/** Every name that is used exists: states, events, guards, actions, actors, delays, backends, tags. */
export function checkNames(definition: MachineDefinition, vocabulary: Vocabulary): readonly CheckFinding[] {
  const findings: CheckFinding[] = [];
  const add: Add = (code, path, message) => findings.push({ code, path, message });
  const nodes = new Map([...walkStates(definition)].map((node) => [node.keys.join('.'), node]));
  for (const node of nodes.values()) {
    const at = (place: string): string => [pathOf(node), place].filter(Boolean).join('.');
    checkInitial(node, at, add);
    checkBackends(node.state, at, add);
    for (const tag of node.state.tags ?? []) known('tag', tag, TAGS, at('tags'), add);
    for (const ref of listOf(node.state.entry)) checkRef('action', ref, vocabulary.actions, at('entry'), add);
    for (const ref of listOf(node.state.exit)) checkRef('action', ref, vocabulary.actions, at('exit'), add);
    if (node.state.invoke) known('actor', node.state.invoke.src, Object.keys(vocabulary.actors), at('invoke.src'), add);
    for (const event of Object.keys(node.state.on ?? {}))
      known('event', event, vocabulary.events, at(`on.${event}`), add);
    for (const delay of Object.keys(node.state.after ?? {})) {
      if (!/^\d+$/.test(delay)) known('delay', delay, vocabulary.delays, at(`after.${delay}`), add);
    }
    for (const { place, transition } of transitionsOf(node)) {
      const { target, guard, actions } = transition;
      if (target !== undefined && !resolveTarget(nodes, definition, node, target)) {
        const near = suggest(target, [...nodes.keys()].filter(Boolean));
        add('unknown-target', at(`${place}.target`), `there is no state "${target}"${hint(near)}`);
      }
      if (guard !== undefined) checkRef('guard', guard, vocabulary.guards, at(`${place}.guard`), add);
      for (const ref of listOf(actions)) checkRef('action', ref, vocabulary.actions, at(`${place}.actions`), add);
    }
  }
  return findings;
}

function checkInitial({ state }: StateNode, at: (place: string) => string, add: Add): void {
  const children = Object.keys(state.states ?? {});
  if (children.length === 0 || state.type === 'parallel') return;
  if (state.initial === undefined)
    add('no-initial', at('initial'), `"initial" is missing: one of ${children.join(', ')}`);
  else known('state', state.initial, children, at('initial'), add);
}

function checkBackends({ meta }: StateDefinition, at: (place: string) => string, add: Add): void {
  for (const [service, names] of Object.entries(meta?.backends ?? {})) {
    const path = at(`meta.backends.${service}`);
    if (!known('service', service, SERVICES, path, add)) continue;
    if (names.length === 0) add('no-backend', path, 'the list is empty');
    const allowed = (Object.keys(BACKENDS) as BackendName[]).filter((name) =>
      (BACKENDS[name].services as readonly ServiceName[]).includes(service as ServiceName),
    );
    for (const name of names) known('backend', name, allowed, path, add);
  }
}

function checkRef(
  kind: string,
  ref: NamedRef,
  registered: Readonly<Record<string, Documented>>,
  path: string,
  add: Add,
): void {
  const { type, params = {} } = typeof ref === 'string' ? { type: ref } : ref;
  if (!known(kind, type, Object.keys(registered), path, add)) return;
  const allowed = registered[type]?.params ?? {};
  for (const [name, value] of Object.entries(params)) {
    if (!known('parameter', name, Object.keys(allowed), `${path}.params`, add)) continue;
    const values = allowed[name] ?? [];
    if (values.length > 0) known(`${name}`, String(value), values, `${path}.params.${name}`, add);
  }
  if ('policy' in allowed && !('policy' in params)) {
    add('missing-parameter', path, `"${type}" needs params.policy: one of ${allowed['policy']?.join(', ')}`);
  }
}

/** Adds a finding and answers `false` where `name` is not among `names`. */
function known(kind: string, name: string, names: readonly string[], path: string, add: Add): boolean {
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
