/**
 * What a call to a backend showed about the backend, never about the caller:
 *
 * - `ok`: answered.
 * - `application`: refused for a mistake of the application's (WRONGTYPE, a unique violation).
 *   The backend is well; it never counts against it.
 * - `timeout`: no answer within the deadline.
 * - `lost`: the connection broke, or the backend says that it cannot serve (LOADING, CLUSTERDOWN).
 * - `writeRefused`: reads work, writes are refused (OOM, READONLY, MISCONF).
 * - `refused`: password, ACL or TLS; nothing but a changed configuration helps.
 */
export type OutcomeKind = 'ok' | 'application' | 'timeout' | 'lost' | 'writeRefused' | 'refused';

export interface Outcome {
  readonly kind: OutcomeKind;
  readonly durationMs: number;
  /** Our own event loop was blocked meanwhile: the sample says nothing and is voided. */
  readonly voided: boolean;
  /** Stable, without driver text: `ECONNREFUSED`, `LOADING`, `57P03`. */
  readonly code?: string;
}

/** Takes the outcome of every call; never throws, never waits. */
export type Observe = (outcome: Outcome) => void;
