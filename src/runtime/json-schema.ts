import type { Config } from '../config/schema.ts';
import { formatDuration } from '../core/format.ts';
import { SERVICES } from '../core/mode.ts';
import type { Documented } from './documented.ts';
import type { Extensions } from './extensions.ts';
import { STATE_KINDS } from './check/shape.ts';
import { machineIdsOf } from './load.ts';
import { type Vocabulary, vocabularyOf } from './vocabulary.ts';

type Schema = Readonly<Record<string, unknown>>;

const text = (description: string): Schema => ({ type: 'string', description });
const ref = (name: string, description?: string): Schema =>
  // Beside a bare $ref draft-07 ignores a description.
  description === undefined
    ? { $ref: `#/definitions/${name}` }
    : { description, allOf: [{ $ref: `#/definitions/${name}` }] };
const closed = (properties: Schema, more: Schema = {}): Schema => ({
  type: 'object',
  properties,
  additionalProperties: false,
  ...more,
});

/**
 * The JSON Schema (draft-07, which every editor understands) of `*.machine.json`: every name that
 * the machines of a configuration may use, explained. What only a graph shows is left to `redoubt check`.
 */
export function machineJsonSchema(config: Config, extensions: Extensions = {}): Schema {
  const ids = machineIdsOf(config, extensions);
  const words = union(ids.map((id) => vocabularyOf(config, id, extensions)));
  const definitions = {
    state: closed(stateProperties(words)),
    states: {
      type: 'object',
      propertyNames: { pattern: '^[^.#+\\s]+$' },
      additionalProperties: ref('state'),
    },
    transition: closed({
      target: text('The state that is entered: a sibling ("recovering"), one below it, or "#machine.state.inner".'),
      guard: ref('guard', 'The transition is taken only where this holds.'),
      actions: ref('actions', 'What is done on the way.'),
      reenter: { type: 'boolean', description: 'Leave and enter again where the target is the state itself.' },
      description: text('Why, for people and diagrams.'),
    }),
    guard: named(words.guards, words),
    action: named(words.actions, words),
    actions: { anyOf: [ref('action'), { type: 'array', items: ref('action') }] },
    backends: closed(Object.fromEntries(SERVICES.map((service) => [service, backendList(service, words)]))),
  };
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Machine of Redoubt',
    description:
      'States of a dependency, the events that move it, and the backends that each state gives the services.',
    ...closed(
      {
        $schema: text('Where this schema is, for editors.'),
        id: { ...oneOf(ids.map((id) => [id, `The machine of ${id}.`])), description: 'As the file is named.' },
        version: text("The file's own version."),
        ...stateProperties(words),
      },
      { required: ['id', 'states'] },
    ),
    definitions,
  };
}

function stateProperties(words: Vocabulary): Schema {
  const { events, delays, tags, actors } = words;
  const delayNames = Object.entries(delays).map(([name, { doc, value }]) => {
    return [name, ref('transition', `${doc} Now ${formatDuration(value)}.`)];
  });
  return {
    type: {
      description: 'Told by the states inside; "parallel" must be said.',
      enum: STATE_KINDS,
    },
    initial: text('The state inside that comes first.'),
    description: text('What it means, for people, health and diagrams.'),
    tags: {
      description: 'What the state means to the runtime.',
      type: 'array',
      items: oneOf(Object.entries(tags)),
      uniqueItems: true,
    },
    meta: {
      ...closed({ backends: ref('backends', "Backends of each service here, best first; else the parent's list.") }),
      description: 'What the state gives the services.',
    },
    states: ref('states', 'The states inside.'),
    on: {
      ...closed(Object.fromEntries(Object.entries(events).map(([type, doc]) => [type, ref('transition', doc)]))),
      description: 'Transitions by event. An empty one, {}, keeps the event from the states around.',
    },
    after: {
      ...closed(Object.fromEntries(delayNames), { patternProperties: { '^\\d+$': ref('transition') } }),
      description: 'Transitions by time spent here: names of the configuration (delays, runtime.delays).',
    },
    always: ref('transition', 'Taken at once when its guard holds.'),
    invoke: {
      ...closed(
        {
          src: oneOf(Object.entries(actors).map(([name, { doc }]) => [name, doc])),
          id: text('Its name, where one state invokes several.'),
          input: { description: 'Handed to the actor.' },
          onDone: ref('transition', 'When it has ended well.'),
          onError: ref('transition', 'When it has failed; without one a failure ends the machine.'),
        },
        { required: ['src'] },
      ),
      description: 'An actor that runs while the state lasts, and is aborted when it is left.',
    },
    entry: ref('actions', 'Done when the state is entered.'),
    exit: ref('actions', 'Done when the state is left.'),
  };
}

/** A guard or an action: its bare name where it needs no parameter, else `{ type, params }`. */
function named(parts: Readonly<Record<string, Documented>>, { policies }: Vocabulary): Schema {
  const entries = Object.entries(parts);
  const bare = entries.filter(([, { required = [] }]) => required.length === 0);
  const full = closed(
    {
      type: oneOf(entries.map(([name, { doc }]) => [name, doc])),
      params: { type: 'object', description: 'Its parameters.' },
    },
    {
      required: ['type'],
      allOf: entries.map(([name, part]) => ({
        if: { properties: { type: { const: name } } },
        // oxlint-disable-next-line unicorn/no-thenable -- JSON Schema's own word
        then: paramsSchema(part, policies),
      })),
    },
  );
  return bare.length === 0 ? full : { anyOf: [oneOf(bare.map(([name, { doc }]) => [name, doc])), full] };
}

function paramsSchema({ params = {}, required = [] }: Documented, policies: Vocabulary['policies']): Schema {
  const properties = Object.entries(params).map(([name, values]) => {
    const choices = values.map((value): [string, string] => {
      const policy = name === 'policy' ? policies[value] : undefined;
      return [value, policy ? `${policy.doc} Now ${policy.value}.` : `${name}: ${value}.`];
    });
    return [name, choices.length > 0 ? oneOf(choices) : {}];
  });
  return {
    properties: { params: closed(Object.fromEntries(properties) as Schema, { required }) },
    ...(required.length > 0 ? { required: ['params'] } : {}),
  };
}

function backendList(service: (typeof SERVICES)[number], { backends }: Vocabulary): Schema {
  const allowed = Object.entries(backends).filter(([, { services }]) => services.includes(service));
  return {
    description: `Backends of ${service}, best first; the last must always work.`,
    type: 'array',
    items: oneOf(allowed.map(([name, { doc }]) => [name, doc])),
    minItems: 1,
    uniqueItems: true,
  };
}

/** Words with what each means: an editor shows it beside the word. Nothing at all where there are none. */
function oneOf(words: readonly (readonly [string, string])[]): Schema {
  if (words.length === 0) return { not: {} };
  return { oneOf: words.map(([word, description]) => ({ const: word, description })) };
}

/** One schema serves the files of all machines; the check knows each one's own words. */
function union(all: readonly Vocabulary[]): Vocabulary {
  const merge = <Key extends keyof Vocabulary>(key: Key): Vocabulary[Key] =>
    Object.assign({}, ...all.toReversed().map((words) => words[key])) as Vocabulary[Key];
  const [first] = all as readonly [Vocabulary];
  return {
    ...first,
    guards: merge('guards'),
    actions: merge('actions'),
    actors: merge('actors'),
    events: merge('events'),
    tags: merge('tags'),
    delays: merge('delays'),
    policies: merge('policies'),
    backends: merge('backends'),
  };
}
