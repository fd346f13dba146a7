import { describe, expect, it } from 'vitest';

import type { RedisBackend, RedisLinkOptions } from '../../../src/backends/types.ts';
import { isRedoubtError } from '../../../src/core/errors.ts';
import { silentLogger } from '../../../src/observe/log.ts';
import { createSockets } from '../../../src/services/sockets/sockets.ts';
import { SimulatedClock } from '../../support/clock.ts';
import { modeOf, testConfig } from '../../support/service-rig.ts';

function startSockets() {
  const links: string[] = [];
  const link = ({ role }: RedisLinkOptions) => {
    links.push(role);
    return { client: undefined, close: () => undefined };
  };
  const redis = { engaged: false, link };
  const clock = new SimulatedClock();
  const backend = redis as unknown as RedisBackend;
  const sockets = createSockets({ config: testConfig(), redis: backend, log: silentLogger, clock });
  return { sockets, clock, links };
}

describe('the sockets service', () => {
  it('says in its report what single-instance mode means, and nothing where a machine prefers it', () => {
    const { sockets } = startSockets();
    sockets.applyMode(modeOf('sockets', ['local']));
    expect(sockets.report().notice).toMatch(/Single-instance mode.*only the clients of this instance/);
    sockets.applyMode(modeOf('sockets', ['redis', 'local']));
    expect(sockets.report().notice).toBeUndefined();
    sockets.applyMode(modeOf('sockets', ['local'], 'local'));
    expect(sockets.report().notice).toBeUndefined();
  });

  it('gives up reconciling when it is told to, with no timer left behind', async () => {
    const { sockets, clock } = startSockets();
    expect(sockets.adapter).toBeTypeOf('function');
    const cancel = new AbortController();
    const reconciled = sockets.reconcile('redis', cancel.signal).catch((error: unknown) => error);
    await clock.advance(1_000);
    cancel.abort(new Error('took too long'));
    await clock.settle();

    expect(await reconciled).toMatchObject({ message: 'took too long' });
    expect(isRedoubtError(await reconciled)).toBe(false);
    expect(clock.pending).toBe(0);
  });

  it('opens no connection and has nothing to reconcile before the adapter is asked for', async () => {
    const { sockets, links } = startSockets();
    await sockets.reconcile('redis', AbortSignal.timeout(1));
    expect(links).toEqual([]);
    expect(sockets.adapter).toBe(sockets.adapter);
    expect(links).toEqual(['subscriber']);
  });

  it('needs nothing of PostgreSQL', async () => {
    const { sockets } = startSockets();
    await expect(sockets.reconcile('postgres', AbortSignal.timeout(1))).resolves.toBeUndefined();
  });
});
