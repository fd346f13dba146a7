import { resolve } from 'node:path';

import { configJsonSchema } from '../config/json-schema.ts';
import { loadConfig } from '../config/load.ts';
import { RedoubtError } from '../core/errors.ts';
import { suggest } from '../core/format.ts';
import { loadExtensions } from '../runtime/extensions.ts';
import { machineJsonSchema } from '../runtime/json-schema.ts';
import { type Command, type Context, EXIT, type Invocation } from './command.ts';

/** `redoubt schema machine|config`. */
export const schema: Command = {
  usage: 'schema machine|config [--config FILE]',
  description: `Prints the JSON Schema (draft-07) of machine files or of configuration files, for editors to complete and
explain. That of machines knows what the configuration adds: delays, further Redises, extensions.`,
  options: {
    config: { type: 'string', value: 'FILE', doc: 'One more configuration file on top (REDOUBT_CONFIG).' },
  },
  positionals: 1,
  run: runSchema,
};

async function runSchema({ values, positionals }: Invocation, context: Context): Promise<number> {
  const [kind = ''] = positionals;
  if (kind !== 'machine' && kind !== 'config') {
    const near = kind && suggest(kind, ['machine', 'config']);
    const found = kind ? `unknown schema ${kind}` : 'no schema was named';
    throw new RedoubtError('ERR_USAGE', {
      message: `${found}${near ? ` (did you mean ${near}?)` : ': machine or config'}`,
    });
  }
  const file = values['config'];
  const printed = kind === 'config' ? configJsonSchema() : await machineSchema(file, context);
  context.out(JSON.stringify(printed, null, 2));
  return EXIT.fine;
}

async function machineSchema(file: string | boolean | undefined, { cwd, env }: Context): Promise<object> {
  const { config } = loadConfig({
    audience: 'server',
    file: typeof file === 'string' ? resolve(cwd, file) : undefined,
    env,
  });
  return machineJsonSchema(config, await loadExtensions(config.runtime.extensions, cwd));
}
