import { isRedoubtError } from '../core/errors.ts';
import type { OutcomeKind } from '../core/outcome.ts';

/** What an error of ioredis or of Redis says about Redis; `code` is stable and carries no driver text. */
export interface Classified {
  readonly kind: Exclude<OutcomeKind, 'ok'>;
  readonly code: string;
}

/** Redis' error prefixes that are about Redis and not about the command; every other one is the application's. */
const REPLIES: Readonly<Record<string, Exclude<OutcomeKind, 'ok'>>> = {
  LOADING: 'lost',
  MASTERDOWN: 'lost',
  CLUSTERDOWN: 'lost',
  BUSY: 'lost',
  UNBLOCKED: 'lost',
  READONLY: 'writeRefused',
  OOM: 'writeRefused',
  MISCONF: 'writeRefused',
  NOREPLICAS: 'writeRefused',
  NOAUTH: 'refused',
  WRONGPASS: 'refused',
  NOPERM: 'refused',
  DENIED: 'refused',
  NOPROTO: 'refused',
  MOVED: 'refused',
  CROSSSLOT: 'refused',
};

const TLS_CODE = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_OSSL|EPROTO)/;

/**
 * Sorts an error by what it says about Redis. Texts are only looked at to find the code; they can
 * carry hosts and keys, so they go nowhere.
 */
export function classifyRedisError(error: unknown): Classified {
  if (isRedoubtError(error, 'ERR_DEADLINE')) return { kind: 'timeout', code: 'TIMEOUT' };
  if (!(error instanceof Error)) return { kind: 'lost', code: 'UNKNOWN' };
  if (isRedoubtError(error, 'ERR_REDIS_REPLY')) return { kind: 'application', code: error.code };
  if (error.name === 'ReplyError') return classifyReply(error.message);
  const { code } = error as NodeJS.ErrnoException;
  if (typeof code === 'string') return { kind: TLS_CODE.test(code) ? 'refused' : 'lost', code };
  if (error.message.includes('Connection is closed') || error.name === 'AbortError') {
    return { kind: 'lost', code: 'CONNECTION_CLOSED' };
  }
  if (/wasn't|isn't writeable|not writable/.test(error.message)) return { kind: 'lost', code: 'NOT_CONNECTED' };
  // Whatever is left was thrown by the caller's own code around the command.
  return { kind: 'application', code: error.name };
}

function classifyReply(message: string): Classified {
  if (message.startsWith('ERR max number of clients')) return { kind: 'refused', code: 'MAXCLIENTS' };
  if (message.startsWith('ERR AUTH') || message.includes('invalid password')) return { kind: 'refused', code: 'AUTH' };
  const code = /^-?([A-Z]+)\b/.exec(message)?.[1] ?? 'ERR';
  return { kind: REPLIES[code] ?? 'application', code };
}
