import { formatDuration } from '../core/format.ts';
import type { NamedRef, TransitionDefinition } from '../runtime/types.ts';
import type { Vocabulary } from '../runtime/vocabulary.ts';

/** The numbers that the configuration gives to the names of a definition. */
export type Numbers = Pick<Vocabulary, 'delays' | 'policies'>;

/** What sets a transition off; `name` is the event, the delay or the actor, empty for `always`. */
export interface Trigger {
  readonly kind: 'event' | 'after' | 'always' | 'done' | 'failed';
  readonly name: string;
}

/**
 * What is written on an arrow: `probe.passed [recoverable successesToRecover=2] / announce`.
 *
 * @param numbers - absent: names alone, without parameters, numbers and actions
 */
export function labelOf(trigger: Trigger, { guard, actions }: TransitionDefinition, numbers?: Numbers): string {
  const parts = [triggerText(trigger, numbers)];
  if (guard !== undefined) parts.push(`[${guardText(guard, numbers)}]`);
  const names = numbers ? actionNames(actions) : [];
  if (names.length > 0) parts.push(`/ ${names.join(', ')}`);
  return parts.join(' ');
}

/** The name under which a guard or action is registered. */
export function nameOf(ref: NamedRef): string {
  return typeof ref === 'string' ? ref : ref.type;
}

/** The names of the actions of a transition, an entry or an exit. */
export function actionNames(actions: NamedRef | readonly NamedRef[] | undefined): string[] {
  if (actions === undefined) return [];
  return (isList(actions) ? actions : [actions]).map(nameOf);
}

/** Milliseconds of a delay: the configuration's, or the name itself where it is a number. */
export function delayMsOf(name: string, { delays }: Numbers): number | undefined {
  const known = Object.hasOwn(delays, name) ? delays[name]?.value : undefined;
  return known ?? (/^\d+$/.test(name) ? Number(name) : undefined);
}

function triggerText({ kind, name }: Trigger, numbers: Numbers | undefined): string {
  if (kind === 'event') return name;
  if (kind === 'always') return 'always';
  const ms = kind === 'after' && numbers ? delayMsOf(name, numbers) : undefined;
  if (ms === undefined) return `${kind} ${name}`;
  return name === String(ms) ? `after ${formatDuration(ms)}` : `after ${name} (${formatDuration(ms)})`;
}

function guardText(guard: NamedRef, numbers: Numbers | undefined): string {
  const params = typeof guard === 'string' || !numbers ? [] : Object.entries(guard.params ?? {});
  return [nameOf(guard), ...params.map(([name, value]) => paramText(name, value, numbers))].join(' ');
}

/** A policy says its own name and its number, anything else what the file says. */
function paramText(name: string, value: unknown, numbers: Numbers | undefined): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const known = name === 'policy' && numbers && Object.hasOwn(numbers.policies, text);
  return known ? `${text}=${numbers.policies[text]?.value}` : `${name}=${text}`;
}

function isList(actions: NamedRef | readonly NamedRef[]): actions is readonly NamedRef[] {
  return Array.isArray(actions);
}
