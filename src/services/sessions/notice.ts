import type { Mode } from '../../core/mode.ts';

/** Whose acknowledgement makes a session safe: Redis only where no PostgreSQL is configured. */
export type Truth = 'postgres' | 'redis';

/** What the service counts; every field only grows. */
export type Counts = ReturnType<typeof createCounts>;

/** All counts at zero. */
export function createCounts() {
  return {
    readsRedis: 0,
    readsPostgres: 0,
    readsMemory: 0,
    writes: 0,
    destroys: 0,
    touches: 0,
    /** Writes that met a newer one of another request, or a logout. */
    conflicts: 0,
    /** Of these, those that were joined with it. */
    merged: 0,
    /** Keys of these in which the later request replaced what the other one had stored. */
    overwritten: 0,
    /** Of these, those that were answered 409. */
    rejected: 0,
    /** Cookies that nobody could look up. */
    unknown: 0,
    notSaved: 0,
    /** Stored sessions that open under no secret. */
    openFailures: 0,
    /** Answers of Redis that were older than what this process knew. */
    staleRedis: 0,
    replayed: 0,
    /** Plaintext sessions that were sealed. */
    adopted: 0,
    /** Sealed sessions that were given back as plaintext. */
    givenBack: 0,
    /** Sessions that were sealed anew, under the first secret. */
    resealed: 0,
    /** Writes that found the journal full. */
    journalRefused: 0,
  };
}

export interface NoticeFacts {
  readonly mode: Mode | undefined;
  readonly truth: Truth;
  readonly journal: { readonly size: number; readonly unshared: number };
  /** How often the journal was full. */
  readonly refused: number;
  /** This instance cannot bring its writes to Redis. */
  readonly blind: boolean;
  /** How many others cannot. */
  readonly blindPeers: number;
}

/** The one sentence for people when sessions are less safe than they should be; `undefined` when all is well. */
export function noticeOf({ mode, truth, journal, refused, blind, blindPeers }: NoticeFacts): string | undefined {
  if (mode === undefined) return undefined;
  const { size, unshared } = journal;
  if (mode.backend === 'memory' && mode.preferred !== 'memory') {
    const gone = truth === 'redis' ? 'Redis is out of use' : 'Redis and PostgreSQL are out of use';
    return `${gone}: sessions live sealed in this process; ${unshared} changed ones are lost if it ends, and a cookie it does not know gets 503.`;
  }
  // All that was ever meant to be: nothing waits, and nothing else is to be said.
  if (mode.preferred === 'memory') return undefined;
  if (refused > 0 && size > 0) {
    return `The journal was full ${refused} times: some changes are in Redis alone and are lost if Redis loses them.`;
  }
  if (truth === 'postgres' && !mode.usable.includes('postgres')) {
    return `PostgreSQL is out of use: sessions live in Redis, and ${size} changed ones wait to be replayed.`;
  }
  if (size > 0) {
    return `${size} changed sessions wait to be replayed; ${unshared} of them are held by this process alone.`;
  }
  if (mode.backend !== 'redis') return undefined;
  if (blind) return 'A write did not reach Redis: sessions are read from PostgreSQL until one does.';
  return blindPeers > 0
    ? `${blindPeers} other instances cannot reach Redis: sessions are read from PostgreSQL until they can.`
    : undefined;
}
