import { RedoubtError } from '../../core/errors.ts';
import type { Core } from './core.ts';
import type { MemoryTier } from './memory-tier.ts';

/** Keys of memory whose values are read at once; of Redis, as many as it lists at once. */
const AT_ONCE = 100;

export interface Listing {
  readonly core: Core;
  readonly memory: MemoryTier;
  /** Before each key of the namespace in Redis. */
  readonly fleetPrefix: string;
  /** The values of many keys; `undefined` for what is not there any more. */
  readonly read: (keys: readonly string[]) => Promise<unknown[]>;
}

/** What there is under keys that begin so: in memory and, where it can be asked, in Redis. Each key comes once. */
export async function* listEntries(listing: Listing, prefix: string): AsyncGenerator<[string, unknown]> {
  const seen = new Set<string>();
  for await (const keys of listKeys(listing, prefix)) {
    const fresh = keys.filter((key) => !seen.has(key) && seen.add(key));
    const values = await listing.read(fresh);
    for (const [index, key] of fresh.entries()) {
      if (values[index] !== undefined) yield [key, values[index]];
    }
  }
}

async function* listKeys({ core, memory, fleetPrefix }: Listing, prefix: string): AsyncGenerator<string[]> {
  if (core.closed) throw new RedoubtError('ERR_CLOSED');
  // What Redis lacks is here; what is there and here is read once.
  const here = Array.from(memory.entries(), ([key]) => key).filter((key) => key.startsWith(prefix));
  for (let at = 0; at < here.length; at += AT_ONCE) yield here.slice(at, at + AT_ONCE);
  let cursor: string | undefined = '0';
  while (cursor !== undefined && core.asksRedis) {
    const found = await scan(core, fleetPrefix + prefix, cursor);
    const keys = found.keys.map((key) => key.slice(fleetPrefix.length));
    // So begin the keys of the namespaces and tags, which are not the cache's own.
    yield keys.filter((key) => !key.startsWith('\u0000'));
    cursor = found.next;
  }
}

/** An outage ends the list: what memory has is then all that can be told. */
async function scan(core: Core, prefix: string, cursor: string): Promise<{ next?: string; keys: readonly string[] }> {
  try {
    const { next, keys } = await core.redis.scan(prefix, cursor, { deadlineMs: core.config.deadlineMs });
    return next === '0' ? { keys } : { next, keys };
  } catch (error) {
    core.failed(error);
    return { keys: [] };
  }
}
