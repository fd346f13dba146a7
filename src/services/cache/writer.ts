import type { Place } from './coherence.ts';
import type { Core } from './core.ts';
import type { MemoryEntry } from './memory-tier.ts';
import type { Written } from './redis-tier.ts';
import type { WriteRequest } from './writes.ts';

/** Brings a change to memory and to Redis, or notes it for later. */
export class Writer {
  readonly #core: Core;
  #overflow = 0;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Puts a value where it belongs; an outage never throws. */
  async store(place: Place, request: WriteRequest, entry: MemoryEntry, offline: boolean): Promise<void> {
    if (this.#core.closed) return;
    this.#core.counts.sets += 1;
    const { key } = request;
    this.#core.reads.drop(key);
    place.memory.set(place.key, entry);
    if (offline || !this.#core.asksRedis) {
      this.#keep(place, key, entry);
      return this.#core.turns.take();
    }
    const { generation } = this.#core.standing;
    try {
      const written = await this.#core.writes.write(request);
      const mine = place.memory.peek(place.key) === entry;
      if (!written.applied) return mine ? place.memory.delete(place.key) : undefined;
      entry.version = written.version;
      this.#core.journal.settle(key, written.version);
      this.#core.news?.shared(key, written.version);
      // Another instance without Redis has written something newer meanwhile.
      if (!mine || generation !== this.#core.standing.generation || this.#core.journal.has(key)) return;
      entry.generation = generation;
      entry.own = written.touched === 'no' && this.#core.tracker.hearing === 'tracking';
      if (written.touched === 'other') this.#core.coherence.verify(key);
    } catch (error) {
      this.#core.failed(error);
      this.#keep(place, key, entry);
    }
  }

  /** Deletes a key. @returns whether Redis had it; `undefined` where it could not be asked */
  async remove(place: Place, request: WriteRequest): Promise<boolean | undefined> {
    const { key, version } = request;
    this.#core.counts.deletes += 1;
    this.#core.reads.drop(key);
    place.memory.delete(place.key);
    if (!this.#core.asksRedis) {
      this.note(key, version, 0);
      await this.#core.turns.take();
      return undefined;
    }
    try {
      const written: Written = await this.#core.writes.write(request);
      if (!written.applied) return false;
      this.#core.journal.settle(key, written.version);
      this.#core.news?.shared(key, written.version);
      return written.existed;
    } catch (error) {
      this.#core.failed(error);
      return this.note(key, version, 0);
    }
  }

  /**
   * Notes for Redis what it may not have.
   *
   * @param until - when the value's lifetime ends, 0 for a delete
   */
  note(key: string, version: string, until: number): undefined {
    if (!this.#core.shared) return;
    this.#core.news?.apart(key, version);
    if (!this.#core.journal.put(key, { version, until })) {
      this.#core.replayer.requireEpoch('');
      this.#overflow += 1;
      // Each of the others has as many of them to let go of.
      if (this.#overflow % this.#core.config.journalMax === 1) this.#core.news?.overflowed(version);
    }
    this.#core.replayLater();
  }

  #keep(place: Place, key: string, entry: MemoryEntry): void {
    const noted = this.#core.journal.get(key);
    if (noted && noted.version > entry.version) {
      // Another instance has told of something newer meanwhile.
      if (place.memory.peek(place.key) === entry) place.memory.delete(place.key);
      return;
    }
    const known = place.memory.peek(place.key);
    if (!known) place.memory.set(place.key, entry);
    if (!known || known === entry) entry.generation = this.#core.standing.isLocal ? this.#core.standing.generation : 0;
    this.note(key, entry.version, entry.expiresAt);
  }
}
