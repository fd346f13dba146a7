import { suggest } from '../../core/format.ts';
import type { CheckFinding } from './codes.ts';

/** What would be right instead of a value, where that can be told. */
type Fix = (value: unknown) => unknown;

/** What a value must look like: keys of an object, or a test with its words. */
type Shape =
  | { readonly keys: Readonly<Record<string, Shape>>; readonly required?: readonly string[]; readonly fix?: Fix }
  | { readonly map: Shape }
  | { readonly is: (value: unknown) => boolean; readonly words: string; readonly fix?: Fix }
  | { readonly either: readonly [Shape, Shape] }
  | { readonly later: () => Shape };

const text: Shape = { is: (value) => typeof value === 'string', words: 'a text' };
/** What `type` may say of a state. */
export const STATE_KINDS = ['atomic', 'compound', 'parallel', 'final', 'history'] as const;
const kind: Shape = {
  is: (value) => (STATE_KINDS as readonly unknown[]).includes(value),
  words: `one of ${STATE_KINDS.join(', ')}`,
  fix: (value) => suggest(String(value), STATE_KINDS),
};
const flag: Shape = { is: (value) => typeof value === 'boolean', words: 'true or false' };
const anything: Shape = { is: () => true, words: 'anything' };
const texts: Shape = {
  is: (value) => Array.isArray(value) && value.every((item) => typeof item === 'string'),
  words: 'a list of texts',
  fix: (value) => (typeof value === 'string' ? [value] : undefined),
};
const named: Shape = { either: [text, { keys: { type: text, params: { map: anything } }, required: ['type'] }] };
const actions: Shape = {
  either: [
    named,
    { is: (value) => Array.isArray(value) && value.every(isNamed), words: 'an action or a list of them' },
  ],
};
const transition: Shape = {
  keys: { target: text, guard: named, actions, reenter: flag, description: text },
  // XState 5 takes both, XState 6 will not; and of a list all but the last may hide behind a guard.
  fix: (value) => {
    const only = Array.isArray(value) && value.length === 1 ? (value as readonly unknown[])[0] : value;
    return typeof only === 'string' ? { target: only } : only === value ? undefined : only;
  },
};
const invoke: Shape = {
  keys: { src: text, id: text, input: anything, onDone: transition, onError: transition },
  required: ['src'],
};
const stateKeys = {
  type: kind,
  initial: text,
  description: text,
  tags: texts,
  meta: { keys: { backends: { map: texts } } },
  states: { map: { later: () => state } },
  on: { map: transition },
  after: { map: transition },
  always: transition,
  invoke,
  entry: actions,
  exit: actions,
} as const satisfies Record<string, Shape>;
const state: Shape = { keys: stateKeys };
const machine: Shape = { keys: { $schema: text, id: text, version: text, ...stateKeys }, required: ['id', 'states'] };

function isNamed(value: unknown): boolean {
  return typeof value === 'string' || (typeof value === 'object' && value !== null && 'type' in value);
}

/** Keys and kinds of values: a misspelt key is silently nothing to XState. */
export function checkShape(definition: unknown): readonly CheckFinding[] {
  const findings: CheckFinding[] = [];
  checkValue(definition, machine, '', findings);
  return findings;
}

function checkValue(value: unknown, shape: Shape, path: string, findings: CheckFinding[]): void {
  if ('later' in shape) return checkValue(value, shape.later(), path, findings);
  if ('is' in shape) {
    if (!shape.is(value))
      findings.push({ code: 'wrong-kind', path, message: `must be ${shape.words}, ${found(value, shape.fix)}` });
    return;
  }
  if ('either' in shape) {
    const [first, second] = shape.either;
    const tried: CheckFinding[] = [];
    checkValue(value, first, path, tried);
    if (tried.length > 0) checkValue(value, second, path, findings);
    return;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const fix = 'keys' in shape ? shape.fix : undefined;
    findings.push({ code: 'wrong-kind', path, message: `must be an object, ${found(value, fix)}` });
    return;
  }
  const join = (key: string): string => (path === '' ? key : `${path}.${key}`);
  if ('map' in shape) {
    for (const [key, child] of Object.entries(value)) checkValue(child, shape.map, join(key), findings);
    return;
  }
  for (const key of shape.required ?? []) {
    if (!Object.hasOwn(value, key)) findings.push({ code: 'missing-key', path, message: `"${key}" is missing` });
  }
  for (const [key, child] of Object.entries(value)) {
    const known = Object.hasOwn(shape.keys, key) ? shape.keys[key] : undefined;
    if (known) {
      checkValue(child, known, join(key), findings);
      continue;
    }
    const near = suggest(key, Object.keys(shape.keys));
    const hint = near ? ` (did you mean "${near}"?)` : `; known are ${Object.keys(shape.keys).join(', ')}`;
    findings.push({ code: 'unknown-key', path: join(key), message: `unknown key "${key}"${hint}` });
  }
}

function found(value: unknown, fix: Fix | undefined): string {
  const better = fix?.(value);
  return `found ${show(value)}${better === undefined ? '' : `; write ${JSON.stringify(better)}`}`;
}

function show(value: unknown): string {
  const shown = JSON.stringify(value) ?? typeof value;
  return shown.length > 60 ? `${shown.slice(0, 57)}…` : shown;
}
