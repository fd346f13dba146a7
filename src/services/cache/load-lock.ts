import type { SqlBackend } from '../../backends/types.ts';
import { type Clock, sleep } from '../../core/clock.ts';
import type { MemoryEntry } from './memory-tier.ts';
import type { RedisTier } from './redis-tier.ts';

/** How often those who wait look whether the one that loads is done. */
const LOOK_MS = 50;
/** A PostgreSQL that takes longer is not waited for: then everybody loads. */
const STATEMENT_MS = 50;

const CREATE = `do $$ begin
  if to_regclass('redoubt_load') is null then
    create table redoubt_load (name text primary key, owner text not null, until timestamptz not null);
  end if;
exception when duplicate_table or unique_violation then null;
end $$`;

/** $1 name, $2 owner, $3 length in ms. A row with an end, not an advisory lock: no connection is held while loading. */
const TAKE = `insert into redoubt_load as l (name, owner, until) values ($1, $2, now() + $3 * interval '1 ms')
on conflict (name) do update set owner = excluded.owner, until = excluded.until where l.until < now()
returning owner`;
const GIVE = `delete from redoubt_load where name = $1 and owner = $2`;

/** Either this instance is to load, or another one has. */
export type Held = { readonly found: MemoryEntry } | { readonly release: () => void };

export interface LoadLockOptions {
  readonly clock: Clock;
  readonly redis: RedisTier;
  readonly sql: SqlBackend | undefined;
  readonly owner: string;
  readonly asksRedis: () => boolean;
  readonly deadlineMs: number;
}

/**
 * Lets one instance load a key while the others wait for what it loads: by a key of Redis, or by a row of PostgreSQL
 * while Redis is gone. A help to whatever is behind the loaders, and no promise: where neither can be asked, or the
 * holder takes longer than it may, everybody loads.
 */
export class LoadLock {
  readonly #options: LoadLockOptions;
  readonly #mine = new Set<string>();

  constructor(options: LoadLockOptions) {
    this.#options = options;
  }

  /** Makes the table. @throws what `SqlBackend.query` throws */
  async join(signal: AbortSignal): Promise<void> {
    const { sql } = this.#options;
    if (sql?.kind === 'server') await sql.query(CREATE, [], { signal });
  }

  /**
   * Waits until this instance may load, or another one has.
   *
   * @param lockMs - 0: it waits for nobody
   * @param seen - version of the value that is to be replaced, if there is one
   * @param find - looks for what another one has loaded
   */
  async acquire(
    key: string,
    lockMs: number,
    seen: string | undefined,
    find: () => Promise<MemoryEntry | undefined>,
  ): Promise<Held> {
    if (lockMs <= 0) return { release: nothing };
    const { clock } = this.#options;
    const endsAt = clock.now() + lockMs;
    for (;;) {
      // A load of this instance from before a change of the key: nothing to wait for.
      if (this.#mine.has(key)) return { release: nothing };
      // The look goes behind the lock on the same connection, so it finds what was stored before the lock was given
      // back, however shortly before.
      const [give, found] = await Promise.all([this.#take(key, lockMs).catch(() => nothing), find()]);
      if (found && (!give || found.version !== seen)) {
        give?.();
        return { found };
      }
      if (give) return { release: this.#hold(key, give) };
      if (clock.now() >= endsAt) return { release: nothing };
      await sleep(clock, LOOK_MS);
    }
  }

  #hold(key: string, give: () => void): () => void {
    this.#mine.add(key);
    return () => {
      this.#mine.delete(key);
      give();
    };
  }

  /** @returns how to give it back; `undefined` while another one has it */
  async #take(key: string, lockMs: number): Promise<(() => void) | undefined> {
    const { redis, owner, deadlineMs, sql } = this.#options;
    if (this.#options.asksRedis()) {
      if (!(await redis.lock(key, owner, lockMs, { deadlineMs }))) return undefined;
      return () => void redis.unlock(key, owner, { deadlineMs }).catch(nothing);
    }
    if (!sql || sql.kind !== 'server') return nothing;
    const { rowCount } = await sql.query(TAKE, [key, owner, lockMs], { deadlineMs: STATEMENT_MS });
    if (rowCount === 0) return undefined;
    return () => void sql.query(GIVE, [key, owner]).catch(nothing);
  }
}

/** Where there is nothing to give back; a lock that cannot be given back runs out. */
const nothing = (): void => undefined;
