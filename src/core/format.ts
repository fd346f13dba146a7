const DURATION_UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const SIZE_UNITS = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 } as const;

function parseUnit(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([a-z]+)$/.exec(text.trim().toLowerCase());
  const factor = match ? units[match[2] ?? ''] : undefined;
  return match && factor !== undefined ? Number(match[1]) * factor : undefined;
}

/** Milliseconds of `250ms`, `5s`, `2m`, `1h`, `7d`; `undefined` for anything else, a bare number included. */
export function parseDuration(text: string): number | undefined {
  return parseUnit(text, DURATION_UNITS);
}

/** Bytes of `512b`, `64kb`, `64mb`, `1gb` (powers of 1024); `undefined` for anything else. */
export function parseSize(text: string): number | undefined {
  const bytes = parseUnit(text, SIZE_UNITS);
  return bytes === undefined ? undefined : Math.floor(bytes);
}

/** The shortest exact text for a length: `1500` → `1.5s`, `300000` → `5m`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    const amount = ms / DURATION_UNITS[unit];
    if (amount >= 1 && (Number.isInteger(amount) || unit === 's')) {
      return `${Math.round(amount * 10) / 10}${unit}`;
    }
  }
  return `${Math.round(ms)}ms`;
}

/** Edit distance of two words (Levenshtein 1966), for "did you mean". */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replace = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replace, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}

/** The candidate nearest to `word`, where it is near enough (a third of its length) to be meant. */
export function suggest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}
