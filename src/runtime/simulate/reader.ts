import { parseDuration, suggest } from '../../core/format.ts';

/** One mistake in a script. */
export interface ScriptFinding {
  readonly file: string;
  /** Place in the script: `redis[1].latency`. */
  readonly path: string;
  readonly message: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** Reads a script's values and collects every mistake with its path; nothing is thrown. */
export class Reader {
  readonly findings: ScriptFinding[] = [];
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  add(path: string, message: string): void {
    this.findings.push({ file: this.#file, path, message });
  }

  /** An object that has these keys and no others. */
  object(value: unknown, path: string, keys: readonly string[]): Fields {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      this.add(path, `must be an object with ${keys.join(', ')}, found ${shown(value)}`);
      return {};
    }
    for (const key of Object.keys(value)) {
      if (!keys.includes(key)) this.add(join(path, key), `unknown key${this.hint(key, keys)}`);
    }
    return value as Fields;
  }

  /** A list whose items are read one by one; a missing one is empty. */
  list<T>(fields: Fields, key: string, path: string, max: number, read: (item: unknown, path: string) => T): T[] {
    const value = fields[key];
    const at = join(path, key);
    if (value === undefined) return [];
    if (!Array.isArray(value)) {
      this.add(at, `must be a list, found ${shown(value)}`);
      return [];
    }
    if (value.length > max) this.add(at, `must have at most ${max} entries, found ${value.length}`);
    return value.slice(0, max).map((item, i) => read(item, `${at}[${i}]`));
  }

  text(fields: Fields, key: string, path: string, fallback?: string): string {
    const value = fields[key] ?? fallback;
    if (typeof value === 'string' && (value !== '' || fallback === '')) return value;
    this.add(join(path, key), `must be a text, found ${shown(value)}`);
    return '';
  }

  /** Milliseconds of a duration with its unit, within bounds. */
  duration(fields: Fields, key: string, path: string, [min, max]: readonly [number, number]): number | undefined {
    const value = fields[key];
    if (value === undefined) return undefined;
    const ms = typeof value === 'string' ? parseDuration(value) : undefined;
    if (ms !== undefined && ms >= min && ms <= max) return ms;
    const bounds = ms === undefined ? 'with its unit, such as "250ms", "5s" or "2m"' : `from ${min}ms to ${max}ms`;
    this.add(join(path, key), `must be a duration ${bounds}, found ${shown(value)}`);
    return undefined;
  }

  number(fields: Fields, key: string, path: string, [min, max]: readonly [number, number]): number | undefined {
    const value = fields[key];
    if (value === undefined) return undefined;
    if (typeof value === 'number' && value >= min && value <= max) return value;
    this.add(join(path, key), `must be a number from ${min} to ${max}, found ${shown(value)}`);
    return undefined;
  }

  /** One of these words; the first one where the mistake must not lead to further ones. */
  word<Word extends string>(fields: Fields, key: string, path: string, words: readonly Word[]): Word | undefined {
    const value = fields[key];
    if (words.includes(value as Word)) return value as Word;
    const allowed = words.map((word) => `"${word}"`).join(', ');
    const near = typeof value === 'string' ? this.hint(value, words) : '';
    this.add(join(path, key), `must be one of ${allowed}, found ${shown(value)}${near}`);
    return undefined;
  }

  hint(word: string, candidates: readonly string[]): string {
    const near = suggest(word, candidates);
    return near ? ` (did you mean "${near}"?)` : '';
  }
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

function shown(value: unknown): string {
  return value === undefined ? 'nothing' : (JSON.stringify(value) ?? String(value)).slice(0, 60);
}
