/**
 * A store for Keyv 4, 5 and 6.
 *
 * Which keys are whose. Keyv 6 puts its namespace before each key (`app::key`) as long as its store has no `namespace`
 * of its own. Keyv 4 and 5 tell the store their namespace and put it before each key (`app:key`), unless told not to
 * (`useKeyPrefix: false`): then the store does. Each value is in the group of its namespace (Space.setIn).
 *
 * Who clears. Keyv 4 and 5 call `clear()` without saying whose keys they mean. It is the namespace that was set last,
 * as in Keyv's own stores; once another one was seen after that, nobody can tell, and it is refused. Keyv 6 asks `iterator(namespace)` for the keys and deletes each. In an outage nobody can
 * list what Redis holds, so what comes first is a mark: an entry that has expired long ago. Who iterates deletes it
 * before it asks for the next one, and gets the entries. Who clears asks for the next one first, and gets no more; when
 * it deletes the mark, the group is cleared by one write, as every clear() of the cache is.
 */
import { EventEmitter } from 'node:events';

import { RedoubtError } from '../../core/errors.ts';
import { refusedOption } from './options.ts';
import { SPACE, type Space } from './space.ts';
import { TAG_LIFE_MS } from './tags.ts';
import type { CacheSpace } from './types.ts';

/** An entry as Keyv hands it over to be stored. */
export interface KeyvEntry {
  readonly key: string;
  readonly value: unknown;
  readonly ttl?: number;
}

/**
 * A store for Keyv (4, 5 and 6) on the cache or one of its namespaces, and so for what takes a Keyv: cacheable, got,
 * rate limiters. It never rejects because of an outage; a value without a ttl lives for `cache.ttl`, and none for more
 * than 30 days.
 *
 *     const store = createKeyvStore(redoubt.cache.namespace('keyv'));
 *     const users = new Keyv({ store, namespace: 'users' });
 *
 * Under Keyv 6 one store serves any number of namespaces. Give each Keyv 4 or 5 a store of its own.
 *
 * @throws {RedoubtError} `ERR_CACHE_VALUE` for anything but `redoubt.cache` or one of its namespaces
 */
export function createKeyvStore(space: CacheSpace): KeyvStore {
  return new KeyvStore(space);
}

/** Between the namespace and a key that came without it; no key of Keyv's own has it there. */
const BARE = '\u0000';

/** Between the namespace and the key, as Keyv 6 joins them. */
const JOINT = '::';

/** What Keyv takes for expired. */
const EXPIRED = { expires: 0 };

/** Keyv 6 leaves the keys alone where its store has a `namespace`, which one store for many cannot have. */
class WithoutNamespace extends EventEmitter {
  /** Whether a Keyv 6 has looked. */
  protected joined = false;

  constructor() {
    super();
    return new Proxy(this, {
      has: (target, name) => {
        if (name !== 'namespace') return Reflect.has(target, name);
        this.joined = true;
        return false;
      },
    });
  }
}

/** Made by `createKeyvStore`. */
export class KeyvStore extends WithoutNamespace {
  /** Keyv 4 and 5 offer an iterator where the dialect is one they know. */
  opts: object = { dialect: 'redis', url: 'redis://redoubt' };
  readonly #space: Space;
  /** All that a Keyv 4 or 5 has set. */
  readonly #namespaces = new Set<string | undefined>();
  #namespace: string | undefined;
  /** Another namespace than the one that was set last has been used since. */
  #isShared = false;
  /** What the deletion of a mark means. */
  readonly #marks = new Map<string, () => Promise<void> | undefined>();
  #markCount = 0;

  constructor(space: CacheSpace) {
    super();
    const own = (space as { readonly [SPACE]?: Space } | undefined)?.[SPACE];
    if (!own) throw refusedOption('space', 'redoubt.cache or one of its namespaces', space);
    this.#space = own;
    // Each Keyv on this store listens for errors.
    this.setMaxListeners(0);
  }

  get namespace(): string | undefined {
    return this.#namespace;
  }

  set namespace(namespace: string | undefined) {
    this.#namespace = namespace;
    this.#namespaces.add(namespace);
    this.#isShared = false;
  }

  async get<T>(key: string): Promise<T | undefined> {
    return this.#space.get<T>(this.#nameOf(key));
  }

  async getMany<T>(keys: readonly string[]): Promise<(T | undefined)[]> {
    return this.#space.getMany<T>(keys.map((key) => this.#nameOf(key)));
  }

  /** @param ttl - milliseconds; none or 0 for as long as the namespace of the cache says */
  async set(key: string, value: unknown, ttl?: number): Promise<boolean> {
    const name = this.#nameOf(key);
    if (ttl !== undefined && ttl < 0) await this.#space.delete(name);
    else await this.#space.setIn(this.#groupsOf(name), name, value, ttl ? Math.min(ttl, TAG_LIFE_MS) : undefined);
    return true;
  }

  /** Whether each of them was stored; what kept one from it is emitted as an `error`. */
  async setMany(entries: readonly KeyvEntry[]): Promise<boolean[]> {
    const results = await Promise.allSettled(entries.map(({ key, value, ttl }) => this.set(key, value, ttl)));
    for (const result of results) if (result.status === 'rejected') this.emit('error', result.reason);
    return results.map(({ status }) => status === 'fulfilled');
  }

  async delete(key: string): Promise<boolean> {
    const marked = this.#marks.get(key);
    if (!marked) return this.#space.delete(this.#nameOf(key));
    this.#marks.delete(key);
    await marked();
    return true;
  }

  /** Whether each of them was there; for Keyv 4 and 5, whether all of them were. */
  async deleteMany(keys: readonly string[]): Promise<boolean | boolean[]> {
    const existed = await Promise.all(keys.map((key) => this.delete(key)));
    return this.#namespaces.size > 0 ? existed.every(Boolean) : existed;
  }

  async has(key: string): Promise<boolean> {
    return this.#space.has(this.#nameOf(key));
  }

  async hasMany(keys: readonly string[]): Promise<boolean[]> {
    return Promise.all(keys.map((key) => this.has(key)));
  }

  /**
   * Clears the namespace, or all of the cache's namespace where Keyv has none.
   *
   * @throws {RedoubtError} `ERR_CACHE_VALUE` where several Keyv 4 or 5 share this store
   */
  async clear(): Promise<void> {
    if (this.#isShared) {
      throw new RedoubtError('ERR_CACHE_VALUE', {
        message: 'Keyv 4 and 5 do not say which namespace is to be cleared: give each a createKeyvStore() of its own',
        option: 'namespace',
      });
    }
    if (this.#namespace === undefined) await this.#space.clear();
    else await this.#space.clearGroup(this.#namespace);
  }

  /**
   * The entries of a namespace, or all that there are: those that this instance has in memory, then what Redis lists.
   * While Redis is gone the first are all.
   */
  async *iterator(namespace: string | undefined = this.#namespace): AsyncGenerator<[string, unknown]> {
    if (namespace === undefined) return yield* this.#space.entries('');
    if (!this.#namespaces.has(namespace)) {
      if (yield* this.#isCleared(namespace)) return;
      return yield* this.#space.entries(namespace + JOINT);
    }
    yield* this.#space.entries(`${namespace}:`);
    const bare = namespace + BARE;
    for await (const [key, value] of this.#space.entries(bare)) yield [key.slice(bare.length), value];
  }

  /** The cache belongs to Redoubt, and is closed with it. */
  async disconnect(): Promise<void> {}

  async *#isCleared(namespace: string): AsyncGenerator<[string, unknown], boolean> {
    const mark = `${namespace}${JOINT}\u0000${(this.#markCount += 1)}`;
    let isDeleted = false;
    this.#marks.set(mark, () => void (isDeleted = true));
    yield [mark, EXPIRED];
    if (!isDeleted) this.#marks.set(mark, () => this.#space.clearGroup(namespace));
    return !isDeleted;
  }

  /** The key in the cache. */
  #nameOf(key: string): string {
    const namespace = this.#namespace;
    if (this.#namespaces.size === 0 || typeof key !== 'string') return key;
    if (namespace !== undefined && key.startsWith(`${namespace}:`)) return key;
    for (const other of this.#namespaces) {
      if (other === undefined || !key.startsWith(`${other}:`)) continue;
      this.#isShared = true;
      return key;
    }
    return namespace === undefined || (this.joined && key.includes(JOINT)) ? key : namespace + BARE + key;
  }

  /** Every namespace that the key may be of. */
  #groupsOf(name: string): string[] {
    const groups: string[] = [];
    for (const namespace of this.#namespaces) {
      if (namespace !== undefined && (name.startsWith(`${namespace}:`) || name.startsWith(namespace + BARE))) {
        groups.push(namespace);
      }
    }
    if (groups.length > 0) return groups;
    for (let at = name.indexOf(JOINT, 1); at > 0 && groups.length < MAX_GROUPS; at = name.indexOf(JOINT, at + 1)) {
      groups.push(name.slice(0, at));
    }
    return groups;
  }
}

/** A namespace of Keyv 6 with more `::` in it than that is not cleared by itself. */
const MAX_GROUPS = 8;
