import { createHash } from 'node:crypto';

import type { Redis } from 'ioredis';

interface Script {
  readonly lua: string;
  readonly sha: string;
}

const script = (lua: string): Script => ({ lua, sha: createHash('sha1').update(lua).digest('hex') });

/** How many arguments of WRITE come before those of the keys, and how many each key has. */
export const WRITE_ARGUMENTS = { shared: 3, each: 2 } as const;

/** How long a key lives that names an author; it is only there to be reported as changed. */
const AUTHOR_MS = 60_000;

/**
 * The fenced write of many keys: KEYS epoch, author, values…; ARGV epoch, channel to tell of it (empty: none), who tells,
 * then for each key stored form and lifetime in ms.
 *
 * Answers `e` when the epoch is another, else for each key 1 or 0 when it was written (whether a value was there), or
 * `v<version>` when a newer one is there. A write of an equal version is done again: it is the same write. A tombstone
 * yields to an equal version: that is the value for which it stands, where whoever brings it has that no more.
 * The author's key is changed as well: the report of tracking, one for each turn of Redis' event loop, then tells
 * whose changes it is about.
 * Versions are digits of one width, so that text compares as the number that Lua could not hold.
 * Numbers are given as text: Redis prints one that Lua hands it with `%.17g`, which takes longer than to cut the range.
 */
export const WRITE = script(`
local call, pcall, find, sub = redis.call, redis.pcall, string.find, string.sub
if call('GET', KEYS[1]) ~= ARGV[1] then return 'e' end
local replies, told = {}, { ARGV[3] }
for i = 3, #KEYS do
  local key, stored = KEYS[i], ARGV[2 * i - 2]
  local mine = sub(stored, 3, 22)
  local head = pcall('GETRANGE', key, '0', '21')
  if type(head) ~= 'string' or not find(head, '^[12]%a%d+$') then head = '' end
  local version = sub(head, 3)
  if version > mine or (version == mine and sub(stored, 2, 2) == 'x') then
    replies[i - 2] = 'v' .. version
  else
    call('SET', key, stored, 'PX', ARGV[2 * i - 1])
    replies[i - 2] = (head == '' or sub(head, 2, 2) == 'x') and 0 or 1
    told[#told + 1] = key
  end
end
if #told == 1 then return replies end
call('SET', KEYS[2], '', 'PX', '${AUTHOR_MS}')
if ARGV[2] ~= '' then call('PUBLISH', ARGV[2], cjson.encode(told)) end
return replies`);

/** The versions of many keys, empty for none: KEYS values…. */
export const VERSIONS = script(`
local versions, pcall, find, sub = {}, redis.pcall, string.find, string.sub
for i = 1, #KEYS do
  local head = pcall('GETRANGE', KEYS[i], '0', '21')
  versions[i] = type(head) == 'string' and find(head, '^[12]%a%d+$') and sub(head, 3) or ''
end
return versions`);

/** Gives a lock back: KEYS lock; ARGV owner. */
export const UNLOCK = script(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`);

/**
 * Agrees on the epoch: KEYS epoch, meta; ARGV run id (empty: unknown), greatest epoch that the
 * caller knows, 1 to raise it in any case, version of a clear (empty: none), channel to tell of it, who tells.
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
  redis.pcall('PUBLISH', ARGV[5], cjson.encode({ ARGV[6], KEYS[1] }))
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
