import { describe, expect, it } from 'vitest';

import { loadConfig } from '../../src/config/load.ts';
import { loadCheckedMachines } from '../../src/runtime/load.ts';
import { readRecord } from '../../src/runtime/simulate/read-record.ts';
import { scriptOf } from '../../src/runtime/simulate/record.ts';
import { compareWithRecord } from '../../src/runtime/simulate/repeats.ts';
import { parseScript } from '../../src/runtime/simulate/script.ts';
import { simulate } from '../../src/runtime/simulate/simulate.ts';
import { type Rig, startRig } from './rig.ts';

/** A little traffic, as an application has it: without any, only probes would notice. */
async function withTraffic(rig: Rig, during: () => Promise<void>): Promise<void> {
  const over = new AbortController();
  const loop = (async () => {
    for (let i = 0; !over.signal.aborted; i += 1) {
      await rig.server.fetch(`/v1/cache/k${i % 7}`, { method: 'PUT', body: `${i}` });
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  })();
  await Promise.all([loop, during().finally(() => over.abort())]);
}

/** What was really seen, as health and as log tell it, must be what the simulation of it does. */
async function expectRepeated(rig: Rig): Promise<void> {
  const { config } = loadConfig({ env: { NODE_ENV: 'test' } });
  const definitions = loadCheckedMachines({ dir: '', config });
  for (const [source, text] of [
    ['health', JSON.stringify(await rig.health())],
    ['log', rig.server.stdout],
  ] as const) {
    const recorded = readRecord(text, source);
    const file = JSON.stringify(scriptOf(recorded, config, source));
    const script = parseScript(file, source, { machines: ['redis', 'postgres'], events: [] });
    const { transitions } = await simulate({ script, config, definitions });
    for (const { recorded: real, simulated } of compareWithRecord(recorded, transitions)) {
      expect(simulated, `${source}: ${file}`).toEqual(real);
    }
    expect(recorded.filter(({ machine }) => machine === 'redis').length).toBeGreaterThanOrEqual(5);
  }
}

/** How long a fault lasts once it was noticed. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 700));

describe('a recorded outage, simulated', () => {
  it('takes the same way when Redis is killed and restarted', async () => {
    await using rig = await startRig();
    await rig.becomes('available');
    await withTraffic(rig, async () => {
      await rig.redis.kill();
      await rig.becomes('degraded.unreachable');
      await settle();
      await rig.redis.restart({ empty: true });
      await rig.becomes('available');
    });
    await expectRepeated(rig);
  });

  it('takes the same way when Redis freezes and thaws', async () => {
    await using rig = await startRig();
    await rig.becomes('available');
    await withTraffic(rig, async () => {
      rig.redis.freeze();
      await rig.becomes('degraded.unreachable');
      await settle();
      rig.redis.thaw();
      await rig.becomes('available');
    });
    await expectRepeated(rig);
  });

  it('takes the same way when connections are refused', async () => {
    await using rig = await startRig();
    await rig.becomes('available');
    await withTraffic(rig, async () => {
      rig.hop.mode = 'refuse';
      await rig.becomes('degraded.unreachable');
      await settle();
      rig.hop.mode = 'pass';
      await rig.becomes('available');
    });
    await expectRepeated(rig);
  });

  it('takes the same way when every reply is 400 ms late', async () => {
    await using rig = await startRig();
    await rig.becomes('available');
    await withTraffic(rig, async () => {
      rig.hop.mode = 'slow';
      await rig.becomes('degraded');
      await settle();
      rig.hop.mode = 'pass';
      await rig.becomes('available');
    });
    await expectRepeated(rig);
  });

  it('takes the same way when memory is full', async () => {
    await using rig = await startRig();
    await rig.becomes('available');
    await withTraffic(rig, async () => {
      const control = rig.redis.client();
      await control.config('SET', 'maxmemory', '1');
      await rig.becomes('degraded.readOnly');
      await settle();
      await control.config('SET', 'maxmemory', '0');
      await rig.becomes('available');
    });
    await expectRepeated(rig);
  });
});
