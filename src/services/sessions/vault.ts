import type { SessionData } from 'express-session';

import type { Clock } from '../../core/clock.ts';
import { RedoubtError } from '../../core/errors.ts';
import type { Logger } from '../../observe/log.ts';
import { mergeSessions } from './merge.ts';
import type { Counts } from './notice.ts';
import { type SessionRecord, lifeMsOf, recordId } from './record.ts';
import type { SessionRecords } from './records.ts';
import type { Sealer } from './seal.ts';
import type { SessionVault } from './store.ts';

export interface VaultOptions {
  readonly records: SessionRecords;
  readonly sealer: Sealer;
  readonly counts: Counts;
  readonly clock: Clock;
  readonly log: Logger;
  /** Life of a session whose cookie has no end of its own. */
  readonly ttlMs: number;
  /** What becomes of a change whose session another request changed meanwhile. */
  readonly conflict: 'merge' | 'reject';
}

/** One warning for all failures to open within this time: a wrong secret makes every request fail. */
const BURST_MS = 60_000;

/** Sessions in the clear on one side, sealed records under hashed ids on the other. */
export function createVault({ records, sealer, counts, clock, log, ttlMs, conflict }: VaultOptions): SessionVault {
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

  /** What both made of it, as text. */
  const join = (sid: string, base: string, data: SessionData, { box }: SessionRecord): string => {
    const theirs = conflict === 'merge' && box !== null ? sealer.open(sid, box) : undefined;
    const merged = theirs && mergeSessions(JSON.parse(base) as SessionData, data, JSON.parse(theirs) as SessionData);
    if (!merged) {
      counts.rejected += 1;
      throw new RedoubtError('ERR_SESSION_CONFLICT');
    }
    counts.merged += 1;
    return JSON.stringify(merged);
  };

  return {
    async read(sid) {
      const id = recordId(sid);
      const found = await records.read(id);
      if (found === undefined || found.box === null) return undefined;
      const text = sealer.open(sid, found.box);
      if (text === undefined) return void countFailure();
      const data = JSON.parse(text) as SessionData;
      records.keep(id, found, lifeOf(data));
      return { data, origin: { version: found.version, text } };
    },
    async write(sid, origin, data) {
      let text = JSON.stringify(data);
      const mine = text;
      const version = await records.write(recordId(sid), {
        base: origin?.version,
        box: sealer.seal(sid, text),
        lifeMs: lifeOf(data),
        rebase: (theirs) => {
          text = join(sid, origin?.text ?? '{}', JSON.parse(mine) as SessionData, theirs);
          return sealer.seal(sid, text);
        },
      });
      return { version, text };
    },
    destroy: (sid) => records.destroy(recordId(sid)),
    touch: (sid, data) => records.touch(recordId(sid), lifeOf(data)),
  };
}
