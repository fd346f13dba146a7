import { expect, it } from 'vitest';

import { seedFor, seededRandom } from '../../../src/core/random.ts';

const take = (seed: number): number[] => Array.from({ length: 5 }, seededRandom(seed));

it('gives the same numbers for the same seed, and others for another', () => {
  expect(take(42)).toEqual(take(42));
  expect(take(42)).not.toEqual(take(43));
  expect(seedFor(1, 'redis')).not.toBe(seedFor(1, 'postgres'));
  expect(seedFor(1, 'redis')).not.toBe(seedFor(2, 'redis'));
});

it('spreads evenly over [0, 1)', () => {
  const random = seededRandom(7);
  const tenths = Array.from({ length: 10 }, () => 0);
  for (let i = 0; i < 10_000; i += 1) {
    const tenth = Math.floor(random() * 10);
    tenths[tenth] = (tenths[tenth] ?? 0) + 1;
  }
  expect(Math.min(...tenths)).toBeGreaterThan(900);
  expect(Math.max(...tenths)).toBeLessThan(1100);
});
