import { writeFileSync } from 'node:fs';
import { relative, resolve } from 'node:path';

import { loadConfig } from '../config/load.ts';
import { RedoubtError } from '../core/errors.ts';
import { suggest } from '../core/format.ts';
import { type Drawable, FORMATS, type Format, drawDiagram, drawDiagrams } from '../diagram/diagram.ts';
import { loadExtensions } from '../runtime/extensions.ts';
import { type Finding, formatFinding, isError } from '../runtime/finding.ts';
import { loadMachines } from '../runtime/load.ts';
import { vocabularyOf } from '../runtime/vocabulary.ts';
import { type Command, type Context, EXIT, type Invocation } from './command.ts';

/** `redoubt diagram [machine]`. */
export const diagram: Command = {
  usage: 'diagram [MACHINE] [--format svg|mermaid|dot|json] [--out FILE] [--config FILE] [--machines DIR]',
  description: `Draws a machine from its file, with the numbers of the configuration: states, tags, backends,
transitions, guards and delays. Without MACHINE all of them: json as an array, dot as one graph behind the
other, mermaid as Markdown; an svg shows one. Exit code 1 where a machine has mistakes, which are listed.`,
  options: {
    format: { type: 'string', value: 'FORMAT', doc: 'svg (the default), mermaid, dot or json.' },
    out: { type: 'string', value: 'FILE', doc: 'Write there instead of to standard output.' },
    config: { type: 'string', value: 'FILE', doc: 'One more configuration file on top (REDOUBT_CONFIG).' },
    machines: { type: 'string', value: 'DIR', doc: 'Folder of *.machine.json files (REDOUBT_MACHINES).' },
  },
  positionals: 1,
  run: runDiagram,
};

async function runDiagram({ values, positionals }: Invocation, context: Context): Promise<number> {
  const path = (name: string): string | undefined => {
    const value = values[name];
    return typeof value === 'string' ? resolve(context.cwd, value) : undefined;
  };
  const format = formatOf(values['format'] ?? 'svg');
  const { machines, findings } = await load(path('config'), path('machines'), context);
  const wanted = positionals[0];
  // Mistakes first: a file that cannot be read must not look like a machine that nobody has.
  if (findings.length > 0) return printFindings(findings, context);
  const ids = machines.map(({ definition }) => definition.id);
  const one = machines.find(({ definition }) => definition.id === wanted);
  if (wanted !== undefined && !one) throw unknown('machine', wanted, ids);
  const text = one ? await drawDiagram(format, one) : drawAll(format, machines, ids);
  write(text, path('out'), context);
  return EXIT.fine;
}

function formatOf(value: string | boolean): Format {
  const format = FORMATS.find((each) => each === value);
  if (!format) throw unknown('format', String(value), FORMATS);
  return format;
}

async function load(
  file: string | undefined,
  dir: string | undefined,
  { env, cwd }: Context,
): Promise<{ machines: readonly Drawable[]; findings: readonly Finding[] }> {
  const { config } = loadConfig({ audience: 'server', file, env });
  const extensions = await loadExtensions(config.runtime.extensions, cwd);
  const { definitions, findings } = loadMachines({ dir: dir ?? config.machines.dir, config, extensions });
  const machines = definitions.map((definition) => ({
    definition,
    vocabulary: vocabularyOf(config, definition.id, extensions),
  }));
  // Warnings keep a machine from nothing: `redoubt check` tells them.
  return { machines, findings: findings.filter(isError) };
}

function drawAll(format: Format, machines: readonly Drawable[], ids: readonly string[]): string {
  if (format !== 'svg') return drawDiagrams(format, machines);
  throw new RedoubtError('ERR_USAGE', { message: `an svg shows one machine; name it: ${ids.join(', ')}` });
}

function unknown(kind: string, name: string, known: readonly string[]): RedoubtError {
  const near = suggest(name, known);
  const meant = near ? ` (did you mean ${near}?)` : '';
  return new RedoubtError('ERR_USAGE', { message: `unknown ${kind} ${name}${meant}; there are ${known.join(', ')}` });
}

function write(text: string, out: string | undefined, context: Context): void {
  if (out === undefined) {
    context.out(text.trimEnd());
    return;
  }
  try {
    writeFileSync(out, text);
  } catch (error) {
    throw new Error(`${relative(context.cwd, out)} cannot be written: ${(error as Error).message}`, { cause: error });
  }
}

function printFindings(findings: readonly Finding[], context: Context): number {
  for (const finding of findings) context.err(formatFinding(finding, relative(context.cwd, finding.file)));
  context.err(`${findings.length} ${findings.length === 1 ? 'mistake' : 'mistakes'}; nothing was drawn`);
  return EXIT.wrong;
}
