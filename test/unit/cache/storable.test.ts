import { runInNewContext } from 'node:vm';

import { describe, expect, it } from 'vitest';

import { assertStorable } from '../../../src/services/cache/storable.ts';
import { startRig } from './rig.ts';

class User {
  name = 'ada';
}

const MAX_BYTES = 1_048_576;
const cycle = { a: { list: [0, {}] as unknown[] } };
cycle.a.list[1] = { up: cycle.a };
const nested = (levels: number): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < levels; level += 1) value = [value];
  return value;
};
const doubled = (times: number): unknown => {
  let value: unknown = 1;
  for (let time = 0; time < times; time += 1) value = { left: value, right: value };
  return value;
};
const refusal = (value: unknown): unknown => {
  try {
    assertStorable(value, MAX_BYTES);
    return undefined;
  } catch (error) {
    return error;
  }
};

describe('a value that JSON would change', () => {
  it.each([
    ['value', 'Map', new Map([[1, 2]])],
    ['value.users[3].seen', 'Map', { users: [1, 2, 3, { seen: new Map() }] }],
    ['value[0]', 'Set', [new Set([1])]],
    ['value.when', 'Date', { when: new Date(0) }],
    ['value.why', 'TypeError', { why: new TypeError('secret') }],
    ['value.like', 'RegExp', { like: /a/ }],
    ['value["a b"].bytes', 'Buffer', { 'a b': { bytes: Buffer.from('a') } }],
    ['value.bytes', 'Float64Array', { bytes: new Float64Array(1) }],
    ['value', 'ArrayBuffer', new ArrayBuffer(1)],
    ['value.user', 'User', { user: new User() }],
    ['value.n', 'Number', { n: Object(1) as unknown }],
    ['value.later', 'Promise', { later: Promise.resolve(1) }],
    ['value', 'has a toJSON method', { toJSON: () => 1 }],
    ['value.n', 'NaN', { n: Number.NaN }],
    ['value', '-Infinity', Number.NEGATIVE_INFINITY],
    ['value.n', 'BigInt', { n: 1n }],
    ['value.go', 'function', { go: () => 1 }],
    ['value.s', 'symbol', { s: Symbol('s') }],
    ['value', 'undefined', undefined],
    ['value[1]', 'undefined', [1, undefined]],
    ['value[1]', 'hole', Object.assign([] as unknown[], { 0: 1, 2: 3 })],
    ['value.a.list[1].up', 'leads back to what it is part of', cycle],
    ['value.a.__proto__', 'would change the prototype of what it is copied to', JSON.parse('{"a":{"__proto__":1}}')],
    ['value', 'Map', runInNewContext('new Map()')],
  ])('is refused with its path: %s is %s', (path, found, value) => {
    expect(refusal(value)).toMatchObject({ code: 'ERR_CACHE_VALUE', details: { path, found } });
  });

  it('is named by its path and type, never by what it holds', () => {
    const error = refusal({ user: new Map([['token', 'secret']]), why: new Error('secret') }) as Error;
    expect(error.message).toContain('value.user is a Map');
    expect(JSON.stringify(error)).not.toContain('secret');
  });

  it.each([
    ['too deep', nested(1_000)],
    ['the same parts over and over', doubled(60)],
    ['long', Object.assign([], { length: MAX_BYTES + 1 })],
  ])('is refused at once where it is %s', (_name, value) => {
    expect(refusal([value])).toMatchObject({ code: 'ERR_CACHE_VALUE' });
  });

  it('is refused with what its getter threw', () => {
    const cause = new Error('no');
    const value = {
      get now(): never {
        throw cause;
      },
    };
    expect(refusal(value)).toMatchObject({ code: 'ERR_CACHE_VALUE', cause });
  });

  it('keeps a long path short', () => {
    const error = refusal({ ['k'.repeat(5_000)]: new Map() }) as Error;
    expect(error.message.length).toBeLessThan(400);
  });
});

describe('a value that JSON gives back', () => {
  it.each([
    ['what JSON has', { s: 'ü\0', n: -1.5e300, b: [true, null], o: {} }],
    ['an object without a prototype', Object.assign(Object.create(null) as object, { a: 1 })],
    ['objects and arrays of another realm', runInNewContext('({ a: [1, { b: 2 }] })')],
    ['half of a surrogate pair', { '\ud800': '\udfff' }],
    ['the same part twice', [cycle.a.list[0], doubled(3)]],
    ['many levels', nested(900)],
  ])('is let pass: %s', (_name, value) => {
    expect(refusal(value)).toBeUndefined();
    const back = JSON.parse(JSON.stringify(value)) as unknown;
    expect(back).toEqual(value);
  });

  it('is let pass where a reader does not meet the difference: a property undefined, and -0', async () => {
    await using rig = startRig();
    await rig.cache.set('k', { a: undefined, zero: -0 });
    const back = await rig.cache.get<{ a?: number; zero: number }>('k');
    expect([back?.a, back?.zero]).toEqual([undefined, 0]);
  });
});

describe.each(['redis', 'memory'] as const)('the cache in mode %s', (mode) => {
  const start = () => {
    const rig = startRig();
    if (mode === 'memory') rig.lose();
    return rig;
  };

  it("refuses cache.set('k', new Map([[1, 2]])), and keeps what was there", async () => {
    await using rig = start();
    await rig.cache.set('k', 'before');
    await expect(rig.cache.set('k', new Map([[1, 2]]))).rejects.toMatchObject({
      code: 'ERR_CACHE_VALUE',
      details: { path: 'value', found: 'Map' },
    });
    await expect(rig.cache.setMany([['k', { at: new Date() }]])).rejects.toMatchObject({
      details: { path: 'value.at', found: 'Date' },
    });
    expect(await rig.cache.get('k')).toBe('before');
  });

  it('takes a Buffer, and whatever the serializer of a namespace takes', async () => {
    await using rig = start();
    await rig.cache.set('bytes', new Uint8Array([0, 255]));
    expect(await rig.cache.get('bytes')).toEqual(Buffer.from([0, 255]));
    const maps = rig.cache.namespace('maps', {
      serializer: {
        serialize: (value) => JSON.stringify([...(value as Map<string, number>)]),
        deserialize: (data) => new Map(JSON.parse(data.toString()) as [string, number][]),
      },
    });
    await maps.set('k', new Map([['a', 1]]));
    expect(await maps.get('k')).toEqual(new Map([['a', 1]]));
  });

  it('hands a loaded value on as it is, and does not keep it', async () => {
    await using rig = start();
    let loads = 0;
    const load = () => new Map([['loads', (loads += 1)]]);
    expect(await rig.cache.getOrSet('k', load)).toEqual(new Map([['loads', 1]]));
    expect(await rig.cache.getOrSet('k', load)).toEqual(new Map([['loads', 2]]));
  });
});
