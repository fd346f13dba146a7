import { readdirSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { isRedoubtError } from '../../../src/core/errors.ts';
import { parseScript } from '../../../src/runtime/simulate/script.ts';
import { NAMES, SHIPPED, shipped } from './rig.ts';

/** The findings of a script, as `path: message`. */
function findings(text: string): string[] {
  try {
    parseScript(text, 'bad.json5', NAMES);
    return [];
  } catch (error) {
    if (!isRedoubtError(error, 'ERR_SCRIPT')) throw error;
    return (error.cause as { path: string; message: string }[]).map(({ path, message }) => `${path}: ${message}`);
  }
}

describe('a script', () => {
  it.each(readdirSync(SHIPPED).map((file) => file.replace('.json5', '')))('%s is shipped without a mistake', (name) => {
    expect(shipped(name).title).not.toBe('');
  });

  it('is refused with every mistake at once, by path, and with what was meant', () => {
    expect(
      findings(`{
        titel: 'x', title: 'x', duration: 60,
        calls: { ratePerSecond: -1, writs: 5 },
        redis: [
          { at: '10s', is: 'frozzen' },
          { at: '5s', is: 'up', latency: '1' },
          { at: '7s', is: 'frozen', latency: '5ms' },
          { is: 'slow', share: 2 },
          { at: '9s', is: 'flapping', up: '1ms' },
        ],
        operator: [{ at: '1s', machine: 'reddis', event: 'operator.isolat' }],
      }`),
    ).toEqual([
      'titel: unknown key (did you mean "title"?)',
      'redis[0].is: must be one of "up", "slow", "gray", "frozen", "down", "loading", "readOnly", "refused", "flapping", found "frozzen" (did you mean "frozen"?)',
      'redis[1].latency: must be a duration with its unit, such as "250ms", "5s" or "2m", found "1"',
      'redis[2].latency: unknown key',
      'redis[3].share: must be a number from 0 to 1, found 2',
      'redis[3].at: is missing: when it begins, such as "30s"',
      'redis[4].up: must be a duration from 10ms to 86400000ms, found "1ms"',
      'redis[4].down: is missing: how long each part lasts',
      'redis[0].at: must lie before the next entry',
      'redis[2].at: must lie before the next entry',
      'duration: must be a duration with its unit, such as "250ms", "5s" or "2m", found 60',
      'calls.writs: unknown key (did you mean "writes"?)',
      'calls.ratePerSecond: must be a number from 0 to 10000, found -1',
      'operator[0].machine: must be one of "redis", "postgres", found "reddis" (did you mean "redis"?)',
      'operator[0].event: must be one of "operator.isolate", "operator.release", found "operator.isolat" (did you mean "operator.isolate"?)',
    ]);
  });

  it('is refused where a code does not mean what its weather says', () => {
    expect(findings("{ title: 'x', duration: '1m', redis: [{ at: '1s', is: 'readOnly', code: 'LOADING' }] }")).toEqual([
      'redis[0].code: "LOADING" counts as lost, and "readOnly" is writeRefused',
    ]);
  });

  it('is refused where it is no JSON5, no object, or names a machine that does not run', () => {
    expect(findings('{')[0]).toContain('cannot be read');
    expect(findings('[]')[0]).toContain('must be an object');
    expect(findings("{ title: 'x', duration: '1m', machines: { vault: [] } }")).toEqual([
      'machines.vault: unknown key',
    ]);
  });
});
