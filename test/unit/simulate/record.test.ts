import { describe, expect, it } from 'vitest';

import { loadConfig } from '../../../src/config/load.ts';
import { readRecord } from '../../../src/runtime/simulate/read-record.ts';
import { scriptOf } from '../../../src/runtime/simulate/record.ts';
import { compareWithRecord } from '../../../src/runtime/simulate/repeats.ts';
import { play, scriptFrom, shipped } from './rig.ts';

const START = Date.UTC(2026, 0, 1);

/** A log as `redoubt serve` writes it. */
function logOf(transitions: readonly (readonly [number, string, string, string, string])[]): string {
  return transitions
    .map(([ms, from, to, event, reason]) =>
      JSON.stringify({ level: 30, time: START + ms, machine: 'redis', from, to, event, reason, msg: 'x' }),
    )
    .join('\n');
}

async function repeats(text: string): Promise<ReturnType<typeof compareWithRecord>> {
  const recorded = readRecord(text, 'test');
  const { config } = loadConfig({ env: {} });
  const result = await play(scriptFrom(scriptOf(recorded, config, 'test')));
  return compareWithRecord(recorded, result.transitions);
}

const STARTED = [
  [30, 'connecting', 'recovering', 'probe.passed', 'probe.passed'],
  [90, 'recovering', 'available', 'reconcile.finished', 'reconciled'],
] as const;

describe('a record', () => {
  it.each([
    ['kill', 1],
    ['freeze', 2],
    ['slow', 3],
    ['read-only', 4],
    ['refused', 5],
    ['both-down', 6],
    ['isolate', 7],
    ['flapping', 8],
    ['postgres-down', 9],
    ['incident-frozen', 10],
    ['incident-flapping', 11],
    ['incident-gray', 12],
  ] as const)('of %s is simulated with the same transitions', async (name, seed) => {
    const { transitions } = await play({ ...shipped(name), seed });
    const lines = transitions.map(({ atMs, machine, from, to, event, reason }) =>
      JSON.stringify({ time: START + atMs, machine, from, to, event, reason: reason.code }),
    );
    for (const { simulated, recorded } of await repeats(lines.join('\n'))) expect(simulated).toEqual(recorded);
  });

  it('of a fault a moment after the recovery is stretched, and keeps its order', async () => {
    const log = logOf([
      ...STARTED,
      [91, 'available', 'degraded.readOnly', 'probe.writeRefused', 'OOM'],
      [700, 'degraded.readOnly', 'recovering', 'probe.passed', 'probe.passed'],
      [705, 'recovering', 'degraded.unreachable', 'probe.failed', 'ECONNRESET'],
      [1500, 'degraded.unreachable', 'degraded.refused', 'probe.refused', 'NOAUTH'],
      [2500, 'degraded.refused', 'recovering', 'probe.passed', 'probe.passed'],
      [2600, 'recovering', 'degraded.unreachable', 'reconcile.failed', 'ERR_DEADLINE'],
      [4000, 'degraded.unreachable', 'recovering', 'probe.passed', 'probe.passed'],
      [4050, 'recovering', 'available', 'reconcile.finished', 'reconciled'],
    ]);
    const [redis] = await repeats(log);
    expect(redis?.simulated).toEqual(redis?.recorded);
  });

  it('that begins in the middle of a run is compared from there on', async () => {
    const log = logOf([
      [0, 'available', 'degraded.unreachable', 'redis.lost', 'TIMEOUT'],
      [9000, 'degraded.unreachable', 'recovering', 'probe.passed', 'probe.passed'],
      [9050, 'recovering', 'available', 'reconcile.finished', 'reconciled'],
    ]);
    expect(await repeats(log)).toMatchObject([{ equal: true }]);
  });

  it('with several starts is that of the last one', () => {
    const log = `${logOf([...STARTED])}\nnot json\n{"cut":\n${logOf([[9000, 'connecting', 'degraded.unreachable', 'probe.failed', 'ECONNREFUSED']])}`;
    expect(readRecord(log, 'log')).toEqual([
      expect.objectContaining({ from: 'connecting', to: 'degraded.unreachable', code: 'ECONNREFUSED' }),
    ]);
  });

  it('that differs is not called equal', () => {
    const step = { machine: 'redis', from: 'available', to: 'degraded.slow', event: 'calls.slow' };
    const lost = { ...step, to: 'degraded.unreachable', event: 'redis.lost' };
    expect(compareWithRecord([step], [lost])).toMatchObject([{ equal: false }]);
    expect(compareWithRecord([step], [step, lost])).toMatchObject([{ equal: false }]);
    expect(compareWithRecord([lost], [{ ...lost, event: 'probe.failed' }])).toMatchObject([{ equal: true }]);
  });

  it.each(['', '{"status":"pass"}', '[1, 2]', 'null'])('without a transition is refused: %s', (text) => {
    expect(() => readRecord(text, 'x')).toThrow(
      expect.objectContaining({ code: 'ERR_SCRIPT', message: expect.stringContaining('holds no transition') }),
    );
  });
});
