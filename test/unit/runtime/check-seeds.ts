import type { CheckCode } from '../../../src/runtime/check/codes.ts';

/** A mistake put into a shipped machine file, and what the check must say of it. */
export interface Seed {
  readonly name: string;
  /** Default: redis. */
  readonly machine?: 'redis' | 'postgres';
  readonly edits: readonly Edit[];
  readonly code: CheckCode;
  /** What the message must propose. */
  readonly suggests: string;
}

/**
 * Behind the text `after`, the first `from` becomes `to`. A `«` in it marks where the finding must
 * point, and is taken out: so no test holds a line number.
 */
export interface Edit {
  readonly after: string;
  readonly from: string;
  readonly to: string;
}

const edit = (after: string, from: string, to: string): Edit => ({ after, from, to });

const AVAILABLE = 'Redis is used for everything';
const UNREACHABLE = '"description": "No connection, or no answer."';
const isolateInto = edit('just started', '"degraded.isolated"', '"maintenance"');
const newState = (inner: string): Edit => edit('', '    "recovering": {', `    ${inner},\n    "recovering": {`);

const USABLE_ON = '"tags": ["usable"], "on": { "calls.slow": { "target": "before" } } }';

/** The twenty that the check is measured by, and some more. */
export const SEEDS: readonly Seed[] = [
  {
    name: 'a comma too many',
    edits: [edit(AVAILABLE, '["usable"]', '["usable", «]')],
    code: 'not-json',
    suggests: 'remove the comma',
  },
  {
    name: 'an event given twice',
    edits: [edit(AVAILABLE, '"calls.failing": {', '"redis.lost": { "target": "degraded" },\n«"redis.lost": {')],
    code: 'duplicate-key',
    suggests: 'merge',
  },
  {
    name: 'a misspelt key',
    edits: [edit(AVAILABLE, '"tags"', '«"tag"')],
    code: 'unknown-key',
    suggests: 'did you mean "tags"',
  },
  {
    name: 'a string where a transition should be',
    edits: [edit(UNREACHABLE, UNREACHABLE, '"on": { "probe.slowed": «"slow" }')],
    code: 'wrong-kind',
    suggests: '{"target":"slow"}',
  },
  {
    name: 'a target that does not exist',
    edits: [edit('', '"target": "recovering"', '"target": «"recoverin"')],
    code: 'unknown-target',
    suggests: 'did you mean "recovering"',
  },
  {
    name: 'a target out of reach of its bare name',
    edits: [edit('', UNREACHABLE, '"on": { "probe.passed": { "target": «"recovering" } }')],
    code: 'unknown-target',
    suggests: 'did you mean "#redis.recovering"',
  },
  {
    name: 'a missing initial',
    edits: [edit('Redis is out of use', '\n      "initial": "unreachable",', '')],
    code: 'no-initial',
    suggests: 'unreachable',
  },
  {
    name: 'an unknown guard',
    edits: [edit(AVAILABLE, '"countAtLeast"', '«"countAtLest"')],
    code: 'unknown-guard',
    suggests: 'did you mean "countAtLeast"',
  },
  {
    name: 'a policy that the configuration has not',
    edits: [edit(AVAILABLE, '"failuresToTrip"', '«"failureToTrip"')],
    code: 'unknown-policy',
    suggests: 'did you mean "failuresToTrip"',
  },
  {
    name: 'an unknown action',
    edits: [edit(AVAILABLE, '"tags"', '"entry": { "type": «"anounce", "params": { "message": "up" } },\n"tags"')],
    code: 'unknown-action',
    suggests: 'did you mean "announce"',
  },
  {
    name: 'an unknown actor',
    edits: [edit('', '"src": "reconcile"', '"src": «"reconsile"')],
    code: 'unknown-actor',
    suggests: 'did you mean "reconcile"',
  },
  {
    name: 'a delay that the configuration has not',
    edits: [edit('', '"connectTimeout": {', '«"conectTimeout": {')],
    code: 'unknown-delay',
    suggests: 'did you mean "connectTimeout"',
  },
  {
    name: 'an event that nobody sends',
    edits: [edit(AVAILABLE, '"redis.lost": {', '«"redis.loss": {')],
    code: 'unknown-event',
    suggests: 'did you mean "redis.lost"',
  },
  {
    name: 'a service without a backend that always works',
    edits: [edit(AVAILABLE, '"sessions": ["redis", "postgres", "memory"]', '«"sessions": ["redis", "postgres"]')],
    code: 'no-floor',
    suggests: 'end its list with "memory"',
  },
  {
    name: 'a state that nothing leads to',
    edits: [newState('«"maintenance": { "on": { "operator.release": { "target": "recovering" } } }')],
    code: 'unreachable',
    suggests: 'give one the target "#redis.maintenance"',
  },
  {
    name: 'a trap',
    edits: [isolateInto, newState('«"maintenance": { "tags": ["unprobed"] }')],
    code: 'trap',
    suggests: '"operator.release": { "target": "#redis.recovering" }',
  },
  {
    name: 'states that follow each other for ever',
    edits: [
      edit('', '"slow": {', '"slow": {\n«"always": { "target": "readOnly" },'),
      edit('', '"readOnly": {', '"readOnly": {\n"always": { "target": "slow" },'),
    ],
    code: 'always-cycle',
    suggests: 'wait for an event ("on") or a time ("after")',
  },
  {
    name: 'a loop quicker than the dwell time',
    edits: [edit('', UNREACHABLE, '"after": {\n«"blink": { "target": "#redis.available" } }')],
    code: 'flapping',
    suggests: 'make the delay longer',
  },
  {
    name: 'two timers that are due at once',
    edits: [edit('', '"connectTimeout": {', '"tick": { "target": "degraded.slow" },\n«"connectTimeout": {')],
    code: 'ambiguous',
    suggests: 'keep one',
  },
  {
    name: 'a guard that asks for a count where none comes',
    edits: [
      edit(
        AVAILABLE,
        '"redis.lost": {',
        '«"redis.lost": {\n"guard": { "type": "countAtLeast", "params": { "policy": "failuresToTrip" } },',
      ),
    ],
    code: 'never-fires',
    suggests: 'remove the guard',
  },
  {
    name: 'a service that two machines name',
    machine: 'postgres',
    edits: [
      edit(
        '',
        '"initial": "connecting",',
        '"initial": "connecting",\n"meta": { "backends": {\n«"sessions": ["memory"] } },',
      ),
    ],
    code: 'shared-service',
    suggests: 'keep one of the two',
  },
  {
    name: 'a number where the name of a delay is meant',
    edits: [edit('', '"connectTimeout": {', '«"2000": {')],
    code: 'numeric-delay',
    suggests: 'write "connectTimeout"',
  },
  {
    name: 'an actor whose failure ends the machine',
    edits: [
      edit('', ',\n        "onError": {\n          "target": "degraded"\n        }', ''),
      edit('', '"invoke": {', '«"invoke": {'),
    ],
    code: 'dies',
    suggests: 'add "onError"',
  },
  {
    name: "another machine's event",
    edits: [edit(AVAILABLE, '"calls.slow": {', '«"postgres.lost": { "target": "degraded" },\n"calls.slow": {')],
    code: 'never-fires',
    suggests: 'write "redis.lost"',
  },
  {
    name: 'a state that waits for a probe which is never made',
    edits: [
      isolateInto,
      newState(
        '"maintenance": { "tags": ["unprobed"], "on": {\n«"probe.passed": { "target": "recovering" },\n"operator.release": { "target": "recovering" } } }',
      ),
    ],
    code: 'never-fires',
    suggests: 'remove the tag',
  },
  {
    name: 'a timer that a shorter one always beats',
    edits: [edit('', '"connectTimeout": {', '"blink": { "target": "degraded" },\n«"connectTimeout": {')],
    code: 'never-fires',
    suggests: '"blink" is shorter',
  },
  {
    name: 'an event that every state inside takes first',
    edits: [
      edit('', '"degraded": {', '"degraded": {\n"entry": [],'),
      ...['unreachable', 'slow', 'readOnly', 'refused'].map((state) =>
        edit('', `"${state}": {\n`, `"${state}": {\n"on": { "probe.refused": { "target": "#redis.connecting" } },\n`),
      ),
      edit('Redis is out of use', '"probe.refused": {', '«"probe.refused": {'),
    ],
    code: 'never-fires',
    suggests: 'guard those or remove this',
  },
  {
    name: 'a recovery that the dwell time does not hold',
    edits: [
      edit('Redis is out of use', '"recoverable"', '"countAtLeast"'),
      edit('Redis is out of use', '"probe.passed"', '«"probe.passed"'),
    ],
    code: 'flapping',
    suggests: 'guard probe.passed with "recoverable"',
  },
  {
    name: 'no state that uses it',
    edits: [edit(AVAILABLE, '\n      "tags": ["usable"],', '')],
    code: 'never-usable',
    suggests: 'give "available" "tags": ["usable"]',
  },
  {
    name: 'a misspelt kind of state',
    edits: [edit('Redis is out of use', '"tags"', '"type": «"paralel",\n"tags"')],
    code: 'wrong-kind',
    suggests: 'write "parallel"',
  },
  {
    name: 'a guard whose "type" is misspelt',
    edits: [edit(AVAILABLE, '"type": "countAtLeast"', '«"tpe": "countAtLeast"')],
    code: 'unknown-key',
    suggests: 'did you mean "type"',
  },
  {
    name: 'an empty target',
    edits: [edit('', '"target": "recovering"', '"target": «""')],
    code: 'unknown-target',
    suggests: '""',
  },
  {
    name: 'a misspelt state, seen where it is meant',
    edits: [edit('', '"target": "unreachable"', '"target": «"unreahable"')],
    code: 'unknown-target',
    suggests: 'did you mean "unreachable"',
  },
  {
    name: 'a usable state that no failure leaves',
    edits: [edit('', '"available": {', '«"available": {\n"on": {} },\n"before": {'), edit('', '"on": {} }', USABLE_ON)],
    code: 'never-left',
    suggests: '"redis.lost": { "target": "#redis.degraded" }',
  },
];
