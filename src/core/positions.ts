/**
 * Where each value of a JSON or JSON5 text stands. `JSON.parse` forgets places and silently keeps the
 * last of two equal keys; what people edit by hand is scanned here too, for both.
 */

/** One value of a text, and the key that names it. Offsets count UTF-16 units from 0. */
export interface SourceNode {
  /** Offset of the key; the value's own in a list and at the top. */
  readonly key: number;
  readonly value: number;
  /** Neither an object nor a list. */
  readonly isScalar: boolean;
  /** By key, or by index in a list. */
  readonly children: ReadonlyMap<string, SourceNode>;
}

/** A key that its object has twice. */
export interface DuplicateKey {
  /** Dotted, from the top. */
  readonly path: string;
  readonly first: number;
  readonly second: number;
}

export interface ScannedSource {
  readonly root: SourceNode;
  readonly duplicates: readonly DuplicateKey[];
}

/** Line and column, both from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** The text is not what its dialect allows, from `offset` on. */
export class SourceError extends SyntaxError {
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

export type Dialect = 'json' | 'json5';

const SPACE = { json: /[ \t\r\n]*/y, json5: /(?:\s|\/\/.*|\/\*[^]*?\*\/)*/y } as const;
const STRING = {
  json: /"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"/uy,
  json5: /"(?:[^"\\]|\\[^])*"|'(?:[^'\\]|\\[^])*'/y,
} as const;
const KEY = { json: STRING.json, json5: new RegExp(`${STRING.json5.source}|[\\p{L}\\p{N}$_]+`, 'uy') } as const;
const WORD = {
  json: /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])/y,
  json5: /[^\s,:{}[\]"'/]+/y,
} as const;

/** @throws {SourceError} where the text is not of this dialect; JSON5 is only skimmed */
export function scanSource(text: string, dialect: Dialect): ScannedSource {
  const scanner = new Scanner(text, dialect);
  return { root: scanner.scan(), duplicates: scanner.duplicates };
}

/** Line and column of an offset. */
export function placeOf(text: string, offset: number): Place {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  return { line, column: offset - before.lastIndexOf('\n') };
}

/** The node of a dotted path whose keys may hold dots themselves, or the nearest around it. */
export function nodeAt(root: SourceNode, path: string): SourceNode {
  let found: string | undefined;
  for (const key of root.children.keys()) {
    const fits = path === key || path.startsWith(`${key}.`);
    if (fits && key.length >= (found?.length ?? 0)) found = key;
  }
  const child = found === undefined ? undefined : root.children.get(found);
  return child && found !== undefined ? nodeAt(child, path.slice(found.length + 1)) : root;
}

class Scanner {
  readonly duplicates: DuplicateKey[] = [];
  readonly #text: string;
  readonly #dialect: Dialect;
  #at = 0;

  constructor(text: string, dialect: Dialect) {
    // A byte order mark is no part of the text, but of its offsets.
    this.#text = text.replace(/^\uFEFF/, ' ');
    this.#dialect = dialect;
  }

  scan(): SourceNode {
    const root = this.#value([], undefined);
    if (this.#at < this.#text.length) this.#fail('the end of the file');
    return root;
  }

  #value(keys: readonly string[], key: number | undefined): SourceNode {
    this.#take(SPACE);
    const value = this.#at;
    const open = this.#text[value];
    const children = new Map<string, SourceNode>();
    if (open === '{') this.#members('}', () => this.#member(keys, children));
    else if (open === '[') {
      this.#members(']', () =>
        children.set(String(children.size), this.#value([...keys, String(children.size)], undefined)),
      );
    } else if (!this.#take(STRING) && !this.#take(WORD)) this.#fail('a value');
    this.#take(SPACE);
    return { key: key ?? value, value, isScalar: open !== '{' && open !== '[', children };
  }

  #members(close: '}' | ']', member: () => void): void {
    this.#at += 1;
    this.#take(SPACE);
    let ended = this.#skip(close);
    while (!ended) {
      member();
      ended = this.#skip(close);
      if (ended) return;
      if (!this.#skip(',')) this.#fail(`"," or "${close}"`);
      this.#take(SPACE);
      if (this.#dialect === 'json5') ended = this.#skip(close);
    }
  }

  #member(keys: readonly string[], children: Map<string, SourceNode>): void {
    const at = this.#at;
    const token = this.#take(KEY);
    if (!token) this.#fail(this.#dialect === 'json' ? 'a key in double quotes' : 'a key');
    const name = nameOf(token);
    this.#take(SPACE);
    if (!this.#skip(':')) this.#fail('":"');
    const path = [...keys, name];
    const first = children.get(name);
    if (first) this.duplicates.push({ path: path.join('.'), first: first.key, second: at });
    children.set(name, this.#value(path, at));
  }

  #take(pattern: Readonly<Record<Dialect, RegExp>>): string {
    const sticky = pattern[this.#dialect];
    sticky.lastIndex = this.#at;
    const [token = ''] = sticky.exec(this.#text) ?? [];
    this.#at += token.length;
    return token;
  }

  #skip(mark: string): boolean {
    if (this.#text[this.#at] !== mark) return false;
    this.#at += 1;
    return true;
  }

  #fail(expected: string): never {
    const rest = this.#text.slice(this.#at, this.#at + 20).split('\n', 1)[0] ?? '';
    const found = this.#at >= this.#text.length ? 'the end of the file' : JSON.stringify(rest.slice(0, 20));
    const hint = /^\/[/*]/.test(rest) ? '; JSON has no comments' : /^[}\]]/.test(rest) ? '; remove the comma' : '';
    throw new SourceError(`expected ${expected}, found ${found}${hint}`, this.#at);
  }
}

function nameOf(token: string): string {
  if (!/^["']/.test(token)) return token;
  return token.includes('\\') && token.startsWith('"') ? (JSON.parse(token) as string) : token.slice(1, -1);
}
