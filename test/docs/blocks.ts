import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** README.md and every page of docs/ that somebody wrote by hand. */
export const PAGES: readonly string[] = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** Words of a comment that have a value; docs.test.ts explains them. */
const VALUED = ['serves', 'throws', 'file', 'in', 'answer', 'types', 'no'] as const;

/** What the comment before a block says of its test. */
export interface Directive extends Readonly<Partial<Record<(typeof VALUED)[number], string>>> {
  /** Names that are there already. */
  readonly with: readonly string[];
  /** Whether it is an outage for `redoubt simulate`. */
  readonly script: boolean;
}

/** A fenced block of a page. */
export interface Block {
  readonly page: string;
  /** Of its first fence, from 1. */
  readonly line: number;
  /** `''` for a block that names no language: a drawing, or what a command prints. */
  readonly language: string;
  readonly text: string;
  readonly directive: Directive;
}

/** How a test calls a block. */
export function titleOf({ page, line, language }: Block): string {
  return `${page}:${line} ${language}`;
}

/** All blocks of a page, in its order. @throws {Error} for a fence without an end, or a directive that means nothing */
export function blocksOf(page: string): readonly Block[] {
  const lines = readFileSync(join(ROOT, page), 'utf8').split('\n');
  const blocks: Block[] = [];
  let directive: Directive | undefined;
  // An empty line between the comment and its block is what formatters want.
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    const said = /^<!-- test: (.*) -->$/.exec(line)?.[1];
    if (said !== undefined) directive = readDirective(said, `${page}:${at + 1}`);
    const fence = /^( *)```(\w*)$/.exec(line);
    if (fence) {
      const [, indent = '', language = ''] = fence;
      const end = lines.indexOf(`${indent}\`\`\``, at + 1);
      if (end < 0) throw new Error(`${page}:${at + 1}: a block without an end`);
      const text = lines.slice(at + 1, end).map((each) => each.slice(indent.length));
      const none = { with: [], script: false };
      blocks.push({ page, line: at + 1, language, text: `${text.join('\n')}\n`, directive: directive ?? none });
      at = end;
      directive = undefined;
    } else if (said === undefined && line !== '') directive = undefined;
  }
  return blocks;
}

function readDirective(text: string, place: string): Directive {
  const values: Partial<Record<string, string>> = {};
  for (const clause of text.split('; ')) {
    const [, word = '', value = ''] = /^(\w+):? ?(.*)$/.exec(clause) ?? [];
    const isKnown = word === 'script' || (value !== '' && (word === 'with' || VALUED.some((each) => each === word)));
    if (!isKnown) throw new Error(`${place}: "${clause}" means nothing; docs.test.ts has the words`);
    values[word] = value;
  }
  const { with: names = '', script, ...others } = values;
  return { ...others, with: names.split(', ').filter((name) => name !== ''), script: script !== undefined };
}
