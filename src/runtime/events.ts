import type { Reason } from '../core/mode.ts';

/**
 * Every event that a machine may be written for, with who sends it and when. The check refuses
 * others, since XState waits for a misspelt one for ever, in silence.
 */
export const EVENTS = {
  'probe.passed': 'A full probe passed, quickly. Carries `count`, the consecutive passes.',
  'probe.slowed': 'A full probe passed, but took longer than detect.slowCall. Carries `count`.',
  'probe.failed': 'A probe found the dependency unreachable. Carries `count`, the consecutive failures.',
  'probe.refused': 'A probe was refused: password, rights, TLS or room for clients.',
  'probe.writeRefused': 'A probe could read but not write.',
  'redis.lost': 'A connection to Redis broke or a call failed hard, and the confirming probe failed too.',
  'postgres.lost': 'The same for PostgreSQL.',
  'calls.failing': 'The share of failed calls in the window reached detect.failureRatio.',
  'calls.slow': 'The share of slow calls in the window reached detect.slowCallRatio.',
  'dependency.disabled': 'The configuration names no such dependency.',
  'operator.isolate': 'An operator takes the dependency out of use.',
  'operator.release': 'An operator lets it be used again.',
} as const;

/** The events that carry `count`; a guard that asks for one is false on all others. */
export const COUNTED_EVENTS: readonly string[] = [
  'probe.passed',
  'probe.slowed',
  'probe.failed',
] satisfies (keyof typeof EVENTS)[];

/** The type of an event: one of Redoubt's own, or one that an extension has declared. */
export type EventType = keyof typeof EVENTS | (string & {});

/** An event as the machine gets it; guards read its facts. */
export interface MachineEvent {
  readonly type: EventType;
  readonly reason?: Reason;
  /** Consecutive probes of this kind. */
  readonly count?: number;
  /** Milliseconds for which hold-down still forbids a recovery. */
  readonly heldMs?: number;
}

/** The events that `POST /v1/machines/:id/events` takes. */
export const OPERATOR_EVENTS: readonly string[] = [
  'operator.isolate',
  'operator.release',
] satisfies (keyof typeof EVENTS)[];

/** Tags that mean something to the runtime. */
export const TAGS = {
  usable: 'The dependency may be used by every service; health says up.',
  degraded: 'Health says degraded.',
  recovering: 'Its clients stay connected while both sides are reconciled.',
  patient: 'It is probed ever more slowly, up to probe.refusedBackoffMax.',
  unprobed: 'It is not probed at all.',
  disabled: 'None is configured; the one kind of state that needs no way back.',
} as const;
