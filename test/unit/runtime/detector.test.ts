import { describe, expect, it } from 'vitest';

import type { Outcome } from '../../../src/core/outcome.ts';
import { startRig } from './rig.ts';

const call = (over: Partial<Outcome> = {}): Outcome => ({ kind: 'ok', durationMs: 1, voided: false, ...over });

describe('the Redis machine with its detector', () => {
  it('becomes available from a Redis that is well', async () => {
    using rig = startRig();
    await rig.clock.advance(100);
    expect(rig.path()).toEqual(['recovering', 'available']);
    expect(rig.runner.status).toBe('up');
  });

  it('is degraded at once where nothing listens, and available after the third passed probe', async () => {
    using rig = startRig();
    rig.weather = 'refused';
    await rig.clock.advance(10);
    expect(rig.runner.state).toBe('degraded.unreachable');
    expect(rig.runner.reason.code).toBe('ECONNREFUSED');
    rig.weather = 1;
    await rig.clock.advance(2000);
    expect(rig.path()).toEqual(['degraded.unreachable', 'recovering', 'available']);
  });

  it('never stays in connecting when nothing answers', async () => {
    using rig = startRig();
    rig.weather = 'silent';
    await rig.clock.advance(2100);
    expect(rig.runner.state).toBe('degraded.unreachable');
  });

  it('trips after one confirming probe when a call fails hard', async () => {
    using rig = startRig();
    await rig.clock.advance(100);
    rig.weather = 'refused';
    rig.runner.observe(call({ kind: 'lost', code: 'CONNECTION_CLOSED' }));
    await rig.clock.advance(60);
    expect(rig.transitions.at(-1)).toMatchObject({ to: 'degraded.unreachable', event: 'redis.lost' });
  });

  it('does not trip when the confirming probe passes', async () => {
    using rig = startRig();
    await rig.clock.advance(100);
    for (let i = 0; i < 5; i += 1) {
      rig.runner.observe(call({ kind: 'lost', code: 'CONNECTION_CLOSED' }));
      await rig.clock.advance(100);
    }
    expect(rig.runner.state).toBe('available');
  });

  it('trips a frozen Redis within the deadline of a call and of a probe', async () => {
    using rig = startRig();
    await rig.clock.advance(1000);
    rig.weather = 'silent';
    const frozenAt = rig.clock.now();
    await rig.clock.advance(250);
    rig.runner.observe(call({ kind: 'timeout', durationMs: 250, code: 'TIMEOUT' }));
    await rig.clock.advance(600);
    expect(rig.runner.state).toBe('degraded.unreachable');
    expect(rig.transitions.at(-1)?.at).toBeLessThanOrEqual(frozenAt + rig.clock.wallNow() - rig.clock.now() + 1000);
  });

  it('trips without any calls after failuresToTrip failed probes', async () => {
    using rig = startRig({ overrides: { redis: { detect: { failuresToTrip: 3 } } } });
    await rig.clock.advance(1000);
    rig.weather = 'refused';
    rig.probes = 0;
    await rig.clock.advance(2000);
    expect(rig.transitions.at(-1)?.event).toBe('probe.failed');
    expect(rig.runner.state).toBe('degraded.unreachable');
  });

  it('fault 27: a flood of application errors never trips', async () => {
    using rig = startRig();
    await rig.clock.advance(100);
    for (let i = 0; i < 1000; i += 1) rig.runner.observe(call({ kind: 'application', code: 'WRONGTYPE' }));
    await rig.clock.advance(2000);
    expect(rig.runner.state).toBe('available');
  });

  it('takes it out of use when half of the calls fail although probes pass', async () => {
    using rig = startRig();
    await rig.clock.advance(100);
    for (let i = 0; i < 20; i += 1) {
      rig.runner.observe(call(i % 2 ? { kind: 'timeout', durationMs: 250 } : {}));
      await rig.clock.advance(60);
    }
    expect(rig.transitions.at(-1)).toMatchObject({ event: 'calls.failing', to: 'degraded.unreachable' });
  });

  it('says nothing of a ratio before the window holds enough calls', async () => {
    using rig = startRig();
    await rig.clock.advance(100);
    for (let i = 0; i < 19; i += 1) rig.runner.observe(call({ kind: 'ok', durationMs: 400 }));
    expect(rig.runner.state).toBe('available');
    rig.runner.observe(call({ kind: 'ok', durationMs: 400 }));
    expect(rig.runner.state).toBe('degraded.slow');
  });

  it('voids what was measured while our own loop was blocked', async () => {
    using rig = startRig();
    await rig.clock.advance(100);
    for (let i = 0; i < 50; i += 1) rig.runner.observe(call({ kind: 'timeout', durationMs: 800, voided: true }));
    await rig.clock.advance(1000);
    expect(rig.runner.state).toBe('available');
  });

  it('calls a Redis that answers late slow, and takes it back when it is quick', async () => {
    using rig = startRig();
    await rig.clock.advance(100);
    rig.weather = 400;
    await rig.clock.advance(4000);
    expect(rig.runner.state).toBe('degraded.slow');
    await rig.clock.advance(10_000);
    expect(rig.runner.state).toBe('degraded.slow');
    rig.weather = 5;
    await rig.clock.advance(3000);
    expect(rig.runner.state).toBe('available');
  });

  it('tells the kinds of degraded apart and follows a change of kind', async () => {
    using rig = startRig();
    await rig.clock.advance(100);
    rig.weather = 'readOnly';
    await rig.clock.advance(500);
    expect(rig.runner.state).toBe('degraded.readOnly');
    rig.weather = 'wrongPassword';
    await rig.clock.advance(2000);
    expect(rig.runner.state).toBe('degraded.refused');
  });

  it('uses Redis again within 1.6 s of a password that was wrong for 8 s, after an outage of any length', async () => {
    using rig = startRig();
    rig.weather = 'refused';
    await rig.clock.advance(120_000);
    rig.weather = 'wrongPassword';
    await rig.clock.advance(8000);
    expect(rig.runner.state).toBe('degraded.refused');
    rig.weather = 5;
    await rig.clock.advance(1600);
    expect(rig.runner.state).toBe('available');
  });

  it('goes on probing slowly where a reset comes between two refusals', async () => {
    using rig = startRig();
    rig.weather = 'wrongPassword';
    await rig.clock.advance(60_000);
    rig.weather = 'refused';
    await rig.clock.advance(30_000);
    rig.weather = 'wrongPassword';
    await rig.clock.advance(2000);
    expect(rig.runner.state).toBe('degraded.refused');
    rig.probes = 0;
    await rig.clock.advance(60_000);
    expect(rig.probes).toBeLessThanOrEqual(5);
  });

  it('probes a refusing Redis slowly', async () => {
    using rig = startRig();
    rig.weather = 'wrongPassword';
    await rig.clock.advance(60_000);
    rig.probes = 0;
    await rig.clock.advance(60_000);
    expect(rig.probes).toBeLessThanOrEqual(5);
  });

  it('fault 7: lets the backoff grow until a full probe passes', async () => {
    using rig = startRig();
    rig.weather = 'refused';
    await rig.clock.advance(10_000);
    rig.probes = 0;
    await rig.clock.advance(10_000);
    expect(rig.probes).toBeLessThanOrEqual(21);
    expect(rig.probes).toBeGreaterThanOrEqual(10);
  });

  it('shows when it probes next', async () => {
    using rig = startRig();
    rig.weather = 'refused';
    await rig.clock.advance(5000);
    const { nextProbeAt } = rig.runner;
    expect(nextProbeAt).toBeGreaterThan(rig.clock.wallNow() - 1);
    expect(nextProbeAt).toBeLessThanOrEqual(rig.clock.wallNow() + 1000);
  });

  it('fault 42: falls back to degraded when reconciling never ends', async () => {
    const signals: AbortSignal[] = [];
    const reconcile = (signal: AbortSignal): Promise<void> => {
      signals.push(signal);
      return new Promise(() => undefined);
    };
    using rig = startRig({ reconcile });
    await rig.clock.advance(11_000);
    expect(rig.path().slice(0, 2)).toEqual(['recovering', 'degraded.unreachable']);
    expect(signals[0]?.aborted).toBe(true);
  });

  it('falls back to degraded when reconciling fails, and says why', async () => {
    using rig = startRig({ reconcile: () => Promise.reject(Object.assign(new Error(), { code: 'ECONNRESET' })) });
    await rig.clock.advance(100);
    expect(rig.runner.state).toBe('degraded.unreachable');
    expect(rig.runner.reason.code).toBe('ECONNRESET');
  });

  it('stays away from an isolated Redis until an operator releases it', async () => {
    using rig = startRig();
    await rig.clock.advance(100);
    rig.runner.send({ type: 'operator.isolate' });
    rig.probes = 0;
    await rig.clock.advance(60_000);
    expect(rig.runner.state).toBe('degraded.isolated');
    expect(rig.probes).toBe(0);
    rig.runner.send({ type: 'operator.release' });
    await rig.clock.advance(3000);
    expect(rig.runner.state).toBe('available');
  });

  it('keeps a flapping Redis out of use for longer each time', async () => {
    using rig = startRig();
    for (let t = 0; t < 150; t += 1) {
      rig.weather = t % 2 ? 1 : 'refused';
      await rig.clock.advance(200);
    }
    const perMinute = rig.transitions.length * 2;
    rig.weather = 1;
    expect(perMinute).toBeLessThanOrEqual(12);
  });

  it('fault 45: does not notice the wall clock jumping an hour either way', async () => {
    using rig = startRig();
    await rig.clock.advance(1000);
    for (const jump of [3_600_000, -7_200_000]) {
      rig.clock.jumpWall(jump);
      await rig.clock.advance(5000);
    }
    expect(rig.path()).toEqual(['recovering', 'available']);
  });

  it('leaves no timer behind when stopped', async () => {
    const rig = startRig();
    await rig.clock.advance(1000);
    rig[Symbol.dispose]();
    expect(rig.clock.pending).toBe(0);
  });
});
