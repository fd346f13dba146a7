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
 * KEYS: epoch, dirty set, the records. ARGV, for each record: epoch of the write, `version|box` (nothing behind the bar
 * for a tombstone), life in ms, dirty member or ''. Answers the epoch that Redis knows (-1: none), then for each
 * record 1 (stored), 0 (void: of an older epoch, or Redis has lost its data) or what is held there now instead.
 *
 * A write that is not newer than what is there is refused; a tombstone is taken over everything and stays, with the
 * version after the one that it ended. A write that Redis executes late, after a
 * freeze, therefore changes nothing.
 */
export const WRITE = script(`
local epoch = tonumber(redis.call('GET', KEYS[1]) or '-1')
local known = epoch
local out = {0}
for i = 3, #KEYS do
  local at = (i - 3) * 4
  local mine, text, life = tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3]
  local answer, take = 0, known >= 0 and epoch <= mine
  if take then
    answer = 1
    local held = redis.call('GET', KEYS[i])
    if held and held ~= text then
      local bar = string.find(held, '|', 1, true)
      local version = tonumber(string.sub(held, 1, bar - 1))
      if bar == #held then
        answer, take = held, false
      elseif string.byte(text, -1) == 124 then
        life = math.max(tonumber(life), redis.call('PTTL', KEYS[i]))
        if version >= tonumber(string.sub(text, 1, -2)) then
          text = string.format('%.0f|', version + 1)
          answer = text
        end
      elseif version >= tonumber(string.match(text, '^%d+')) then
        answer, take = held, false
      end
    end
  end
  if take then
    redis.call('SET', KEYS[i], text, 'PX', life)
    if ARGV[at + 4] ~= '' then redis.call('SADD', KEYS[2], ARGV[at + 4]) end
    if epoch < mine then epoch = mine end
  end
  out[#out + 1] = answer
end
if epoch > known then redis.call('SET', KEYS[1], epoch) end
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
