import type { SessionData } from 'express-session';

type Content = Record<string, unknown>;

/**
 * Joins two changes of one session, key by key, from what both started with: a key that only one side
 * changed, added or removed is taken from that side.
 *
 * The cookie is always `mine`: it says when the session ends, and this request used it last.
 *
 * @param base - what the request read
 * @returns `undefined` where both changed the same key: nobody can tell which one is meant. Equal values are no
 * exception, since two requests that both count from 1 to 2 have lost a visit; two that remove a key have not
 */
export function mergeSessions(base: SessionData, mine: SessionData, theirs: SessionData): SessionData | undefined {
  const [old, ours, others] = [plain(base), plain(mine), plain(theirs)];
  const merged: [key: string, value: unknown][] = [['cookie', ours['cookie']]];
  for (const key of new Set([...Object.keys(ours), ...Object.keys(others)])) {
    if (key === 'cookie') continue;
    const [was, now, there] = [old[key], ours[key], others[key]].map((value) => JSON.stringify(value));
    if (now !== was && there !== was) return undefined;
    const value = now === was ? others[key] : ours[key];
    if (value !== undefined) merged.push([key, value]);
  }
  return Object.fromEntries(merged) as unknown as SessionData;
}

/** As it lies in the store: `undefined`, dates and whatever has a toJSON are what JSON makes of them. */
function plain(data: SessionData): Content {
  return JSON.parse(JSON.stringify(data)) as Content;
}
