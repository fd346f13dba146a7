// The protocol.
//
// Sessions that connect-pg-simple or connect-redis keep in the clear move in, and back, one at a time as their
// cookies are presented: their ids lie nowhere but in the cookies. A session has one home at a time, and the
// record under the hash of its id says which:
//
//   no record    in the clear, if anywhere
//   moved        in the clear: it was sealed, and was given back
//   moving       sealed, as content; one server is about to give it back
//   content      sealed; whatever lies in the clear under its id is not looked at
//   tombstone    ended, whatever lies in the clear
//
// Adopting     Read in the clear, written as the version after the record's by compare-and-set. Of two instances one
//              wins, and both go on with what the record says then. Only after that the winner removes the plaintext,
//              if it is still the same; one that stays, or that an old server writes again, is never looked at.
// Giving back  While servers without Redoubt run beside this one (`share`): the record becomes `moving` by
//              compare-and-set, so that only one server writes the session in the clear, with a mark of its own; then
//              the record becomes `moved`. From then on all servers read and write the same place, in the way of that
//              place: of two requests that change one session, the later wins. New servers that share and new ones
//              that adopt may meet in one session: the mark keeps a late removal from what was given back after it.
// Ending       A tombstone first, then the plaintext is removed: no old server brings it back to this one.
//
// Only a definite answer is acted upon. Where the record's home or any opened place is silent, the answer is
// ERR_SESSION_UNKNOWN: a session is neither taken for missing, nor for alive after a logout that cannot be seen.

import { LRUCache } from 'lru-cache';
import type { SessionData } from 'express-session';

import { RedoubtError } from '../../core/errors.ts';
import { SingleFlight } from '../../core/single-flight.ts';
import type { Counts } from './notice.ts';
import type { PlainSession, PlainSessions } from './plain.ts';
import { type PlainPlace, withMark } from './plain-places.ts';
import { touchPauseMs } from './record.ts';
import type { Origin, SessionVault } from './store.ts';
import { MOVED, MOVING, type Opened, type SealedVault } from './vault.ts';

/** Each one that is lost means that another instance moved this session. */
const TRIES = 8;

/** `MOVED` where the session was moved meanwhile: its record must be read again. */
type Seen = Opened | typeof MOVED | undefined;

export interface AdoptingOptions {
  readonly vault: SealedVault;
  readonly plain: PlainSessions;
  readonly counts: Counts;
  readonly now: () => number;
  readonly touchEveryMs: number;
  /** Most ids whose last touch is remembered. */
  readonly touchMax: number;
  readonly retryAfterMs: number;
}

/** The vault with a window to the sessions in the clear; the protocol stands at the top of this file. */
export class AdoptingVault implements SessionVault {
  readonly #options: AdoptingOptions;
  /** Whether the session went where it should. */
  readonly #moves = new SingleFlight<boolean>();
  /** Origins of sessions that are kept in the clear. */
  readonly #inTheClear = new WeakSet<Origin>();
  readonly #touched: LRUCache<string, number>;

  constructor(options: AdoptingOptions) {
    this.#options = options;
    this.#touched = new LRUCache({ max: options.touchMax });
  }

  async read(sid: string): Promise<Pick<Opened, 'data' | 'origin'> | undefined> {
    const { vault, plain, retryAfterMs } = this.#options;
    if (!plain.isOpen()) return vault.read(sid);
    for (let tries = 0; tries < TRIES; tries += 1) {
      const seen = await this.#readOnce(sid);
      if (seen !== MOVED) return seen;
    }
    throw new RedoubtError('ERR_SESSION_UNKNOWN', { retryAfterMs });
  }

  async write(sid: string, origin: Origin | undefined, text: string, data: SessionData): Promise<Origin> {
    const { vault, plain } = this.#options;
    const { home } = plain;
    const isPlain = origin ? this.#inTheClear.has(origin) : plain.isOpen();
    if (!home || !isPlain) return vault.write(sid, origin, text, data);
    if (origin === undefined) await this.#unseal(sid, data);
    await home.write(sid, JSON.parse(text) as SessionData);
    await this.#checkHome(sid, home, text);
    return this.#plainOrigin(origin?.version ?? 0, text);
  }

  async destroy(sid: string): Promise<void> {
    const { vault, plain } = this.#options;
    await vault.destroy(sid);
    if (!plain.isOpen()) return;
    // Where old servers would go on showing it, the user must know that the logout is not complete.
    if (plain.home) await plain.remove(sid);
    else await this.#clear(sid);
  }

  touch(sid: string, data: SessionData): Promise<void> | undefined {
    const { vault, plain, touchEveryMs, now } = this.#options;
    const { home } = plain;
    const sealed = vault.touch(sid, data);
    const last = this.#touched.get(sid);
    const pauseMs = touchPauseMs(touchEveryMs, data.cookie.originalMaxAge ?? Number.POSITIVE_INFINITY);
    if (!home || !plain.isOpen() || (last !== undefined && now() - last < pauseMs)) return sealed;
    this.#touched.set(sid, now());
    // Tried again at the next request; this one has nothing to do with it.
    const inTheClear = home.touch(sid, data).catch(() => this.#touched.delete(sid));
    return Promise.all([sealed, inTheClear]).then(() => undefined);
  }

  count(): Promise<number> {
    return this.#options.vault.count();
  }

  async #readOnce(sid: string): Promise<Seen> {
    const { vault, plain } = this.#options;
    const { home } = plain;
    const found = await vault.find(sid);
    if (found?.box === null) {
      // For the old servers: here the tombstone decides.
      await this.#clear(sid);
      return undefined;
    }
    const opened = found ? vault.open(sid, found) : MOVED;
    // What does not open is no session, and never a reason to look at what is not sealed.
    if (opened === undefined) return undefined;
    if (opened !== MOVED) {
      if (!home || opened.isMoving) return opened;
      return (await this.#moves.run(sid, () => this.#giveBack(sid, opened, home))) ? MOVED : opened;
    }
    const lying = await plain.find(sid);
    if (lying === undefined) {
      // It may have been moved between the two looks: only a record that is the same again makes it missing.
      const again = await vault.find(sid);
      return again?.version === found?.version ? undefined : MOVED;
    }
    const { data, place } = lying;
    const version = found?.version ?? 0;
    if (!home) {
      await this.#moves.run(sid, () => this.#adopt(sid, version, lying));
      return MOVED;
    }
    if (place !== home) {
      await home.write(sid, data);
      await lying.clear(home);
    }
    return { data, origin: this.#plainOrigin(version, JSON.stringify(data)), isMoving: false };
  }

  async #adopt(sid: string, version: number, { data, clear }: PlainSession): Promise<boolean> {
    const isOurs = await this.#options.vault.replace(sid, version, JSON.stringify(data), data);
    // Where somebody else was quicker, this may be what was given back since, and it is not ours to remove.
    if (!isOurs) return false;
    this.#options.counts.adopted += 1;
    await clear();
    return true;
  }

  async #giveBack(sid: string, { data, origin }: Opened, home: PlainPlace): Promise<boolean> {
    const { vault, counts } = this.#options;
    const moving = origin.version + 1;
    if (!(await vault.replace(sid, origin.version, MOVING + origin.text, data))) return true;
    try {
      await home.write(sid, withMark(data, moving));
    } catch {
      // The place has told the detector; the session stays sealed, and this server goes on with it. Where the record
      // cannot be put right, as where the process ends here, it is given back after its next change.
      await vault.replace(sid, moving, origin.text, data).catch(() => undefined);
      return false;
    }
    // It may have been ended meanwhile: whoever reads the tombstone now takes it away again.
    if (await vault.replace(sid, moving, MOVED, data)) counts.givenBack += 1;
    return true;
  }

  /** A session that was not read is written over whatever is there, so its record must not stand for another one. */
  async #unseal(sid: string, data: SessionData): Promise<void> {
    const { vault } = this.#options;
    const found = await vault.find(sid);
    if (!found || found.box === null || vault.open(sid, found) === MOVED) return;
    await vault.replace(sid, found.version, MOVED, data);
  }

  /** After a write in the clear: a session that was ended or sealed meanwhile must not lie there. */
  async #checkHome(sid: string, home: PlainPlace, text: string): Promise<void> {
    const { vault, plain } = this.#options;
    const found = await vault.find(sid);
    if (!found) return;
    const opened = found.box === null ? undefined : vault.open(sid, found);
    if (opened === MOVED) return;
    // A change of an ended session is dropped, as everywhere; one of a session that was sealed must be told.
    if (opened === undefined) return plain.remove(sid);
    await home.removeSame(sid, text);
    throw new RedoubtError('ERR_SESSION_CONFLICT');
  }

  async #clear(sid: string): Promise<void> {
    // What stays is not looked at, and ends by itself.
    await this.#options.plain.remove(sid).catch(() => undefined);
  }

  #plainOrigin(version: number, text: string): Origin {
    const origin = { version, text };
    this.#inTheClear.add(origin);
    return origin;
  }
}
