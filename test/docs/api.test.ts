import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { ROOT } from './blocks.ts';

const page = readFileSync(join(ROOT, 'docs/api.md'), 'utf8');

/** The entries of the package, and where the interfaces that applications are handed are declared. */
const ENTRIES = ['index', 'cache', 'sessions', 'sockets', 'jobs'].map((name) => `src/${name}.ts`);
const TYPES = [
  'src/api.ts',
  'src/runtime/types.ts',
  'src/observe/log.ts',
  'src/core/mode.ts',
  ...readdirSync(join(ROOT, 'src/services')).map((service) => `src/services/${service}/types.ts`),
];

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8').replaceAll(/\/\*\*[\s\S]*?\*\//g, '');
}

/** Names that an entry exports. */
function exportsOf(path: string): string[] {
  return [...read(path).matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(([, names = '']) =>
    names
      .split(',')
      .map((name) => name.trim().replace(/^type /, ''))
      .filter((name) => name !== ''),
  );
}

interface Member {
  readonly type: string;
  readonly member: string;
}

/** Names of the members of an exported interface; those of objects inside it are not its own. */
function membersOf(path: string): Member[] {
  return [...read(path).matchAll(/^export interface (\w+)[^{]*\{\n([\s\S]*?)^\}/gm)].flatMap(
    ([, type = '', body = '']) =>
      [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[(:<]/gm)].map(([, member = '']) => ({ type, member })),
  );
}

const exported = [...new Set(ENTRIES.flatMap(exportsOf))];

/** The sections of the page. */
const sections = page.split(/^(?=## )/m);

/** The section that a type is described in: its name is the heading, or stands there in bold. */
function sectionOf(type: string): string {
  const heading = sections.find((text) => text.startsWith(`## ${type}\n`));
  return heading ?? sections.find((text) => new RegExp(`\\*\\*${type}(?:\\*\\*|\\()`).test(text)) ?? '';
}

function isNamed(name: string): boolean {
  return new RegExp(`(?:\\*\\*|\`|^## )${name}\\b`, 'm').test(page);
}

function isInItsSection({ type, member }: Member): boolean {
  return new RegExp(`\`${member}\\b`).test(sectionOf(type));
}

describe('docs/api.md', () => {
  it('finds the exports and their members', () => {
    expect(exported).toEqual(expect.arrayContaining(['createRedoubt', 'Redoubt', 'KeyvStore', 'JobQueue']));
    expect(membersOf('src/api.ts')).toContainEqual({ type: 'Redoubt', member: 'close' });
  });

  it('has every name that an entry exports', () => {
    expect(exported.filter((name) => !isNamed(name))).toEqual([]);
  });

  it('has every member of what an application is handed, in the section of its type', () => {
    const members = TYPES.flatMap(membersOf).filter(({ type }) => exported.includes(type));
    expect(members.length).toBeGreaterThan(100);
    expect(members.filter((each) => !isInItsSection(each))).toEqual([]);
  });
});
