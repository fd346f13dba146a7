import { describe, expect, it } from 'vitest';

import { startTraffic } from '../support/traffic.ts';
import { type Rig, startRig } from './rig.ts';

// Short faults that prove the promise; bench/outage.ts measures the long ones of the same shape.
const FAULT_MS = 3000;

const FAULTS: Readonly<Record<string, readonly [(rig: Rig) => unknown, (rig: Rig) => unknown]>> = {
  'killed and restarted empty': [(rig) => rig.redis.kill(), (rig) => rig.redis.restart({ empty: true })],
  frozen: [(rig) => rig.redis.freeze(), (rig) => rig.redis.thaw()],
  cut: [(rig) => (rig.hop.mode = 'refuse'), (rig) => (rig.hop.mode = 'pass')],
  silent: [(rig) => (rig.hop.mode = 'blackhole'), (rig) => (rig.hop.mode = 'pass')],
};

describe('300 requests a second and 50 sockets', () => {
  it.each(Object.keys(FAULTS))('notice nothing while Redis is %s', async (name) => {
    const [begin, end] = FAULTS[name] ?? [];
    await using rig = await startRig();
    await rig.becomes('available');
    const traffic = await startTraffic({ url: rig.server.url });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await begin?.(rig);
    await rig.becomes('degraded', 5000);
    await new Promise((resolve) => setTimeout(resolve, FAULT_MS));
    await end?.(rig);
    await rig.becomes('available');
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const summary = await traffic.stop();
    expect(summary.load.count).toBeGreaterThan(1000);
    expect(summary).toMatchObject({
      failed: 0,
      disconnects: 0,
      loggedOut: 0,
      lostUpdates: 0,
      unheard: 0,
      doubled: 0,
    });
    expect(summary.load.over(1000)).toBe(0);
    await rig.expectSound();
  });
});
