import { classifyPostgresError } from '../../backends/postgres-errors.ts';
import { classifyRedisError } from '../../backends/redis-errors.ts';
import { RedoubtError } from '../../core/errors.ts';
import type { OutcomeKind } from '../../core/outcome.ts';

/** Sorts a simulated error with the classifier of the real backend. */
export function classify(error: unknown, postgres: boolean): { readonly kind: OutcomeKind; readonly code: string } {
  return postgres ? classifyPostgresError(error) : classifyRedisError(error);
}

/**
 * An error as the driver would have thrown it for this code, so that the product's own classifier
 * decides what it means.
 */
export function errorOf(code: string, postgres: boolean): Error {
  if (code === 'TIMEOUT') return new RedoubtError('ERR_DEADLINE', { operation: 'simulated' });
  if (code === 'CONNECTION_CLOSED') return new Error('Connection is closed.');
  if (code === 'NOT_CONNECTED') return new Error("Stream isn't writeable and enableOfflineQueue options is false");
  if (postgres && /^[0-9][0-9A-Z]{4}$/.test(code)) {
    return Object.assign(new Error('simulated'), { code, severity: 'FATAL' });
  }
  if (/^(E[A-Z_]+|CERT_.*|DEPTH_ZERO.*|SELF_SIGNED.*|UNABLE_TO_.*)$/.test(code)) {
    return Object.assign(new Error('simulated'), { code });
  }
  const reply = code === 'MAXCLIENTS' ? 'ERR max number of clients reached' : code === 'AUTH' ? 'ERR AUTH' : code;
  return Object.assign(new Error(`${reply} simulated`), { name: 'ReplyError' });
}
