import { readFileSync } from 'node:fs';

import type { MachineDefinition } from '../../../src/runtime/types.ts';
import { type Vocabulary, vocabularyOf } from '../../../src/runtime/vocabulary.ts';
import { testConfig } from '../../support/service-rig.ts';
import { parallelLike, redisLike } from '../inspect/machines.ts';

/** Names that are commands, ends of tokens or escapes somewhere. */
export const hostile: MachineDefinition = {
  id: 'hostile',
  initial: 'end note',
  on: { '"; DROP': { target: '.<script>' } },
  states: {
    'end note': {
      tags: ['end note', '}'],
      on: { 'direction LR': { target: 'a"b\\' }, ']]>': { target: 'a_b' }, 'x\ny': { target: '<script>' } },
    },
    'a"b\\': { on: { '%%{init: 1}%%': { target: 'a b', guard: { type: '&amp;', params: { policy: '--> [*]' } } } } },
    a_b: { on: { '<br/>:;#59;': { target: 'a b', actions: ['\\N', '</style>'] } } },
    'a b': { entry: '`*_x_*`', on: { '\u0000\ud800': { target: 'a_b' }, same: { target: 'a b', reenter: true } } },
    '<script>': {
      initial: 'state',
      on: { again: { target: '<script>' }, inner: { target: '.note' } },
      states: { state: { on: { up: { target: '#hostile.<script>' } } }, note: { type: 'final' } },
    },
  },
};

const shipped = (name: string): MachineDefinition =>
  JSON.parse(readFileSync(new URL(`../../../machines/${name}.machine.json`, import.meta.url), 'utf8'));

export const shippedRedis = shipped('redis');

/** Every kind of machine that a format must be able to show. */
export const MACHINES: readonly (readonly [what: string, definition: MachineDefinition])[] = [
  ['a compound machine', redisLike],
  ['a parallel machine', parallelLike],
  ['a machine with hostile names', hostile],
  ['machines/redis.machine.json', shippedRedis],
  ['machines/postgres.machine.json', shipped('postgres')],
];

/** What the configuration of the tests gives to the names of a machine. */
export function vocabulary(machine: string): Vocabulary {
  return vocabularyOf(testConfig(), machine);
}
