import type { SessionData } from 'express-session';

import type { Clock } from '../../core/clock.ts';
import { RedoubtError, isRedoubtError } from '../../core/errors.ts';
import type { Logger } from '../../observe/log.ts';
import { type Joined, mergeSessions } from './merge.ts';
import type { Counts } from './notice.ts';
import { type SessionRecord, lifeMsOf, recordId } from './record.ts';
import type { SessionRecords } from './records.ts';
import type { Resealer } from './reseal.ts';
import type { Sealer } from './seal.ts';
import type { Origin, SessionVault } from './store.ts';

export interface VaultOptions {
  readonly records: SessionRecords;
  readonly sealer: Sealer;
  readonly counts: Counts;
  readonly clock: Clock;
  readonly log: Logger;
  /** Life of a session whose cookie has no end of its own. */
  readonly ttlMs: number;
  /** What becomes of a change whose session another request changed meanwhile. */
  readonly conflict: 'latest' | 'merge' | 'reject';
  /** Keys whose changes are never overwritten, not even with `latest`. */
  readonly conflictKeys: readonly string[];
  readonly resealer: Resealer;
}

/** A session out of the store, opened. */
export interface Opened {
  readonly data: SessionData;
  readonly origin: Origin;
  /** Somebody is about to give it back to the store that it came from; until then it is as good as any. */
  readonly isMoving: boolean;
}

/** What a record holds in the place of a session that was given back: sealed as any content, and never JSON. */
export const MOVED = 'moved';
/** Stands before the content of a session that is about to be given back. */
export const MOVING = 'moving:';

/** The vault step by step, for whoever has something to decide between the steps. */
export interface SealedVault extends SessionVault {
  /** A tombstone too. @throws {RedoubtError} `ERR_SESSION_UNKNOWN` */
  find(sid: string): Promise<SessionRecord | undefined>;
  /** `undefined` for a tombstone and for what opens under no secret. */
  open(sid: string, found: SessionRecord): Opened | typeof MOVED | undefined;
  /**
   * Writes the version after `base`, but over nothing newer and over no tombstone.
   *
   * @param text - JSON of `data`, also after `MOVING`, or `MOVED`
   * @returns whether nothing newer was there
   * @throws {RedoubtError} `ERR_SESSION_NOT_SAVED`
   */
  replace(sid: string, base: number, text: string, data: SessionData): Promise<boolean>;
}

/** One warning for all failures to open within this time: a wrong secret makes every request fail. */
const BURST_MS = 60_000;

/** Sessions in the clear on one side, sealed records under hashed ids on the other. */
export function createVault(options: VaultOptions): SealedVault {
  const { records, sealer, counts, clock, log, ttlMs, conflict, conflictKeys, resealer } = options;
  let quietUntil = 0;
  const lifeOf = (data: SessionData): number => lifeMsOf(data, ttlMs, clock.wallNow());
  const countFailure = (): void => {
    counts.openFailures += 1;
    if (clock.now() < quietUntil) return;
    quietUntil = clock.now() + BURST_MS;
    log.warn(
      { openFailures: counts.openFailures },
      'A stored session does not open under any SESSION_SECRET and is treated as none',
    );
  };

  const mayOverwrite = (key: string): boolean => conflict === 'latest' && !conflictKeys.includes(key);

  /** What both made of it; `undefined` where nobody changed it. */
  const join = (sid: string, base: string, data: SessionData, { box }: SessionRecord): Joined | undefined => {
    const theirs = box === null ? undefined : contentOf(sealer.open(sid, box));
    // Sealed anew under another secret, and otherwise what this request read.
    if (theirs === base) return undefined;
    if (conflict === 'reject' || theirs === undefined || theirs === MOVED) return refuse();
    const joined = mergeSessions(
      JSON.parse(base) as SessionData,
      data,
      JSON.parse(theirs) as SessionData,
      mayOverwrite,
    );
    if ('refused' in joined) return refuse({ key: joined.refused });
    return joined;
  };

  const refuse = (details: { readonly key?: string } = {}): never => {
    counts.rejected += 1;
    throw new RedoubtError('ERR_SESSION_CONFLICT', details);
  };

  const find = (sid: string): Promise<SessionRecord | undefined> => records.read(recordId(sid));

  const openAs = (id: string, sid: string, found: SessionRecord): Opened | typeof MOVED | undefined => {
    const { version, box } = found;
    if (box === null) return undefined;
    const opened = sealer.open(sid, box);
    const text = contentOf(opened);
    if (text === undefined) return void countFailure();
    if (text === MOVED) return MOVED;
    const data = JSON.parse(text) as SessionData;
    // Saved with no life left, as `cookie.maxAge = 0` asks for: other stores end it then. `false` is for ever, as null.
    const maxAge = (data.cookie as SessionData['cookie'] | undefined)?.originalMaxAge;
    if (typeof maxAge === 'number' && maxAge <= 0) return undefined;
    records.keep(id, found, lifeOf(data));
    if (!sealer.isCurrent(box)) resealer.note(sid, () => reseal(sid));
    return { data, origin: { version, text }, isMoving: text !== opened };
  };

  const replace = async (sid: string, base: number, text: string, data: SessionData): Promise<boolean> => {
    const change = {
      base,
      box: sealer.seal(sid, text),
      lifeMs: lifeOf(data),
      rebase: giveWay,
      afterEnd: 'refused',
    } as const;
    try {
      await records.write(recordId(sid), change);
      return true;
    } catch (error) {
      if (isRedoubtError(error, 'ERR_SESSION_CONFLICT')) return false;
      throw error;
    }
  };

  /** Looks again, since the request that noticed may have written it meanwhile. */
  const reseal = async (sid: string): Promise<void> => {
    const found = await find(sid);
    if (!found?.box || sealer.isCurrent(found.box)) return;
    const text = sealer.open(sid, found.box);
    if (text === undefined || text === MOVED || text.startsWith(MOVING)) return;
    if (await replace(sid, found.version, text, JSON.parse(text) as SessionData)) counts.resealed += 1;
  };

  return {
    find,
    open: (sid, found) => openAs(recordId(sid), sid, found),
    replace,
    async read(sid) {
      const id = recordId(sid);
      const found = await records.read(id);
      const opened = found && openAs(id, sid, found);
      return opened === MOVED ? undefined : opened;
    },
    async write(sid, origin, mine, data) {
      let text = mine;
      let joined: Joined | undefined;
      const version = await records.write(recordId(sid), {
        base: origin?.version,
        box: sealer.seal(sid, mine),
        lifeMs: lifeOf(data),
        // As if it had come just before the logout; who wants to know of every lost change hears that it did not.
        afterEnd: conflict === 'latest' ? 'dropped' : 'refused',
        rebase: (theirs) => {
          joined = join(sid, origin?.text ?? '{}', JSON.parse(mine) as SessionData, theirs);
          text = joined ? JSON.stringify(joined.data) : mine;
          return sealer.seal(sid, text);
        },
      });
      // Once, however often it was joined before it got through.
      if (joined) counts.merged += 1;
      counts.overwritten += joined?.overwritten.length ?? 0;
      return { version, text };
    },
    destroy: (sid) => records.destroy(recordId(sid)),
    touch: (sid, data) => records.touch(recordId(sid), lifeOf(data)),
    count: () => records.count(),
  };
}

function contentOf(text: string | undefined): string | undefined {
  return text?.startsWith(MOVING) ? text.slice(MOVING.length) : text;
}

/** What moves a session or seals it anew has nothing of its own to keep. */
function giveWay(): never {
  throw new RedoubtError('ERR_SESSION_CONFLICT');
}
