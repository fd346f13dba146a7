import { describe, expect, it } from 'vitest';

import { TickBatch } from '../../../src/services/cache/tick-batch.ts';

const BOUNDS = { maxItems: 4, maxBytes: 100 };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Batches as they leave; each is answered by hand. */
function start(): {
  readonly batch: TickBatch<string>;
  readonly left: string[];
  readonly answer: (at: number) => Promise<void>;
} {
  const left: string[] = [];
  const answers: (() => void)[] = [];
  const batch = new TickBatch<string>(BOUNDS, (items) => {
    left.push(items.join(''));
    return new Promise((resolve) => answers.push(resolve));
  });
  const answer = async (at: number): Promise<void> => {
    answers[at]?.();
    await turn();
  };
  return { batch, left, answer };
}

describe('what is asked for in one turn', () => {
  it('leaves at once when nothing is on its way', () => {
    const { batch, left } = start();
    batch.add('a');
    expect(left).toEqual(['a']);
  });

  it('leaves together when the turn ends, what came microtasks later included', async () => {
    const { batch, left } = start();
    for (const item of 'abcd') batch.add(item);
    await Promise.resolve();
    for (const item of 'ef') batch.add(item);
    expect(left).toEqual(['a', 'bc']);
    await turn();
    expect(left).toEqual(['a', 'bc', 'def']);
  });

  it('leaves in batches that double up to the bound with each one on its way', async () => {
    const { batch, left } = start();
    for (const item of 'abcdefghijklm') batch.add(item);
    expect(left).toEqual(['a', 'bc', 'defg', 'hijk']);
    await turn();
    expect(left).toEqual(['a', 'bc', 'defg', 'hijk', 'lm']);
  });

  it('leaves early again once all have been answered', async () => {
    const { batch, left, answer } = start();
    for (const item of 'abc') batch.add(item);
    await answer(0);
    for (const item of 'de') batch.add(item);
    expect(left).toEqual(['a', 'bc', 'de']);
    await answer(1);
    await answer(2);
    batch.add('f');
    expect(left).toEqual(['a', 'bc', 'de', 'f']);
  });

  it('leaves in full batches where it is asked for together, apart from what came before', async () => {
    const { batch, left } = start();
    for (const item of 'ab') batch.add(item);
    batch.together(() => {
      for (const item of 'cdefgh') batch.add(item);
    });
    expect(left).toEqual(['a', 'b', 'cdef', 'gh']);
    batch.add('i');
    await turn();
    expect(left).toEqual(['a', 'b', 'cdef', 'gh', 'i']);
  });

  it('leaves also where whoever asks for it together throws', async () => {
    const { batch, left } = start();
    const work = (): void => {
      for (const item of 'ab') batch.add(item);
      throw new Error('no further one');
    };
    expect(() => batch.together(work)).toThrow('no further one');
    expect(left).toEqual(['ab']);
  });

  it('never holds more bytes than it may, but for one item that is larger by itself', async () => {
    const { batch, left } = start();
    batch.add('on its way');
    batch.add('a', 60);
    batch.add('b', 60);
    batch.add('c', 200);
    await turn();
    expect(left).toEqual(['on its way', 'a', 'b', 'c']);
  });
});
