import { describe, expect, it } from 'vitest';

import { HotKeys } from '../../../src/services/cache/hot-keys.ts';

describe('hot keys', () => {
  it('finds the share of the hottest among many more keys than it counts', () => {
    const hot = new HotKeys();
    for (let n = 0; n < 20_000; n += 1) hot.add(n % 2 === 0 ? 'hot' : `cold ${n}`);
    expect(hot.sharePercent).toBeGreaterThanOrEqual(50);
    expect(hot.sharePercent).toBeLessThanOrEqual(53);
  });

  it('forgets what is hot no longer', () => {
    const hot = new HotKeys();
    expect(hot.sharePercent).toBe(0);
    for (let n = 0; n < 10_000; n += 1) hot.add('yesterday');
    expect(hot.sharePercent).toBe(100);
    for (let n = 0; n < 40_000; n += 1) hot.add(`key ${n % 32}`);
    expect(hot.sharePercent).toBeLessThan(10);
  });
});
