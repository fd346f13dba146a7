import { isDeepStrictEqual } from 'node:util';

import type { TestRedis } from '../../test/support/redis.ts';
import type { Contender, Value } from './contenders.ts';

/** Where the answers of a contender have to come from. */
export type Tier = 'l1' | 'redis';

/** Of the gets, the share that may be on the other side: an expiry check, a probe, a script. */
const TOLERANCE = 0.02;
/** Keys written or read at the same time. */
const CHUNK = 200;

/** Writes the values, all of them acknowledged. */
export async function fill(contender: Contender, values: ReadonlyMap<string, Value>): Promise<void> {
  const entries = [...values];
  for (let i = 0; i < entries.length; i += CHUNK) {
    await Promise.all(entries.slice(i, i + CHUNK).map(([key, value]) => contender.set(key, value)));
  }
}

/**
 * Proves that what is about to be measured is a hit: every key has its own value, and Redis' own count of keyspace
 * hits says from which tier.
 *
 * @throws {Error} that names the contender and what is wrong
 */
export async function prove(
  contender: Contender,
  values: ReadonlyMap<string, Value>,
  tier: Tier,
  redis: TestRedis,
): Promise<void> {
  const control = redis.client();
  try {
    // Once to warm, as the second get is what is measured.
    await readAll(contender, values);
    const before = await keyspaceHits(control);
    await readAll(contender, values);
    const hits = (await keyspaceHits(control)) - before;
    const share = hits / values.size;
    const fine = tier === 'l1' ? share <= TOLERANCE : share >= 1 - TOLERANCE;
    if (!fine) throw new Error(`${contender.name}: Redis was asked for ${hits} of ${values.size} keys, not as ${tier}`);
  } finally {
    control.disconnect();
  }
}

async function readAll(contender: Contender, values: ReadonlyMap<string, Value>): Promise<void> {
  const entries = [...values];
  for (let i = 0; i < entries.length; i += CHUNK) {
    await Promise.all(
      entries.slice(i, i + CHUNK).map(async ([key, value]) => {
        const found = await contender.get(key);
        if (isDeepStrictEqual(found, value)) return;
        // A bare client answers the text that it was given.
        if (typeof value === 'object' && typeof found === 'string' && isDeepStrictEqual(JSON.parse(found), value))
          return;
        throw new Error(`${contender.name} answers ${key} with ${JSON.stringify(found)?.slice(0, 60)}`);
      }),
    );
  }
}

async function keyspaceHits(client: { info(section: string): Promise<string> }): Promise<number> {
  const stats = await client.info('stats');
  return Number(/keyspace_hits:(\d+)/.exec(stats)?.[1]);
}
