import type { SessionData } from 'express-session';

type Content = Record<string, unknown>;

/** What two requests made of one session. */
export interface Joined {
  readonly data: SessionData;
  /** Keys that both changed, to different values: mine took the place of theirs. */
  readonly overwritten: readonly string[];
}

/** In the place of a joined session: the key that both changed, and that may not be decided by who came later. */
export interface Refused {
  readonly refused: string;
}

/**
 * Joins two changes of one session, key by key, from what both started with: a key that only one side
 * changed, added or removed is taken from that side. A key that both changed is mine, since I am the later one.
 *
 * The cookie is always mine: it says when the session ends, and this request used it last.
 *
 * @param base - what the request read
 * @param mayOverwrite - whether the later change of this key wins. Where it does not, equal values are a conflict
 * too: two requests that both count from 1 to 2 have lost a visit. Two that remove a key have lost nothing
 */
export function mergeSessions(
  base: SessionData,
  mine: SessionData,
  theirs: SessionData,
  mayOverwrite: (key: string) => boolean,
): Joined | Refused {
  const [old, ours, others] = [plain(base), plain(mine), plain(theirs)];
  const merged: [key: string, value: unknown][] = [['cookie', ours['cookie']]];
  const overwritten: string[] = [];
  for (const key of new Set([...Object.keys(ours), ...Object.keys(others)])) {
    if (key === 'cookie') continue;
    const [was, now, there] = [old, ours, others].map((side) => textOf(side, key));
    const isMine = now !== was;
    if (isMine && there !== was) {
      if (!mayOverwrite(key)) return { refused: key };
      if (now !== there) overwritten.push(key);
    }
    const value = isMine ? ours[key] : others[key];
    if (value !== undefined) merged.push([key, value]);
  }
  return { data: Object.fromEntries(merged) as unknown as SessionData, overwritten };
}

/** Own keys only: one named like something of Object's prototype must not be found there. */
function textOf(side: Content, key: string): string | undefined {
  return Object.hasOwn(side, key) ? JSON.stringify(side[key]) : undefined;
}

/** As it lies in the store: `undefined`, dates and whatever has a toJSON are what JSON makes of them. */
function plain(data: SessionData): Content {
  return JSON.parse(JSON.stringify(data)) as Content;
}
