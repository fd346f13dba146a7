import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import type { Command } from '../../src/cli/command.ts';
import { parseInvocation } from '../../src/cli/usage.ts';
import { ROOT, type Block } from './blocks.ts';
import { MANIFEST, type Project } from './installed.ts';

/** Commands of redoubt that neither need a server nor go on running: they are run as they stand. */
const HARMLESS = new Set(['check', 'diagram', 'schema', 'simulate']);

/** Programs of others, about which nothing is checked. */
const OTHERS = new Set([
  'cd',
  'cmp',
  'dot',
  'docker',
  'git',
  'grep',
  'jq',
  'kill',
  'kubectl',
  'node',
  'psql',
  'rg',
  'ssh',
  'xargs',
  'cut',
  'sort',
]);

/** One simple command of a block, without what it is piped into. */
export interface Line {
  readonly text: string;
  readonly words: readonly string[];
}

/** The commands of a block; what is behind `|`, `>` or `#` does not belong to them. */
export function linesOf(block: Block): readonly Line[] {
  return block.text
    .replaceAll('\\\n', ' ')
    .split('\n')
    .flatMap((line) => splitOutside(withoutComment(line), /^(?:&&|\|\|?|;)/))
    .map((text) => text.trim())
    .filter((text) => text !== '')
    .map((text) => ({ text, words: wordsOf(text) }));
}

/** What npm is told to install, in a block. */
export function packagesOf(block: Block): readonly string[] {
  return linesOf(block)
    .filter(({ words: [program, verb] }) => program === 'npm' && (verb === 'i' || verb === 'install'))
    .flatMap(({ words }) => words.slice(2).filter((word) => !word.startsWith('-')))
    .map((spec) => spec.replace(/(?<=.)@[^/]*$/, ''));
}

/**
 * Checks one command: that it exists, and its options; runs it where that does no harm.
 *
 * @param ask - sends what a curl would send to a server that runs; gives the status
 * @returns what is wrong with it, or `''`
 */
export async function mistakeOf(
  line: Line,
  project: Project,
  ask: (url: URL, init: RequestInit) => Promise<number>,
): Promise<string> {
  const words = line.words.slice(line.words.findIndex((word) => !/^[A-Z_]+=/.test(word)));
  const [program = '', ...rest] = words;
  if (program === 'redoubt') return redoubtMistake(rest, project);
  if (program === 'npx' && rest[0] === 'redoubt') return redoubtMistake(rest.slice(1), project);
  if (program === 'npm') return npmMistake(rest, project);
  if (program === 'curl') return curlMistake(rest, ask);
  return OTHERS.has(program) ? '' : `nobody knows the program ${program}`;
}

async function redoubtMistake([name = '', ...rest]: readonly string[], project: Project): Promise<string> {
  const file = join(ROOT, 'src', 'cli', `${name}.ts`);
  if (!existsSync(file)) return `redoubt has no command ${name}`;
  const command = ((await import(file)) as Record<string, Command>)[name]!;
  const args = untilRedirection(rest);
  try {
    parseInvocation(command, args);
  } catch (error) {
    return (error as Error).message;
  }
  // A record is of a server that has had an outage.
  if (!HARMLESS.has(name) || args.includes('--record')) return '';
  const options = { cwd: project.dir, env: { PATH: process.env['PATH'] } };
  return promisify(execFile)(process.execPath, [project.bin, name, ...args], options).then(
    () => '',
    (error: Error & { stderr?: string }) => error.stderr || error.message,
  );
}

async function npmMistake([verb = '', ...rest]: readonly string[], project: Project): Promise<string> {
  // What is installed is linked before, and a name that nobody knows is noticed then.
  if (['ci', 'init', 'i', 'install', 'uninstall', 'ls'].includes(verb)) return '';
  const script = verb === 'run' ? rest[0]! : verb;
  if (!Object.hasOwn(MANIFEST.scripts, script)) return `package.json has no script ${script}`;
  const behind = rest.includes('--') ? rest.slice(rest.indexOf('--') + 1) : [];
  if (script === 'start') return redoubtMistake(['serve', ...behind], project);
  return script === 'redoubt' ? redoubtMistake(behind, project) : '';
}

async function curlMistake(
  args: readonly string[],
  ask: (url: URL, init: RequestInit) => Promise<number>,
): Promise<string> {
  const headers = new Headers();
  let method = 'GET';
  let body: string | undefined;
  let address = '';
  for (let i = 0; i < args.length; i += 1) {
    const word = args[i]!;
    const value = args[i + 1] ?? '';
    if (['-X', '-H', '-d', '--json'].includes(word)) i += 1;
    if (word === '-X') method = value;
    else if (word === '-H') headers.append(value.split(': ')[0]!, value.split(': ')[1] ?? '');
    else if (word === '-d' || word === '--json') {
      body = value;
      method = method === 'GET' ? 'POST' : method;
      headers.set('Content-Type', word === '-d' ? 'application/x-www-form-urlencoded' : 'application/json');
    } else if (/^-[sNfiS]+$/.test(word)) continue;
    else if (word.startsWith('http')) address = word;
    else return `curl's ${word} is not known here`;
  }
  if (address === '') return 'no address';
  const status = await ask(new URL(address), { method, headers, ...(body === undefined ? {} : { body }) });
  return status < 400 ? '' : `${method} ${address} was answered ${status}`;
}

function untilRedirection(words: readonly string[]): readonly string[] {
  const at = words.findIndex((word) => word === '>' || word === '<');
  return at < 0 ? words : words.slice(0, at);
}

function withoutComment(line: string): string {
  return splitOutside(` ${line}`, /^ #/)[0] ?? '';
}

/** Splits where `mark` matches outside of quotes. */
function splitOutside(text: string, mark: RegExp): string[] {
  const parts = [''];
  let quote = '';
  for (let at = 0; at < text.length; at += 1) {
    const from = at;
    const sign = text[at]!;
    const found = quote === '' ? mark.exec(text.slice(at))?.[0] : undefined;
    if (found !== undefined) {
      parts.push('');
      at += found.length - 1;
      continue;
    }
    if (sign === '\\' && quote !== "'") at += 1;
    else if (sign === quote) quote = '';
    else if (quote === '' && (sign === "'" || sign === '"')) quote = sign;
    parts.push(parts.pop() + text.slice(from, at + 1));
  }
  return parts;
}

function wordsOf(text: string): string[] {
  return [...text.matchAll(/(?:[^\s'"]|'[^']*'|"[^"]*")+/g)].map(([word]) => word.replaceAll(/['"]/g, ''));
}
