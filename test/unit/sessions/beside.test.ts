import { describe, expect, it } from 'vitest';

import { createBeside } from '../../../src/services/sessions/beside.ts';

describe('what is kept beside an object', () => {
  it('is found there, replaced and taken away', () => {
    const beside = createBeside<number>();
    const object = {};
    expect([beside.has(object), beside.get(object)]).toEqual([false, undefined]);
    beside.set(object, 1);
    beside.set(object, 2);
    expect([beside.has(object), beside.get(object)]).toEqual([true, 2]);
    beside.delete(object);
    expect([beside.has(object), beside.get(object)]).toEqual([false, undefined]);
    beside.set(object, 3);
    expect(beside.get(object)).toBe(3);
  });

  it('is seen by nobody else', () => {
    const object = { user: 'ada' };
    createBeside<number>().set(object, 1);
    expect(Reflect.ownKeys(object)).toEqual(['user']);
    expect(JSON.stringify(object)).toBe('{"user":"ada"}');
    expect(createBeside<number>().has(object)).toBe(false);
  });

  it('is not taken along by a copy', () => {
    const beside = createBeside<number>();
    const object = { user: 'ada' };
    beside.set(object, 1);
    expect([{ ...object }, structuredClone(object), Object.create(object) as object].map(beside.has)).toEqual([
      false,
      false,
      false,
    ]);
  });

  it.each([
    ['before it', (object: object) => Object.freeze(object), (object: object) => object],
    ['after it', (object: object) => object, (object: object) => Object.freeze(object)],
  ])('is kept beside an object that is frozen %s', (_when, before, after) => {
    const beside = createBeside<number>();
    const object = before({ user: 'ada' });
    beside.set(object, 1);
    after(object);
    beside.set(object, 2);
    expect(beside.get(object)).toBe(2);
    beside.delete(object);
    expect(beside.has(object)).toBe(false);
  });
});
