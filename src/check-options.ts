import type { RedoubtOptions } from './api.ts';
import { RedoubtError } from './core/errors.ts';
import { suggest } from './core/format.ts';

const OPTIONS = ['config', 'machines', 'logger'] as const satisfies readonly (keyof RedoubtOptions)[];
const LOGGER_METHODS = ['debug', 'info', 'warn', 'error', 'child'] as const;

/** Refuses what is no option, or none of its kind: types are not there for everybody. @throws {RedoubtError} `ERR_CONFIG` */
export function checkOptions(options: unknown): asserts options is RedoubtOptions {
  if (!isObject(options)) throw refusal(`createRedoubt() takes an object with ${OPTIONS.join(', ')}`);
  for (const name of Object.keys(options)) {
    if ((OPTIONS as readonly string[]).includes(name)) continue;
    const near = suggest(name, OPTIONS);
    const hint = near ? ` (did you mean "${near}"?)` : '';
    throw refusal(`createRedoubt() has no option "${name}"${hint}; known are ${OPTIONS.join(', ')}`);
  }
  const { config, machines, logger } = options;
  if (config !== undefined && typeof config !== 'string' && !isObject(config)) {
    throw refusal('config is the path of a file, or an object in the shape of one');
  }
  if (machines !== undefined && typeof machines !== 'string') throw refusal('machines is the path of a folder');
  if (logger === undefined) return;
  const missing = LOGGER_METHODS.filter(
    (name) => typeof (logger as Record<string, unknown> | null)?.[name] !== 'function',
  );
  if (missing.length > 0) {
    throw refusal(`logger has the methods ${LOGGER_METHODS.join(', ')}, as pino's has; missing: ${missing.join(', ')}`);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refusal(message: string): RedoubtError {
  return new RedoubtError('ERR_CONFIG', { message });
}
