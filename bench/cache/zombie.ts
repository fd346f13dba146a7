import { setTimeout as sleep } from 'node:timers/promises';

import { printBars } from './bars.ts';
import type { Instance } from './instance.ts';
import { type RigStart, startRig } from './rig.ts';

const KEYS = 100;
const AVAILABLE_MS = 20_000;
/** Looks at every key after Redis has woken, one every 50 ms. */
const LOOKS = 30;
const LOOK_EVERY_MS = 50;
const COHERENT_LOOKS = 6;
const SETTLE_MS = 20;

// Four freezes in a row would be held down for longer each time, which is not what is asked here.
const CONFIG = { redis: { holdDown: { base: '500ms', max: '500ms' } } };

/**
 * Zombie writes: 100 sets go to a Redis that has just been stopped, run into their deadline, and are overtaken by a
 * newer set or delete of the same or of the other instance; then Redis wakes up and executes what lay in its
 * sockets. How many keys show the old value?
 *
 * @returns how many bars are missed
 */
export async function runZombies(start: RigStart): Promise<number> {
  await using rig = await startRig({ ...start, config: CONFIG });
  const { a, b, fresh, redis } = rig;
  let missed = 0;
  let opened = false;
  for (const by of [a, b]) {
    for (const newer of ['set', 'delete'] as const) {
      const keys = Array.from({ length: KEYS }, (_, i) => `zombie:${newer}:${by.name}:${i}`);
      await a.call('set', keys, 1);
      await b.call('read', keys);
      redis.freeze();
      // The first socket that has something to say is the first that Redis reads when it wakes: the newer writer's, so
      // that the old value would come last.
      const first = by.call('set', ['zombie:first']);
      await sleep(SETTLE_MS);
      // Answered when its deadline is over, while the command waits in the socket.
      await a.call('set', keys, 2);
      await by.call(newer, keys, 3);
      await first;
      redis.thaw();
      if (!opened) await rig.open(fresh);
      opened = true;
      const other = by === a ? b : a;
      const seen = { writer: new Set<string>(), other: new Set<string>(), fresh: new Set<string>() };
      for (let look = 0; look < LOOKS; look += 1) {
        await collectOld(by, keys, seen.writer);
        await sleep(LOOK_EVERY_MS);
      }
      for (const instance of [a, b]) await instance.reaches('available', AVAILABLE_MS).catch(() => undefined);
      await sleep(COHERENT_LOOKS * LOOK_EVERY_MS);
      for (let look = 0; look < LOOKS; look += 1) {
        await collectOld(other, keys, seen.other);
        await collectOld(fresh, keys, seen.fresh);
        await collectOld(by, keys, seen.writer);
      }
      const title = `zombie set, newer ${newer} by ${by === a ? 'the same' : 'the other'} instance, ${KEYS} keys, ${start.store}`;
      missed += printBars(title, [
        { what: 'bar 3: old values on the newer writer, at any time', figure: seen.writer.size, atMost: 0 },
        { what: 'bar 3: old values on the other instance, after the return', figure: seen.other.size, atMost: 0 },
        { what: 'bar 3: old values on a fresh instance, after the return', figure: seen.fresh.size, atMost: 0 },
      ]);
    }
  }
  return missed;
}

async function collectOld(instance: Instance, keys: readonly string[], into: Set<string>): Promise<void> {
  for (const { key, n } of await instance.call('read', keys)) if (n === 1 || n === 2) into.add(key);
}
