import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Config } from '../config/schema.ts';
import { RedoubtError } from '../core/errors.ts';
import { checkMachine } from './check/check.ts';
import type { Extensions } from './extensions.ts';
import { MACHINE_IDS } from './registry.ts';
import type { MachineDefinition } from './types.ts';
import { vocabularyOf } from './vocabulary.ts';

/** One mistake in a machine file. */
export interface Finding {
  readonly file: string;
  /** Stable, kebab-case: `unknown-target`. */
  readonly code: string;
  /** Place in the machine: `states.available.on.redis.lost`. */
  readonly path: string;
  readonly message: string;
}

export interface LoadedMachines {
  /** Those that could be read, findings or not. */
  readonly definitions: readonly MachineDefinition[];
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
      findings.push({ file: dir, code: 'no-folder', path: '', message: 'there is no such folder' });
    } else {
      for (const name of readdirSync(dir).filter((entry) => entry.endsWith(SUFFIX))) {
        files.set(name.slice(0, -SUFFIX.length), join(dir, name));
      }
    }
  }
  const ids = machineIdsOf(config, extensions);
  const definitions = [...files].flatMap(([name, file]) => readMachine(name, file, ids, options, findings));
  for (const id of ids.filter((wanted) => !files.has(wanted))) {
    const file = join(dir || OWN_DIR, id + SUFFIX);
    findings.push({
      file,
      code: 'missing-machine',
      path: '',
      message: 'there is no such file, but the machine is to run',
    });
  }
  return { definitions, findings };
}

/** The same, for a start: @throws {RedoubtError} `ERR_MACHINE` naming every mistake at once. */
export function loadCheckedMachines(options: LoadMachinesOptions): readonly MachineDefinition[] {
  const { definitions, findings } = loadMachines(options);
  if (findings.length === 0) return definitions;
  const lines = findings.map(
    ({ file, path, code, message }) => `${file}: ${path ? `${path}: ` : ''}${message} [${code}]`,
  );
  throw new RedoubtError('ERR_MACHINE', { message: `\n  ${lines.join('\n  ')}`, findings: findings.length });
}

/** The folders whose files `loadMachines` reads. */
export function machineFolders(dir: string): readonly string[] {
  return dir === '' ? [OWN_DIR] : [OWN_DIR, dir];
}

/** The machines that are run: Redoubt's own, one for each further Redis, and the user's. */
export function machineIdsOf(config: Config, extensions: Extensions): readonly string[] {
  return [...MACHINE_IDS, ...Object.keys(config.runtime.redis), ...Object.keys(extensions.detectors ?? {})];
}

function readMachine(
  name: string,
  file: string,
  ids: readonly string[],
  { config, extensions }: LoadMachinesOptions,
  findings: Finding[],
): MachineDefinition[] {
  const add = (code: string, path: string, message: string): number => findings.push({ file, code, path, message });
  let definition: MachineDefinition;
  try {
    definition = JSON.parse(readFileSync(file, 'utf8')) as MachineDefinition;
  } catch (error) {
    add('not-json', '', `cannot be read: ${(error as Error).message}`);
    return [];
  }
  if (!ids.includes(name)) {
    add(
      'unknown-machine',
      '',
      `no machine of this name is run; the files are ${ids.map((id) => id + SUFFIX).join(', ')}`,
    );
    return [];
  }
  if (definition?.id !== name) {
    add('wrong-id', 'id', `must be "${name}", as the file is named, found ${JSON.stringify(definition?.id)}`);
    return [];
  }
  for (const { code, path, message } of checkMachine(definition, vocabularyOf(config, name, extensions)))
    add(code, path, message);
  return [definition];
}
