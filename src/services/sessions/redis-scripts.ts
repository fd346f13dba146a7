import { createHash } from 'node:crypto';

import type { Redis } from 'ioredis';

/** A script that is sent by its hash, and whole where Redis does not know it. */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

function script(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

/**
 * KEYS: epoch, dirty set, the records. ARGV: epoch of the writes, length of the keys' prefix where they are dirty or '',
 * then for each record `version|box` (nothing behind the bar for a tombstone) and its life in ms. Answers the epoch that
 * Redis knows (-1: none), then for each record 1 (stored), 0 (void: of an older epoch, or Redis has lost its data) or what
 * is held there now instead.
 *
 * A write that is not newer than what is there is refused; a tombstone is taken over everything and stays, with the
 * version after the one that it ended. A write that Redis executes late, after a
 * freeze, therefore changes nothing.
 *
 * What is there is looked at by its first 18 characters, which hold any version, its bar, and one more unless it is a
 * tombstone: to bring a whole box into Lua costs as much as to write one.
 */
export const WRITE = script(`
local call, find, sub = redis.call, string.find, string.sub
local epoch = tonumber(call('GET', KEYS[1]) or '-1')
local mine = tonumber(ARGV[1])
local usable, taken = epoch >= 0 and epoch <= mine, false
local out = {0}
for i = 3, #KEYS do
  local key, text, life = KEYS[i], ARGV[i * 2 - 3], ARGV[i * 2 - 2]
  local answer, take = 0, usable
  if take then
    answer = 1
    local held = call('GETRANGE', key, 0, 17)
    if held ~= '' then
      local heldBar, bar = find(held, '|', 1, true), find(text, '|', 1, true)
      local isTombstone, isLogout = heldBar == #held, bar == #text
      local heldVersion = tonumber(sub(held, 1, heldBar - 1))
      local isNewer = tonumber(sub(text, 1, bar - 1)) > heldVersion
      if isTombstone or not (isLogout or isNewer) then
        local whole = call('GET', key)
        if whole ~= text then answer, take = whole, false end
      elseif isLogout then
        life = math.max(tonumber(life), call('PTTL', key))
        if not isNewer then
          text = string.format('%.0f|', heldVersion + 1)
          answer = text
        end
      end
    end
  end
  if take then
    call('SET', key, text, 'PX', life)
    if ARGV[2] ~= '' then call('SADD', KEYS[2], sub(key, ARGV[2] + 1)) end
    taken = true
  end
  out[i - 1] = answer
end
if taken and epoch < mine then
  epoch = mine
  call('SET', KEYS[1], epoch)
end
out[1] = epoch
return out`);

/**
 * KEYS: epoch. ARGV: mine, whether a Redis that knows none is given it. Raises what Redis knows to mine; answers what it
 * knows now, -1 for none.
 */
export const PUBLISH = script(`
local epoch = tonumber(redis.call('GET', KEYS[1]) or '-1')
if epoch >= tonumber(ARGV[1]) or (epoch < 0 and ARGV[2] == '') then return epoch end
redis.call('SET', KEYS[1], ARGV[1])
return tonumber(ARGV[1])`);

/** KEYS: dirty set. ARGV: prefix, how many. Answers member, record, life in ms of each. */
export const DIRTY = script(`
local found = {}
for _, member in ipairs(redis.call('SRANDMEMBER', KEYS[1], ARGV[2])) do
  local key = ARGV[1] .. member
  table.insert(found, member)
  table.insert(found, redis.call('GET', key) or '')
  table.insert(found, redis.call('PTTL', key))
end
return found`);

/** KEYS: dirty set, record. ARGV: member, what the record was when it was replayed. */
export const CLEAN = script(`
if (redis.call('GET', KEYS[2]) or '') == ARGV[2] then redis.call('SREM', KEYS[1], ARGV[1]) end
return 1`);

/** Runs a script. @throws what ioredis throws */
export async function runScript(
  client: Redis,
  { text, sha }: Script,
  keys: readonly string[],
  args: readonly string[],
): Promise<unknown> {
  try {
    return await client.evalsha(sha, keys.length, ...keys, ...args);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return client.eval(text, keys.length, ...keys, ...args);
  }
}
