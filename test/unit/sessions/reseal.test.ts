import { describe, expect, it } from 'vitest';

import { Resealer } from '../../../src/services/sessions/reseal.ts';
import { SimulatedClock } from '../../support/clock.ts';

function start(options: { max?: number; isReady?: () => boolean } = {}) {
  const clock = new SimulatedClock();
  const done: string[] = [];
  const resealer = new Resealer({ clock, max: options.max ?? 100, isReady: options.isReady ?? (() => true) });
  const note = (sid: string, work: () => Promise<void> = () => Promise.resolve()): void =>
    resealer.note(sid, () => {
      done.push(sid);
      return work();
    });
  return { clock, resealer, done, note };
}

describe('sealing anew', () => {
  it('waits until the request that noticed is over, and happens once however many noticed', async () => {
    const { clock, done, note } = start();
    note('a');
    note('a');
    await clock.advance(900);
    note('a');
    note('b');
    expect(done).toEqual([]);
    await clock.advance(100);
    expect(done).toEqual(['a']);
    await clock.advance(900);
    expect(done).toEqual(['a', 'b']);
    await clock.advance(60_000);
    expect(done).toEqual(['a', 'b']);
    expect(clock.pending).toBe(0);
  });

  it('goes on after a failure, and takes the session again when it is read again', async () => {
    const { clock, done, note } = start();
    note('a', () => Promise.reject(new Error('PostgreSQL is gone')));
    note('b');
    await clock.advance(1_000);
    note('a');
    await clock.advance(1_000);
    expect(done).toEqual(['a', 'b', 'a']);
  });

  it('holds no more sessions than it may, and works on four at a time', async () => {
    const { clock, done, note } = start({ max: 6 });
    const gate = Promise.withResolvers<void>();
    for (let i = 0; i < 10; i += 1) note(`s${i}`, () => gate.promise);
    await clock.advance(1_000);
    expect(done).toEqual(['s0', 's1', 's2', 's3']);
    gate.resolve();
    await clock.advance(1_000);
    expect(done).toEqual(['s0', 's1', 's2', 's3', 's4', 's5']);
  });

  it('rests while what acknowledges writes is out of use', async () => {
    let ready = false;
    const { clock, done, note } = start({ isReady: () => ready });
    note('a');
    expect(clock.pending).toBe(0);
    ready = true;
    note('b');
    ready = false;
    await clock.advance(5_000);
    expect(done).toEqual([]);
  });

  it('leaves nothing behind when it is stopped', async () => {
    const { clock, resealer, done, note } = start();
    note('a');
    resealer.stop();
    note('b');
    await clock.advance(5_000);
    expect(done).toEqual([]);
    expect(clock.pending).toBe(0);
  });
});
