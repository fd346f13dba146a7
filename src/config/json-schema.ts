import { type Group, type Leaf, SCHEMA, envName, isLeaf } from './schema.ts';

const DURATION = { type: 'string', pattern: '^\\d+(\\.\\d+)?(ms|s|m|h|d)$' } as const;
const REDIS_URL = { type: 'string', pattern: '^rediss?://' } as const;
const REDIS_URL_OR_NONE = { type: 'string', pattern: '^(none$|rediss?://)' } as const;
const INSTANT = String.raw`\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})`;
const NAMES = '^[a-z][a-zA-Z0-9]*$';

/** What each format looks like in a file; a check of the loader is never wider. */
const FORMATS: Readonly<Record<Extract<Leaf['format'], string>, object>> = {
  duration: { ...DURATION, examples: ['250ms', '5s', '2m', '24h'] },
  size: { type: 'string', pattern: '^\\d+(\\.\\d+)?(b|kb|mb|gb)$', examples: ['512b', '64kb', '64mb'] },
  count: { type: 'integer', minimum: 1 },
  ratio: { type: 'number', minimum: 0, maximum: 1 },
  port: { type: 'integer', minimum: 0, maximum: 65_535 },
  boolean: { type: 'boolean' },
  instant: { type: 'string', pattern: `^(|${INSTANT})$`, examples: ['2026-12-31T18:00:00Z'] },
  text: { type: 'string' },
  list: { anyOf: [{ type: 'array', items: { type: 'string' } }, { type: 'string' }] },
  durations: { type: 'object', patternProperties: { [NAMES]: DURATION }, additionalProperties: false },
  redisUrls: { type: 'object', patternProperties: { [NAMES]: REDIS_URL }, additionalProperties: false },
  redisUrl: REDIS_URL_OR_NONE,
  postgresUrl: { type: 'string', pattern: '^(|none|pglite:.+|postgres(ql)?://.*)$' },
};

/** The JSON Schema (draft-07, which every editor understands) of `config/*.json5`, out of the settings. */
export function configJsonSchema(): object {
  const { properties, ...rest } = groupSchema(SCHEMA, '');
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Configuration of Redoubt',
    description: 'Every key is optional; what a file does not say stays as config/default.json5 has it.',
    ...rest,
    properties: { $schema: { type: 'string', description: 'Where this schema is, for editors.' }, ...properties },
  };
}

function groupSchema(group: Group, prefix: string): { readonly properties: object } {
  const properties = Object.entries(group).map(([key, node]) => {
    const path = prefix + key;
    return [key, isLeaf(node) ? leafSchema(path, node) : groupSchema(node, `${path}.`)];
  });
  const schema = { type: 'object', properties: Object.fromEntries(properties) as object, additionalProperties: false };
  return schema;
}

function leafSchema(path: string, leaf: Leaf): object {
  const { format, doc, sensitive, serverEnv } = leaf;
  return {
    description: `${doc} Environment variable: ${envName(path, leaf)}${serverEnv ? ` (serve: ${serverEnv})` : ''}.${sensitive ? ' Secret: better not in a file.' : ''}`,
    ...(typeof format === 'string' ? FORMATS[format] : { enum: format }),
    default: leaf.default,
  };
}
