/**
 * Keyv's own tests on `createKeyvStore`. `npm run test:keyv` installs them, since they are none of ours:
 * KEYV_SUITE names the module.
 */
import { Keyv as Keyv6 } from 'keyv';
import Keyv4 from 'keyv4';
import { Keyv as Keyv5 } from 'keyv5';
import { afterAll, afterEach, beforeAll, beforeEach, describe, type expect, it } from 'vitest';

import { type KeyvStore, createKeyvStore } from '../../src/services/cache/keyv.ts';
import { CacheRig } from '../conformance/cache-rig.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';

type Body = (context: { readonly expect: typeof expect }) => unknown;

/** As the tests are written: for the test functions of whoever runs them. */
interface Runner {
  readonly it: (name: string, body: Body) => void;
  readonly beforeEach: typeof beforeEach;
  readonly afterEach: typeof afterEach;
}

type Register = (runner: Runner, keyv: unknown, store: () => KeyvStore) => void;

interface Suite {
  readonly default: Register;
  readonly keyvIteratorTests: Register;
}

/** What no store passes: the tests are those of Keyv 5. A `Map` fails in the same way. */
const KEYVS_OWN: Readonly<Record<number, string>> = {
  4: 'value can not be symbol',
  6: '.deleteMany([keys]) with nonexistent keys resolves to false',
};

const file = process.env['KEYV_SUITE'];
if (file === undefined) throw new Error("Keyv's tests are not here: npm run test:keyv");
const suite = (await import(file)) as Suite;

let redis: TestRedis;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

describe.each([
  [4, Keyv4],
  [5, Keyv5],
  [6, Keyv6],
] as const)('Keyv %i', (major, Keyv) => {
  describe.each(['up', 'refused', 'frozen'] as const)('with Redis %s', (state) => {
    let rig: CacheRig;

    beforeAll(async () => {
      rig = await CacheRig.start({ redis, cache: { deadline: '500ms' } });
      if (state === 'refused') rig.redisLost();
      if (state === 'frozen') rig.hop.mode = 'blackhole';
    });

    afterAll(async () => {
      await rig[Symbol.asyncDispose]();
    });

    const runner: Runner = {
      it: (name, body) => void (KEYVS_OWN[major] === name ? it.fails : it)(name, body),
      beforeEach,
      afterEach,
    };
    const store = (): KeyvStore => createKeyvStore(rig.cache.namespace('keyv'));
    suite.default(runner, Keyv, store);
    suite.keyvIteratorTests(runner, Keyv, store);
  });
});
