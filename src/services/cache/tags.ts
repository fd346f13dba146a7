import type { Place } from './coherence.ts';
import type { Core } from './core.ts';
import { encodeValue } from './entry.ts';
import { type MemoryEntry, MemoryTier, UNREAD } from './memory-tier.ts';
import type { Writer } from './writer.ts';

/** Before a tag's name, where keys have the name of their namespace. */
const PREFIX = '\u0000t\u0000';

/** A tag outlives what carries it; so long a value with tags may live. */
export const TAG_LIFE_MS = 30 * 86_400_000;

const MAX_TAGS_IN_MEMORY = 10_000;
const NEVER = '';
const MARK = encodeValue(1, 16);

/**
 * Tags. Each is a key of its own that holds nothing but the version of its last deletion, and a value is void if that
 * is not older than itself. So a tag goes through journal, news and epochs as every key does, and holds through an
 * outage without anything of its own. What memory has of a tag goes as soon as the tag is heard to have changed.
 */
export class Tags {
  readonly memory: MemoryTier;
  readonly #core: Core;
  readonly #writer: Writer;
  readonly #memories: () => Iterable<MemoryTier>;

  constructor(core: Core, writer: Writer, memories: () => Iterable<MemoryTier>) {
    const { clock, config } = core;
    this.#core = core;
    this.#writer = writer;
    this.#memories = memories;
    const { maxBytes, sweepEveryMs } = config;
    this.memory = new MemoryTier({ clock, maxEntries: MAX_TAGS_IN_MEMORY, maxBytes, sweepEveryMs, values: 'frozen' });
  }

  /** The tag that a key of the fleet stands for. */
  static of(fleetKey: string): string | undefined {
    return fleetKey.startsWith(PREFIX) ? fleetKey.slice(PREFIX.length) : undefined;
  }

  fleetKeyOf(tag: string): string {
    return PREFIX + tag;
  }

  place(tag: string): Place {
    return { memory: this.memory, key: tag, serialised: () => MARK };
  }

  /** Whether a value of this version is void; `undefined` where Redis has to be asked for that. */
  isVoid(tags: readonly string[], version: string): boolean | undefined {
    let unsure = false;
    for (const tag of tags) {
      const known = this.#known(tag);
      if (known === undefined) unsure = true;
      else if (known >= version) return true;
    }
    return unsure ? undefined : false;
  }

  /** As `isVoid`, but asks. @throws what kept Redis from answering */
  async askVoid(tags: readonly string[], version: string): Promise<boolean> {
    const versions = await Promise.all(tags.map((tag) => this.#versionOf(tag)));
    return versions.some((deleted) => deleted >= version);
  }

  /** Makes every value void that carries the tag now, on all instances. */
  async delete(tag: string): Promise<void> {
    const core = this.#core;
    const version = core.versions.next();
    const now = core.clock.now();
    this.dropped(tag, version);
    const entry = { ...entryOf(version), writtenAt: now, expiresAt: now + TAG_LIFE_MS };
    const request = { key: PREFIX + tag, version, payload: MARK, tags: [], lifetimeMs: TAG_LIFE_MS, insists: true };
    await this.#writer.store(this.place(tag), request, entry, false);
    // A clock that is ahead may have made the version a later one.
    if (entry.version > version) this.dropped(tag, entry.version);
  }

  /** The tag has changed: memory lets go of what carries it and is older than that. */
  dropped(tag: string, version: string): void {
    for (const memory of this.#memories()) memory.deleteTagged(tag, version);
  }

  #known(tag: string): string | undefined {
    const { standing, journal, clock, asksRedis } = this.#core;
    const entry = this.memory.get(tag);
    const noted = journal.get(PREFIX + tag)?.version;
    if (noted !== undefined) return noted;
    // Alone nobody can be asked: what has been heard of it is all there is.
    if (!asksRedis) return entry?.version ?? NEVER;
    const isCurrent = entry?.generation === standing.generation && clock.now() < standing.hitsUntil;
    return isCurrent ? entry.version : undefined;
  }

  async #versionOf(tag: string): Promise<string> {
    const known = this.#known(tag);
    if (known !== undefined) return known;
    const core = this.#core;
    const arrival = await core.reads.read(PREFIX + tag);
    const version = arrival.stored?.version ?? NEVER;
    if (core.mayKeep(PREFIX + tag, arrival)) {
      const now = core.clock.now();
      const { generation } = arrival;
      this.memory.set(tag, { ...entryOf(version), generation, writtenAt: now, expiresAt: now + TAG_LIFE_MS });
    }
    return version;
  }
}

function entryOf(version: string): MemoryEntry {
  const times = { writtenAt: 0, expiresAt: 0, keepMs: 0 };
  return {
    value: UNREAD,
    answer: undefined,
    payload: MARK,
    version,
    generation: 0,
    own: false,
    ...times,
    tags: [],
    bytes: 8,
  };
}
