import type { Observation } from './behaviour.ts';

/** Where two observations differ: paths such as `first.cookies.0`, with what is seen there; `null`: nothing. */
export type Changes = Readonly<Record<string, unknown>>;

/** What is seen in place of what is usual. */
export function changesOf(usual: Observation, seen: Observation, path = ''): Changes {
  if (Object.is(usual, seen)) return {};
  if (!isBranch(usual) || !isBranch(seen)) return { [path]: seen ?? null };
  const keys = [...new Set([...Object.keys(usual), ...Object.keys(seen)])];
  const below = (key: string): Changes => changesOf(usual[key], seen[key], path === '' ? key : `${path}.${key}`);
  return Object.assign({}, ...keys.map(below)) as Changes;
}

function isBranch(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
