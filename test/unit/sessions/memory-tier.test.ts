import { describe, expect, it } from 'vitest';

import { Journal, MemoryTier } from '../../../src/services/sessions/memory-tier.ts';
import { SimulatedClock } from '../../support/clock.ts';

const entry = (version: number, box: string | null = 'box', shared = false) => ({
  record: { version, box },
  expiresAt: 1_000,
  shared,
});

describe('the journal of writes that wait', () => {
  it('refuses a further session when it is full, and forgets none that it has', () => {
    const journal = new Journal(new SimulatedClock(), 2);
    expect(journal.put('a', entry(1))).toBe(true);
    expect(journal.put('b', entry(1))).toBe(true);
    expect(journal.put('c', entry(1))).toBe(false);
    expect(journal.put('a', entry(2))).toBe(true);
    expect(journal.entries().map(([id]) => id)).toEqual(['a', 'b']);
  });

  it('keeps the last write of a session, and a logout for good', () => {
    const journal = new Journal(new SimulatedClock(), 10);
    journal.put('a', entry(2));
    journal.put('a', entry(1));
    expect(journal.get('a')?.record.version).toBe(2);
    journal.put('a', entry(3, null));
    journal.put('a', entry(4));
    expect(journal.get('a')?.record.box).toBeNull();
  });

  it('does not forget a write that came while an earlier one was replayed', () => {
    const journal = new Journal(new SimulatedClock(), 10);
    const replayed = entry(1);
    journal.put('a', replayed);
    journal.put('a', entry(2));
    journal.settle('a', replayed);
    expect(journal.get('a')?.record.version).toBe(2);
  });

  it('makes room by forgetting sessions whose life is over, and only those', async () => {
    const clock = new SimulatedClock();
    const journal = new Journal(clock, 2);
    journal.put('a', entry(1));
    journal.put('b', entry(1));
    journal.prolong('b', 5_000);
    await clock.advance(1_001);
    expect(journal.put('c', { ...entry(1), expiresAt: 9_000 })).toBe(true);
    expect(journal.put('d', { ...entry(1), expiresAt: 9_000 })).toBe(false);
    expect(journal.entries().map(([id]) => id)).toEqual(['b', 'c']);
  });

  it('counts what exists nowhere else', () => {
    const journal = new Journal(new SimulatedClock(), 10);
    journal.put('a', entry(1));
    journal.put('b', entry(1, 'box', true));
    expect(journal.unshared).toBe(1);
  });
});

describe('sessions in memory', () => {
  it('stay within their bound', () => {
    const memory = new MemoryTier(new SimulatedClock(), 2);
    for (const id of ['a', 'b', 'c']) memory.keep(id, { version: 1, box: 'box' }, 1_000);
    expect(memory.size).toBe(2);
    expect(memory.get('a')).toBeUndefined();
  });

  it('fault 45: end by the monotonic clock, however the wall clock jumps', async () => {
    const clock = new SimulatedClock();
    const memory = new MemoryTier(clock, 2);
    memory.keep('a', { version: 1, box: 'box' }, 1_000);
    clock.jumpWall(3_600_000);
    expect(memory.get('a')).toBeDefined();
    clock.jumpWall(-7_200_000);
    await clock.advance(1_001);
    expect(memory.get('a')).toBeUndefined();
  });

  it('are not brought back after a logout by a slow reader', () => {
    const memory = new MemoryTier(new SimulatedClock(), 2);
    memory.keep('a', { version: 2, box: null }, 1_000);
    memory.keep('a', { version: 1, box: 'box' }, 1_000);
    expect(memory.get('a')?.box).toBeNull();
  });
});
