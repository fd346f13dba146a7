import { describe, expect, it } from 'vitest';

import { RedoubtError } from '../../../src/core/errors.ts';
import { Batch, TurnEnd } from '../../../src/services/sessions/batch.ts';

/** Statements that wait for the test to answer them. */
function start(options: { readonly parallel?: number; readonly waitingMax?: number } = {}) {
  const statements: { readonly items: readonly string[]; readonly answer: PromiseWithResolvers<readonly string[]> }[] =
    [];
  const batch = new Batch<string, string>({
    run: (items) => {
      const answer = Promise.withResolvers<readonly string[]>();
      statements.push({ items, answer });
      return answer.promise;
    },
    keyOf: (item) => item.split('=')[0] ?? '',
    parallel: options.parallel ?? 1,
    size: 3,
    waitingMax: options.waitingMax ?? 10,
    bound: 'test.max',
  });
  const echo = async (i: number): Promise<void> => {
    statements[i]?.answer.resolve(statements[i].items);
    await turn();
  };
  return { batch, statements, echo };
}

/** The end of this turn of the event loop, when what came in it leaves. */
const turn = (): Promise<void> => new Promise(setImmediate);

describe('grouped statements', () => {
  it('leave together with all that came in the same turn, and then take all that waited', async () => {
    const { batch, statements, echo } = start();
    const first = [batch.add('a'), batch.add('b')];
    expect(statements).toEqual([]);
    await turn();
    const later = ['c', 'd', 'e', 'f'].map((item) => batch.add(item));
    await turn();
    expect(statements.map(({ items }) => items)).toEqual([['a', 'b']]);
    for (let i = 0; i < 3; i += 1) await echo(i);
    expect(statements.map(({ items }) => items)).toEqual([['a', 'b'], ['c', 'd', 'e'], ['f']]);
    expect(await Promise.all([...first, ...later])).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
  });

  it('are so many at a time, and no more', async () => {
    const { batch, statements, echo } = start({ parallel: 2 });
    const answers: Promise<string>[] = [];
    for (const item of ['a', 'b', 'c']) {
      answers.push(batch.add(item));
      await turn();
    }
    expect(statements.map(({ items }) => items)).toEqual([['a'], ['b']]);
    for (let i = 0; i < 3; i += 1) await echo(i);
    expect(await Promise.all(answers)).toEqual(['a', 'b', 'c']);
  });

  it('leave at once when they are full, and the rest with the turn', async () => {
    const { batch, statements, echo } = start({ parallel: 2 });
    const answers = Promise.all(['a', 'b', 'c', 'd'].map((item) => batch.add(item)));
    expect(statements.map(({ items }) => items)).toEqual([['a', 'b', 'c']]);
    await turn();
    expect(statements.map(({ items }) => items)).toEqual([['a', 'b', 'c'], ['d']]);
    for (let i = 0; i < 2; i += 1) await echo(i);
    expect(await answers).toEqual(['a', 'b', 'c', 'd']);
  });

  it('never hold two items of one key, and keep their order', async () => {
    const { batch, statements, echo } = start();
    const answers = Promise.all(['a=1', 'a=2', 'b=1'].map((item) => batch.add(item)));
    await turn();
    for (let i = 0; i < 2; i += 1) await echo(i);
    expect(statements.map(({ items }) => items)).toEqual([['a=1', 'b=1'], ['a=2']]);
    await answers;
  });

  it('are refused beyond the high-water mark, with the setting to raise', async () => {
    const { batch, echo } = start({ waitingMax: 1 });
    const answers = [batch.add('a')];
    await turn();
    answers.push(batch.add('b'));
    await expect(batch.add('c')).rejects.toMatchObject({ code: 'ERR_BACKPRESSURE', details: { bound: 'test.max' } });
    await echo(0);
    await echo(1);
    expect(await Promise.all(answers)).toEqual(['a', 'b']);
  });

  it('end with the statement before them when that is not answered: nobody waits for a second deadline', async () => {
    const { batch, statements } = start();
    const first = batch.add('a');
    await turn();
    const answers = Promise.allSettled([first, batch.add('b')]);
    statements[0]?.answer.reject(new RedoubtError('ERR_DEADLINE'));
    expect((await answers).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(statements).toHaveLength(1);
  });

  it('are asked one by one when PostgreSQL refuses the group, so that one bad item harms nobody else', async () => {
    const { batch, statements, echo } = start();
    const first = batch.add('x');
    await turn();
    const answers = Promise.allSettled([batch.add('good'), batch.add('bad')]);
    await echo(0);
    await first;
    const refusal = new RedoubtError('ERR_POSTGRES_REPLY');
    statements[1]?.answer.reject(refusal);
    await new Promise(setImmediate);
    await echo(2);
    statements[3]?.answer.reject(refusal);
    expect(await answers).toEqual([
      { status: 'fulfilled', value: 'good' },
      { status: 'rejected', reason: refusal },
    ]);
  });

  it('of two batches leave together at the end of their turn, and each turn anew', async () => {
    const left: string[] = [];
    const end = new TurnEnd((leave) => {
      left.push('(');
      leave();
      left.push(')');
    });
    const open = (name: string): Batch<string, string> =>
      new Batch({
        run: (items) => {
          left.push(`${name}:${items.join('+')}`);
          return Promise.resolve(items);
        },
        turn: end,
        parallel: 2,
        size: 3,
        waitingMax: 10,
        bound: 'test.max',
      });
    const [reads, writes] = [open('read'), open('write')];
    const first = [reads.add('a'), writes.add('b'), reads.add('c')];
    expect(left).toEqual([]);
    await Promise.all(first);
    await writes.add('d');
    expect(left).toEqual(['(', 'read:a+c', 'write:b', ')', '(', 'write:d', ')']);
  });
});
