import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Config } from '../config/schema.ts';
import { RedoubtError } from '../core/errors.ts';
import { SourceError, placeOf, scanSource } from '../core/positions.ts';
import { checkMachine } from './check/check.ts';
import type { CheckCode, CheckFinding } from './check/codes.ts';
import { checkTogether } from './check/together.ts';
import type { Extensions } from './extensions.ts';
import { type Finding, formatFinding, isError, locate } from './finding.ts';
import { MACHINE_IDS } from './registry.ts';
import type { MachineDefinition } from './types.ts';
import { vocabularyOf } from './vocabulary.ts';

export type { Finding } from './finding.ts';

export interface LoadedMachines {
  /** Those that could be read, findings or not. */
  readonly definitions: readonly MachineDefinition[];
  /** Errors and warnings, file by file. */
  readonly findings: readonly Finding[];
}

/** Where machines come from, and what they may name. */
export interface LoadMachinesOptions {
  /** Folder of `*.machine.json`; empty for Redoubt's own. */
  readonly dir: string;
  readonly config: Config;
  readonly extensions?: Extensions;
}

const OWN_DIR = fileURLToPath(new URL('../../machines/', import.meta.url));
const SUFFIX = '.machine.json';

/**
 * Reads and checks the machines of a folder; one that the folder does not hold is Redoubt's own.
 * XState accepts most mistakes in silence, so nothing starts before this has found none.
 *
 * @param options.dir - folder of `*.machine.json`; empty for Redoubt's own
 */
export function loadMachines(options: LoadMachinesOptions): LoadedMachines {
  const { dir, config, extensions = {} } = options;
  const findings: Finding[] = [];
  const files = new Map(MACHINE_IDS.map((id) => [id as string, join(OWN_DIR, id + SUFFIX)]));
  if (dir !== '') {
    if (!existsSync(dir)) {
      findings.push(locate(dir, { code: 'no-folder', path: '', message: 'there is no such folder' }));
    } else {
      for (const name of readdirSync(dir).filter((entry) => entry.endsWith(SUFFIX))) {
        files.set(name.slice(0, -SUFFIX.length), join(dir, name));
      }
    }
  }
  const ids = machineIdsOf(config, extensions);
  const read = [...files].flatMap(([name, file]) => {
    const machine = readMachine(name, file, ids, options);
    findings.push(...machine.findings);
    return machine.definition ? [{ ...machine, file, definition: machine.definition }] : [];
  });
  for (const id of ids.filter((wanted) => !files.has(wanted))) {
    const message = 'there is no such file, but the machine is to run';
    findings.push(locate(join(dir || OWN_DIR, id + SUFFIX), { code: 'missing-machine', path: '', message }));
  }
  const definitions = read.map(({ definition }) => definition);
  // What machines mean together can be told only where each is sound by itself.
  if (findings.some(isError)) return { definitions, findings };
  for (const { machine, ...finding } of checkTogether(definitions)) {
    const at = read.find(({ definition }) => definition.id === machine);
    if (at) findings.push(locate(at.file, finding, at.source));
  }
  return { definitions, findings };
}

/**
 * The same, for a start: warnings keep nothing from it.
 *
 * @param onWarning - gets each of them
 * @throws {RedoubtError} `ERR_MACHINE` naming every mistake at once
 */
export function loadCheckedMachines(
  options: LoadMachinesOptions,
  onWarning?: (warning: Finding) => void,
): readonly MachineDefinition[] {
  const { definitions, findings } = loadMachines(options);
  const errors = findings.filter(isError);
  if (errors.length > 0) {
    const lines = errors.map((finding) => formatFinding(finding));
    throw new RedoubtError('ERR_MACHINE', { message: `\n  ${lines.join('\n  ')}`, findings: errors.length });
  }
  if (onWarning) findings.forEach(onWarning);
  return definitions;
}

/** The folders whose files `loadMachines` reads. */
export function machineFolders(dir: string): readonly string[] {
  return dir === '' ? [OWN_DIR] : [OWN_DIR, dir];
}

/** The machines that are run: Redoubt's own, one for each further Redis, and the user's. */
export function machineIdsOf(config: Config, extensions: Extensions): readonly string[] {
  return [...MACHINE_IDS, ...Object.keys(config.runtime.redis), ...Object.keys(extensions.detectors ?? {})];
}

interface ReadMachine {
  readonly definition?: MachineDefinition;
  readonly findings: readonly Finding[];
  readonly source?: Parameters<typeof locate>[2];
}

function readMachine(
  name: string,
  file: string,
  ids: readonly string[],
  { config, extensions }: LoadMachinesOptions,
): ReadMachine {
  const whole = (code: CheckCode, message: string): ReadMachine => ({
    findings: [locate(file, { code, path: '', message })],
  });
  let text = '';
  let source: NonNullable<ReadMachine['source']>;
  let definition: MachineDefinition;
  try {
    text = readFileSync(file, 'utf8');
    source = { text, scanned: scanSource(text, 'json') };
    definition = JSON.parse(text) as MachineDefinition;
  } catch (error) {
    const place = error instanceof SourceError ? placeOf(text, error.offset) : {};
    const [finding] = whole('not-json', `cannot be read: ${(error as Error).message}`).findings;
    return { findings: finding ? [{ ...finding, ...place }] : [] };
  }
  if (!ids.includes(name)) {
    const files = ids.map((id) => id + SUFFIX).join(', ');
    return whole('unknown-machine', `no machine of this name is run; the files are ${files}`);
  }
  const findings: CheckFinding[] = source.scanned.duplicates.map(({ path, first }) => {
    const { line } = placeOf(text, first);
    return { code: 'duplicate-key', path, message: `given twice; the first, in line ${line}, is lost: merge the two` };
  });
  // A machine under another's id would be run as that one; where it has none, its shape says so.
  const id: unknown = definition?.id;
  const isOther = id !== undefined && id !== name;
  if (isOther) findings.push({ code: 'wrong-id', path: 'id', message: wrongId(name, id) });
  else findings.push(...checkMachine(definition, vocabularyOf(config, name, extensions)));
  const located = findings.map((finding) => locate(file, finding, source));
  return { findings: located, source, ...(id === name ? { definition } : {}) };
}

function wrongId(name: string, found: unknown): string {
  return `must be "${name}", as the file is named, found ${JSON.stringify(found)}`;
}
