import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../observe/log.ts';
import type { PlainPlace } from './plain-places.ts';

/** Time between two looks: unknown cookies are everyday, and each look asks a backend. */
const EVERY_MS = 10_000;

export interface PlainNoticeOptions {
  /** Where another store may have left it, whatever the adoption window says. */
  readonly places: readonly PlainPlace[];
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Says once that a presented cookie names a session which another store keeps in the clear, while nobody may read it:
 * otherwise everybody is logged out after a move, and nothing tells why.
 */
export class PlainNotice {
  readonly #options: PlainNoticeOptions;
  #nextAt = 0;
  #said = false;

  constructor(options: PlainNoticeOptions) {
    this.#options = options;
  }

  /** Looks in the background, now and then; never fails. */
  look(sid: string): void {
    const { clock } = this.#options;
    if (this.#said || clock.now() < this.#nextAt) return;
    this.#nextAt = clock.now() + EVERY_MS;
    for (const place of this.#options.places) {
      // A place that is not there, such as a table without this column, has nothing to tell.
      place.read(sid).then(
        (found) => found && this.#say(place.name),
        () => undefined,
      );
    }
  }

  #say(place: PlainPlace['name']): void {
    if (this.#said) return;
    this.#said = true;
    const [store, setting] =
      place === 'postgres' ? ['connect-pg-simple', 'postgres: true'] : ['connect-redis', "redisPrefix: 'sess:'"];
    this.#options.log.warn(
      { place },
      `A visitor presented a session that ${store} stored, and counts as logged out: set sessions.adopt { ${setting} } to take such sessions over`,
    );
  }
}
