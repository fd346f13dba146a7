import { describe, expect, it } from 'vitest';

import { loadConfig } from '../../../src/config/load.ts';
import { checkAnew, checkMachine } from '../../../src/runtime/check/check.ts';
import { CHECKED, checkDigest } from '../../../src/runtime/check/checked.ts';
import { loadMachines } from '../../../src/runtime/load.ts';
import { vocabularyOf } from '../../../src/runtime/vocabulary.ts';

const { config } = loadConfig({ env: {} });
const { definitions } = loadMachines({ dir: '', config });

describe('the check of a shipped machine', () => {
  it('is spared to a start, because it has been done here, with nothing found', () => {
    const found = definitions.map((definition) => checkAnew(definition, vocabularyOf(config, definition.id)));
    expect(found).toEqual(definitions.map(() => []));
    const digests = definitions.map((definition) => checkDigest(definition, vocabularyOf(config, definition.id)));
    // Where a shipped file or a number has been changed, these are to be written into checked.ts.
    expect([...CHECKED]).toEqual(digests);
  });

  it.each([
    ['delay', { redis: { delays: { recoverTimeout: '11s' } } }],
    ['threshold', { redis: { detect: { failuresToTrip: 3 } } }],
    ['least stay', { redis: { holdDown: { dwell: '600ms' } } }],
    ['delay of your own', { runtime: { delays: { tick: '1s' } } }],
    ['further Redis', { runtime: { redis: { socketsRedis: 'redis://127.0.0.1:1' } } }],
  ])('is done where a %s is another', (_what, overrides) => {
    const other = loadConfig({ env: {}, overrides }).config;
    const redis = definitions.find(({ id }) => id === 'redis')!;
    expect(CHECKED.has(checkDigest(redis, vocabularyOf(other, 'redis')))).toBe(false);
  });

  it('is done where the file is another', () => {
    const redis = definitions.find(({ id }) => id === 'redis')!;
    const broken = { ...redis, initial: 'nowhere' };
    expect(checkMachine(broken, vocabularyOf(config, 'redis'))).not.toEqual([]);
  });
});
