import { describe, expect, it } from 'vitest';

import { TickBatch } from '../../../src/services/cache/tick-batch.ts';

const BOUNDS = { maxItems: 4, maxBytes: 100, firstItems: 2 };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Batches as they leave; each is answered by hand. */
function start(bounds: Partial<typeof BOUNDS> = {}): {
  readonly batch: TickBatch<string>;
  readonly left: string[];
  readonly answer: (at: number) => Promise<void>;
} {
  const left: string[] = [];
  const answers: (() => void)[] = [];
  const batch = new TickBatch<string>({ ...BOUNDS, ...bounds }, (items) => {
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
  it('leaves together when the turn ends, what came microtasks later included', async () => {
    const { batch, left } = start({ firstItems: 4 });
    batch.add('a');
    await Promise.resolve();
    batch.add('b');
    expect(left).toEqual([]);
    await turn();
    expect(left).toEqual(['ab']);
  });

  it('leaves before the turn ends when a few have come and nothing is on its way', async () => {
    const { batch, left } = start();
    for (const item of 'abcd') batch.add(item);
    expect(left).toEqual(['ab']);
    await turn();
    expect(left).toEqual(['ab', 'cd']);
  });

  it('gathers until it is full while another batch is on its way', async () => {
    const { batch, left } = start();
    for (const item of 'abcdefg') batch.add(item);
    expect(left).toEqual(['ab', 'cdef']);
    await turn();
    expect(left).toEqual(['ab', 'cdef', 'g']);
  });

  it('leaves early again once all have been answered', async () => {
    const { batch, left, answer } = start();
    for (const item of 'abc') batch.add(item);
    await turn();
    await answer(0);
    for (const item of 'de') batch.add(item);
    expect(left).toEqual(['ab', 'c']);
    await turn();
    await answer(1);
    await answer(2);
    for (const item of 'fg') batch.add(item);
    expect(left).toEqual(['ab', 'c', 'de', 'fg']);
  });

  it('never holds more bytes than it may, but for one item that is larger by itself', async () => {
    const { batch, left } = start({ firstItems: 4 });
    batch.add('a', 60);
    batch.add('b', 60);
    batch.add('c', 200);
    await turn();
    expect(left).toEqual(['a', 'b', 'c']);
  });
});
