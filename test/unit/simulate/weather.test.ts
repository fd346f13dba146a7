import { describe, expect, it } from 'vitest';

import { Forecast, type Weather, layOut, meet } from '../../../src/runtime/simulate/weather.ts';

/** What a call that begins at `atMs` with a deadline of 250 ms meets. */
function call(weather: readonly Weather[], atMs: number, purpose: 'read' | 'write' | 'probe' = 'read', rounds = 1) {
  const { endsAtMs, kind, code } = meet(
    new Forecast(layOut(weather, false, 60_000)),
    { atMs, purpose, deadlineMs: 250, rounds },
    () => 0.5,
  );
  return [kind, endsAtMs, code];
}

describe('the weather', () => {
  it('lets a healthy backend answer after its latency, twice that where it has to connect first', () => {
    const fair: Weather[] = [{ atMs: 0, is: 'up', latencyMs: 3 }];
    expect(call(fair, 100)).toEqual(['ok', 103, '']);
    expect(call(fair, 100, 'probe', 2)).toEqual(['ok', 106, '']);
  });

  it('ends a call to a frozen backend at its deadline, or when it thaws before that', () => {
    const frozen: Weather[] = [{ atMs: 1000, is: 'frozen', untilMs: 2000 }];
    expect(call(frozen, 1200)).toEqual(['timeout', 1450, 'TIMEOUT']);
    expect(call(frozen, 1900)).toEqual(['ok', 2001, '']);
  });

  it('breaks what waits when the backend dies, and refuses what comes later', () => {
    const killed: Weather[] = [
      { atMs: 0, is: 'slow', latencyMs: 200 },
      { atMs: 1000, is: 'down' },
    ];
    expect(call(killed, 900)).toEqual(['lost', 1000, 'CONNECTION_CLOSED']);
    expect(call(killed, 1500)).toEqual(['lost', 1501, 'ECONNREFUSED']);
  });

  it('refuses writes and serves reads while it is read-only', () => {
    const full: Weather[] = [{ atMs: 0, is: 'readOnly', code: 'MISCONF' }];
    expect(call(full, 10)).toEqual(['ok', 11, '']);
    expect(call(full, 10, 'write')).toEqual(['writeRefused', 11, 'MISCONF']);
  });

  it('hides a gray failure from probes', () => {
    const gray: Weather[] = [{ atMs: 0, is: 'gray', share: 0.7 }];
    expect(call(gray, 0)[0]).toBe('timeout');
    expect(call(gray, 0, 'probe')[0]).toBe('ok');
  });

  it('lays flapping out as down and up by turns', () => {
    const segments = layOut([{ atMs: 1000, is: 'flapping', upMs: 200, downMs: 100, untilMs: 1500 }], false, 60_000);
    expect(segments.map(({ fromMs, untilMs, is }) => [fromMs, untilMs, is])).toEqual([
      [0, 1000, 'up'],
      [1000, 1100, 'down'],
      [1100, 1300, 'up'],
      [1300, 1400, 'down'],
      [1400, 1500, 'up'],
      [1500, Infinity, 'up'],
    ]);
  });
});
