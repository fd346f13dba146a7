import type { Reason } from '../core/mode.ts';

/** Sentences for the codes of drivers and servers; driver texts stay out, they carry hosts and users. */
const SENTENCES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'The connection was refused: nothing listens there',
  ECONNRESET: 'The connection was reset',
  EPIPE: 'The connection was reset',
  EHOSTUNREACH: 'The host cannot be reached',
  ENETUNREACH: 'The network cannot be reached',
  ETIMEDOUT: 'The connection attempt was not answered',
  ENOTFOUND: 'The host name is not known',
  EAI_AGAIN: 'The host name cannot be resolved at the moment',
  TIMEOUT: 'It did not answer within the deadline',
  CONNECTION_CLOSED: 'The connection was closed',
  NOT_CONNECTED: 'There is no connection',
  LOADING: 'Redis is loading its data',
  MASTERDOWN: 'The replica has lost its master, or the read-back differed',
  CLUSTERDOWN: 'The cluster does not serve its slots',
  MOVED: 'It is a node of Redis Cluster, which is not supported',
  CROSSSLOT: 'It is a node of Redis Cluster, which is not supported',
  BUSY: 'Redis is busy with a script',
  READONLY: 'Writes are refused: it is a read-only replica',
  OOM: 'Writes are refused: its memory is full',
  MISCONF: 'Writes are refused: it cannot save its data to disk',
  NOREPLICAS: 'Writes are refused: too few replicas are connected',
  NOAUTH: 'It asks for a password, and none is configured',
  WRONGPASS: 'The password was refused',
  AUTH: 'The password was refused',
  NOPERM: 'The user lacks rights that Redoubt needs',
  DENIED: 'Redis is in protected mode',
  MAXCLIENTS: 'It has no room for another client',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'The TLS certificate is self-signed',
  CERT_HAS_EXPIRED: 'The TLS certificate has expired',
  '28P01': 'The password was refused',
  '28000': 'The user was refused',
  '3D000': 'The database does not exist',
  '57P01': 'The server was stopped by its administrator',
  '57P03': 'The server is starting up or shutting down',
  '53300': 'It has no room for another connection',
  '25006': 'Writes are refused: it is a read-only standby',
  READ_ONLY: 'Writes are refused: it is read-only',
  EMBEDDED_CRASHED: 'The embedded PostgreSQL ended and is started again',
  EMBEDDED_STARTING: 'The embedded PostgreSQL is starting',
  ERR_EMBEDDED_LOCKED: 'Another process uses the directory of the embedded PostgreSQL',
};

/** The reason for a driver's or server's code, in words. */
export function reasonFor(code: string): Reason {
  return { code, message: SENTENCES[code] ?? 'It cannot be used' };
}

/**
 * The name of an event for people and metrics: XState's own names carry its internals.
 *
 * `xstate.after.connectTimeout.redis.connecting` → `after.connectTimeout`, the end of `reconcile` →
 * `reconcile.finished` or `reconcile.failed`; every other one is its own.
 */
export function eventName(type: string): string {
  if (type.startsWith('xstate.after.')) return `after.${type.split('.')[2] ?? ''}`;
  if (type.startsWith('xstate.done.')) return 'reconcile.finished';
  if (type.startsWith('xstate.error.')) return 'reconcile.failed';
  return type;
}

/** The reason of a transition that no backend gave one for. */
export function reasonOfEvent(type: string): Reason {
  const name = eventName(type);
  if (name.startsWith('after.')) return { code: name, message: `The delay ${name.slice('after.'.length)} ran out` };
  if (type === 'xstate.init') return { code: 'started', message: 'The process has just started' };
  return EVENTS[name] ?? { code: name, message: `The event ${name} came` };
}

const EVENTS: Readonly<Record<string, Reason>> = {
  'calls.failing': { code: 'calls.failing', message: 'Too many calls failed although probes pass' },
  'calls.slow': { code: 'calls.slow', message: 'Too many calls were slow' },
  'probe.slowed': { code: 'probe.slowed', message: 'It answers probes, but too slowly' },
  'probe.passed': { code: 'probe.passed', message: 'It answers probes again' },
  'reconcile.finished': { code: 'reconciled', message: 'It answers again and both sides agree' },
  'reconcile.failed': { code: 'reconcileFailed', message: 'It answered, but could not be reconciled' },
  'operator.isolate': { code: 'operator.isolate', message: 'An operator isolated it' },
  'operator.release': { code: 'operator.release', message: 'An operator released it' },
  'definition.reloaded': { code: 'reloaded', message: 'A new definition came that does not have the state before' },
  'dependency.disabled': { code: 'disabled', message: 'None is configured' },
};
