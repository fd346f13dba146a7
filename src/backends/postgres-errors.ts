import { RedoubtError, isRedoubtError } from '../core/errors.ts';
import type { OutcomeKind } from '../core/outcome.ts';

/** What an error says about PostgreSQL; `code` is stable and carries no driver text. */
export interface PostgresFault {
  readonly kind: Exclude<OutcomeKind, 'ok'>;
  readonly code: string;
}

/** SQLSTATEs, or their first two characters, that are about the server and not about the statement. */
const SQLSTATES: Readonly<Record<string, PostgresFault['kind']>> = {
  '08': 'lost', // connection exceptions
  '28': 'refused', // password, role, pg_hba.conf
  '3D000': 'refused', // the database of the URL does not exist: configuration
  '25006': 'writeRefused', // read-only transaction: a standby
  '25P03': 'lost', // idle-in-transaction timeout: the connection is gone
  '53100': 'writeRefused', // disk full
  '53200': 'writeRefused', // out of memory
  '53300': 'lost', // too many connections
  '57014': 'timeout', // statement_timeout
  '57P01': 'lost', // administrator shutdown
  '57P02': 'lost', // crash shutdown
  '57P03': 'lost', // starting up
  '57P04': 'lost', // the database was dropped
  '57P05': 'lost', // idle-session timeout
  '58030': 'writeRefused', // I/O error
};

const TLS_CODE = /^(ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|EPROTO)/;

/** The SQLSTATE of a PostgreSQL error; `undefined` where the server itself said nothing. */
export function sqlStateOf(error: unknown): string | undefined {
  // A severity tells the server's errors from Node's: EPIPE has five capitals too.
  const { code, severity } = (error ?? {}) as { code?: unknown; severity?: unknown };
  return typeof severity === 'string' && typeof code === 'string' ? code : undefined;
}

/** Sorts an error by what it says about PostgreSQL. Texts are only looked at to find the code; they go nowhere. */
export function classifyPostgresError(error: unknown): PostgresFault {
  if (isRedoubtError(error)) return classifyOwn(error);
  if (!(error instanceof Error)) return { kind: 'lost', code: 'UNKNOWN' };
  const state = sqlStateOf(error);
  if (state !== undefined) {
    return { kind: SQLSTATES[state] ?? SQLSTATES[state.slice(0, 2)] ?? 'application', code: state };
  }
  const { code } = error as NodeJS.ErrnoException;
  if (typeof code === 'string' && TLS_CODE.test(code)) return { kind: 'refused', code };
  // node-postgres gives its own errors no code.
  if (/\bSSL\b/.test(error.message)) return { kind: 'refused', code: 'TLS' };
  if (error.message.startsWith('SASL')) return { kind: 'refused', code: 'SASL' };
  if (typeof code === 'string') return { kind: 'lost', code };
  if (/timeout/i.test(error.message)) return { kind: 'timeout', code: 'CONNECT_TIMEOUT' };
  if (/connection|client/i.test(error.message)) return { kind: 'lost', code: 'CONNECTION_CLOSED' };
  // Whatever is left was thrown while the caller's own values were prepared.
  return { kind: 'application', code: error.name };
}

/**
 * The error that a caller gets for `error`: without the driver's text, which can carry hosts, roles
 * and values; the driver's error is the cause.
 *
 * @param sent - whether the statement had left for the server, so that it may have been executed
 */
export function toPostgresError(error: unknown, sent: boolean): RedoubtError {
  if (isRedoubtError(error)) return error;
  const { kind, code } = classifyPostgresError(error);
  const cause = { cause: error };
  if (kind === 'application') return new RedoubtError('ERR_POSTGRES_REPLY', { reply: code }, cause);
  if (kind === 'timeout') return new RedoubtError('ERR_DEADLINE', { operation: 'postgres', reason: code }, cause);
  return new RedoubtError('ERR_POSTGRES_UNAVAILABLE', { reason: code, executed: sent ? 'unknown' : 'no' }, cause);
}

function classifyOwn(error: RedoubtError): PostgresFault {
  if (error.code === 'ERR_DEADLINE') return { kind: 'timeout', code: 'TIMEOUT' };
  if (error.code === 'ERR_POSTGRES_REPLY') return { kind: 'application', code: String(error.details['reply']) };
  const { reason } = error.details;
  const code = typeof reason === 'string' ? reason : error.code;
  return { kind: code === READ_ONLY ? 'writeRefused' : 'lost', code };
}

/** The reason of the probe's own error when a server answers that takes no writes. */
export const READ_ONLY = 'READ_ONLY';
