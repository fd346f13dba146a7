import type { SessionData } from 'express-session';

import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../observe/log.ts';
import type { Counts } from './notice.ts';
import { lifeMsOf, recordId } from './record.ts';
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
}

/** One warning for all failures to open within this time: a wrong secret makes every request fail. */
const BURST_MS = 60_000;

/** Sessions in the clear on one side, sealed records under hashed ids on the other. */
export function createVault({ records, sealer, counts, clock, log, ttlMs }: VaultOptions): SessionVault {
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

  return {
    async read(sid) {
      const id = recordId(sid);
      const found = await records.read(id);
      if (found === undefined || found.record.box === null) return undefined;
      const text = sealer.open(sid, found.record.box);
      if (text === undefined) return void countFailure();
      const data = JSON.parse(text) as SessionData;
      records.settleRead(id, found, lifeOf(data));
      return { data, version: found.record.version };
    },
    write: (sid, base, data) =>
      records.write(recordId(sid), base, sealer.seal(sid, JSON.stringify(data)), lifeOf(data)),
    destroy: (sid) => records.destroy(recordId(sid)),
    touch: (sid, data) => records.touch(recordId(sid), lifeOf(data)),
  };
}
