import { describe, expect, it, vi } from 'vitest';

import { type Logger, silentLogger } from '../../../src/observe/log.ts';
import { shutDown } from '../../../src/shutdown.ts';
import { waitForStop } from '../../../src/server/stop.ts';
import { SimulatedClock } from '../../support/clock.ts';
import { testConfig } from '../../support/service-rig.ts';

const NEVER = new Promise<void>(() => undefined);

function rig(facts: { httpHangs?: boolean; closeHangs?: boolean; drainDelay?: string } = {}) {
  const steps: string[] = [];
  const clock = new SimulatedClock();
  const error = vi.fn<Logger['error']>();
  const waiting: (() => void)[] = [];
  const http = {
    close: (done: () => void) => {
      steps.push('stop accepting');
      if (facts.httpHangs) waiting.push(done);
      else done();
    },
    closeAllConnections: () => {
      steps.push('cut connections');
      for (const closed of waiting) closed();
    },
  };
  const socket = { emit: (event: string, hint: { afterMs: number }) => steps.push(`${event} ${hint.afterMs}`) };
  const io = {
    sockets: { sockets: new Map([['a', socket]]) },
    close: () => {
      steps.push('close sockets');
      return Promise.resolve();
    },
  };
  const done = shutDown({
    redoubt: {
      drain: () => void steps.push('drain'),
      close: () => {
        steps.push('close redoubt');
        return facts.closeHangs ? NEVER : Promise.resolve();
      },
    },
    servers: [http, io],
    requests: { drain: () => void steps.push('end streams') },
    extras: [{ close: () => void steps.push('close extras') }],
    config: testConfig({ server: { shutdownTimeout: '10s', drainDelay: facts.drainDelay ?? '0ms' } }),
    log: { ...silentLogger, error },
    clock,
    random: () => 0.5,
  });
  return { steps, clock, error, done };
}

describe('shutdown', () => {
  it('goes in order: not ready, no new connections, sockets told, Redoubt last', async () => {
    const { steps, clock, done } = rig();
    await clock.advance(1);
    expect(await done).toBe(true);
    expect(steps).toEqual([
      'drain',
      'stop accepting',
      'end streams',
      'redoubt:reconnect 1000',
      'close sockets',
      'close extras',
      'close redoubt',
    ]);
  });

  it('keeps accepting for drainDelay after it has said that it is not ready', async () => {
    const { steps, clock, done } = rig({ drainDelay: '3s' });
    await clock.advance(2999);
    expect(steps).toEqual(['drain']);
    await clock.advance(2);
    expect(await done).toBe(true);
  });

  it('cuts requests that do not end, so that acknowledged writes are still flushed, and says so', async () => {
    const { steps, clock, done } = rig({ httpHangs: true });
    await clock.advance(5001);
    expect(await done).toBe(false);
    expect(steps.slice(-2)).toEqual(['cut connections', 'close redoubt']);
  });

  it('gives up at shutdownTimeout and says what was not done', async () => {
    const { clock, error, done } = rig({ closeHangs: true });
    await clock.advance(10_001);
    expect(await done).toBe(false);
    expect(error).toHaveBeenCalledOnce();
    expect(error.mock.calls[0]?.[1]).toBe('stopped before flushing and closing backends was done');
  });
});

function target() {
  const listeners = new Map<string, (argument: unknown) => void>();
  const exits: number[] = [];
  return {
    exits,
    listeners,
    send: (event: string) => listeners.get(event)?.(new Error('x')),
    on: (event: string, listener: (argument: unknown) => void) => listeners.set(event, listener),
    off: (event: string) => listeners.delete(event),
    exit: (code: number) => void exits.push(code),
  };
}

describe('signals', () => {
  it('the first asks for an orderly stop, the second ends at once', async () => {
    const fake = target();
    using stop = waitForStop(fake, silentLogger);
    fake.send('SIGTERM');
    expect(await stop.requested).toBe('SIGTERM');
    expect(fake.exits).toEqual([]);
    fake.send('SIGINT');
    fake.send('SIGTERM');
    expect(fake.exits).toEqual([130, 143]);
  });

  it('an error that nobody caught stops in order too, and no listener is left behind', async () => {
    const fake = target();
    const stop = waitForStop(fake, silentLogger);
    fake.send('uncaughtException');
    expect(await stop.requested).toBe('error');
    stop[Symbol.dispose]();
    expect(fake.listeners.size).toBe(0);
  });
});
