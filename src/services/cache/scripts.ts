import { createHash } from 'node:crypto';

import type { Redis } from 'ioredis';

interface Script {
  readonly lua: string;
  readonly sha: string;
}

const script = (lua: string): Script => ({ lua, sha: createHash('sha1').update(lua).digest('hex') });

/**
 * The fenced write: KEYS value, epoch; ARGV epoch, version, lifetime in ms, stored form.
 *
 * Answers 1 or 0 when it was written (whether a value was there), `v<version>` when a newer one is
 * there, `e` when the epoch is another. An equal version is written again: it is the same write.
 * Versions are digits of one width, so that text compares as the number that Lua could not hold.
 */
export const WRITE = script(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 'e' end
local head = redis.call('GETRANGE', KEYS[1], 0, 21)
local version = string.sub(head, 3)
if version > ARGV[2] then return 'v' .. version end
redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[3])
local kind = string.sub(head, 2, 2)
if kind == '' or kind == 'x' then return 0 end
return 1`);

/**
 * Agrees on the epoch: KEYS epoch, meta; ARGV run id (empty: unknown), greatest epoch that the
 * caller knows, 1 to raise it in any case, version of a clear (empty: none).
 *
 * Raised as well when there is none, when it is older than the caller's (an old snapshot, a lagging
 * replica) and when another process than this Redis wrote it (restarted, failed over). Answers the
 * epoch and the version of the last clear. Its number is a time, so that a Redis that has forgotten
 * everything does not count up to an epoch that was there before.
 */
export const EPOCH = script(`
local epoch = tonumber(redis.call('GET', KEYS[1]) or '0')
local known = tonumber(ARGV[2])
local restarted = ARGV[1] ~= '' and redis.call('HGET', KEYS[2], 'run') ~= ARGV[1]
if ARGV[3] == '1' or epoch == 0 or epoch < known or restarted then
  local time = redis.call('TIME')
  epoch = math.max(epoch + 1, known + 1, time[1] * 1000 + math.floor(time[2] / 1000))
  redis.call('SET', KEYS[1], string.format('%.0f', epoch))
  if ARGV[1] ~= '' then redis.call('HSET', KEYS[2], 'run', ARGV[1]) end
end
local cleared = redis.call('HGET', KEYS[2], 'cleared') or ''
if ARGV[4] > cleared then
  cleared = ARGV[4]
  redis.call('HSET', KEYS[2], 'cleared', cleared)
end
return { string.format('%.0f', epoch), cleared }`);

/** Runs a script by its hash, and by its text where Redis does not know it (yet, or after SCRIPT FLUSH). */
export async function runScript(
  client: Redis,
  { sha, lua }: Script,
  keys: readonly string[],
  args: readonly (string | number | Buffer)[],
): Promise<unknown> {
  try {
    return await client.evalsha(sha, keys.length, ...keys, ...args);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return client.eval(lua, keys.length, ...keys, ...args);
  }
}
