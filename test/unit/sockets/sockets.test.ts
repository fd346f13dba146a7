import { describe, expect, it } from 'vitest';

import type { RedisBackend } from '../../../src/backends/types.ts';
import { isRedoubtError } from '../../../src/core/errors.ts';
import type { Logger } from '../../../src/observe/log.ts';
import { createSockets } from '../../../src/services/sockets/sockets.ts';
import { SimulatedClock } from '../../support/clock.ts';
import { modeOf, testConfig } from '../../support/service-rig.ts';

function startSockets() {
  const lines: string[] = [];
  const log: Logger = {
    debug: () => undefined,
    info: () => void lines.push('info'),
    warn: () => void lines.push('warn'),
    error: () => void lines.push('error'),
    child: () => log,
  };
  const redis = { engaged: false, link: () => ({ client: undefined, close: () => undefined }) };
  const clock = new SimulatedClock();
  const backend = redis as unknown as RedisBackend;
  const sockets = createSockets({ config: testConfig(), redis: backend, log, clock });
  return { sockets, redis, clock, lines };
}

describe('the sockets service', () => {
  it('does not warn while it starts, when Redis answers', () => {
    const { sockets, redis, lines } = startSockets();
    sockets.applyMode(modeOf('sockets', ['local']));
    redis.engaged = true;
    sockets.applyMode(modeOf('sockets', ['local']));
    sockets.applyMode(modeOf('sockets', ['redis', 'local']));
    expect(lines).toEqual([]);
  });

  it('warns once when Redis is not there at the start, and says so when it comes', () => {
    const { sockets, redis, lines } = startSockets();
    for (let transition = 0; transition < 4; transition += 1) sockets.applyMode(modeOf('sockets', ['local']));
    redis.engaged = true;
    sockets.applyMode(modeOf('sockets', ['redis', 'local']));
    expect(lines).toEqual(['warn', 'info']);
  });

  it('has nothing to warn of where a machine prefers local mode', () => {
    const { sockets, lines } = startSockets();
    sockets.applyMode(modeOf('sockets', ['local'], 'local'));
    sockets.applyMode(modeOf('sockets', ['local'], 'local'));
    expect(lines).toEqual([]);
    expect(sockets.report().notice).toBeUndefined();
  });

  it('gives up reconciling when it is told to, with no timer left behind', async () => {
    const { sockets, clock } = startSockets();
    const cancel = new AbortController();
    const reconciled = sockets.reconcile('redis', cancel.signal).catch((error: unknown) => error);
    await clock.advance(1_000);
    cancel.abort(new Error('took too long'));
    await clock.settle();

    expect(await reconciled).toMatchObject({ message: 'took too long' });
    expect(isRedoubtError(await reconciled)).toBe(false);
    expect(clock.pending).toBe(0);
  });

  it('needs nothing of PostgreSQL', async () => {
    const { sockets } = startSockets();
    await expect(sockets.reconcile('postgres', AbortSignal.timeout(1))).resolves.toBeUndefined();
  });
});
