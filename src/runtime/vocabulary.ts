import type { Config } from '../config/schema.ts';
import { BACKENDS, type BackendTable, SERVICES } from '../core/mode.ts';
import type { Documented, DocumentedNumber } from './documented.ts';
import { EVENTS, TAGS } from './events.ts';
import type { Extensions } from './extensions.ts';
import { ACTIONS, ACTORS, GUARDS } from './registry.ts';
import { delaysOf, policiesOf, sectionOf } from './section.ts';

/**
 * Everything that the definition of one machine may name, with what it means: what the check, the
 * JSON schema and the diagrams know without running anything.
 */
export interface Vocabulary {
  readonly machine: string;
  readonly guards: Readonly<Record<string, Documented>>;
  readonly actions: Readonly<Record<string, Documented>>;
  readonly actors: Readonly<Record<string, Documented>>;
  readonly events: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  /** Milliseconds. */
  readonly delays: Readonly<Record<string, DocumentedNumber>>;
  /** Thresholds that guards take as `params.policy`. */
  readonly policies: Readonly<Record<string, DocumentedNumber>>;
  readonly backends: BackendTable;
  /** Least stay out of use that the guard `recoverable` keeps. */
  readonly dwellMs: number;
}

/** The vocabulary of a machine under a configuration and the user's own parts. */
export function vocabularyOf(config: Config, machine: string, extensions: Extensions = {}): Vocabulary {
  return {
    machine,
    guards: { ...GUARDS, ...extensions.guards },
    actions: { ...ACTIONS, ...extensions.actions },
    actors: { ...ACTORS, ...extensions.actors },
    events: { ...EVENTS, ...extensions.events, ...lostEventOf(machine) },
    tags: TAGS,
    delays: delaysOf(config, machine),
    policies: policiesOf(config, machine),
    backends: backendTableOf(config),
    dwellMs: sectionOf(config, machine).holdDown.dwellMs,
  };
}

/** Redoubt's own backends and one for each Redis of `runtime.redis`. */
export function backendTableOf(config: Config): BackendTable {
  const further = Object.keys(config.runtime.redis).map((name) => [
    name,
    {
      kind: 'redis',
      machine: name,
      scope: 'fleet',
      services: SERVICES,
      doc: `The Redis that runtime.redis.${name} names.`,
    } as const,
  ]);
  return { ...BACKENDS, ...(Object.fromEntries(further) as BackendTable) };
}

function lostEventOf(machine: string): Readonly<Record<string, string>> {
  return { [`${machine}.lost`]: 'A connection broke or a call failed hard, and the confirming probe failed too.' };
}
