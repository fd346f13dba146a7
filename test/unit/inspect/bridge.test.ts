import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';

import { silentLogger } from '../../../src/observe/log.ts';
import { type InspectorBridge, startInspectorBridge } from '../../../src/server/inspect/bridge.ts';
import { redactDefinition, stateValue } from '../../../src/server/inspect/protocol.ts';
import { FakeMachine, FakeMachines } from './fakes.ts';
import { redisLike } from './machines.ts';

const ORIGIN = 'https://stately.ai';

interface Message {
  readonly type: string;
  readonly sessionId: string;
  readonly rootId: string;
  readonly _version: string;
  readonly definition?: string;
  readonly event?: { readonly type: string; readonly reason: object };
  readonly snapshot?: { readonly value: unknown; readonly status: string; readonly context: object };
}

/** A viewer of our own: what the official one does with its socket, without its pictures. */
class Viewer {
  readonly messages: Message[] = [];
  readonly socket: WebSocket;
  #waiting: (() => void) | undefined;

  constructor(port: number, headers: Record<string, string> = { Origin: ORIGIN }) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/`, { headers });
    this.socket.on('message', (data: Buffer) => {
      this.messages.push(JSON.parse(data.toString()));
      this.#waiting?.();
    });
  }

  async received(count: number): Promise<readonly Message[]> {
    while (this.messages.length < count) {
      // oxlint-disable-next-line no-await-in-loop
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
    return this.messages;
  }

  /** The HTTP status that refused it. */
  refused(): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      this.socket.on('unexpected-response', (request, response) => {
        resolve(response.statusCode);
        request.destroy();
      });
      this.socket.on('open', () => reject(new Error('it was let in')));
      this.socket.on('error', () => undefined);
    });
  }
}

let machines: FakeMachines;
let bridge: InspectorBridge;
const viewers: Viewer[] = [];

function attach(headers?: Record<string, string>): Viewer {
  const viewer = new Viewer(bridge.port, headers);
  viewers.push(viewer);
  return viewer;
}

beforeEach(async () => {
  const other = { id: 'postgres', initial: 'connecting', states: { connecting: {} } };
  machines = new FakeMachines(new FakeMachine(redisLike, 'connecting'), new FakeMachine(other, 'connecting'));
  machines.go('redis', 'recovering', 'probe.passed', 'degraded', 1000);
  bridge = await startInspectorBridge({ machines, port: 0, origins: [ORIGIN], log: silentLogger });
});

afterEach(async () => {
  for (const viewer of viewers.splice(0)) viewer.socket.terminate();
  await bridge.close();
});

describe('the inspector bridge', () => {
  it('sends the definition of every machine first, then what happened, then each new transition', async () => {
    const viewer = attach();
    await viewer.received(4);
    machines.go('redis', 'degraded.slow', 'probe.slowed', 'degraded', 2000);
    const messages = await viewer.received(6);
    expect(messages.map(({ type, sessionId }) => [type, sessionId])).toEqual([
      ['@xstate.actor', 'redis'],
      ['@xstate.actor', 'postgres'],
      ['@xstate.event', 'redis'],
      ['@xstate.snapshot', 'redis'],
      ['@xstate.event', 'redis'],
      ['@xstate.snapshot', 'redis'],
    ]);
    expect(JSON.parse(messages[0]?.definition ?? '')).toMatchObject({ id: 'redis', states: { degraded: {} } });
    expect(messages[0]?.snapshot).toMatchObject({ status: 'active', value: 'connecting' });
    expect(messages[4]?.event).toMatchObject({ type: 'probe.slowed', reason: { code: 'PROBE_SLOWED' } });
    expect(messages[5]?.snapshot).toMatchObject({ status: 'active', value: { degraded: 'slow' } });
    for (const message of messages)
      expect(message).toMatchObject({ _version: expect.any(String), rootId: message.sessionId });
  });

  it('keeps no more than 200 transitions and still sends the definitions first', async () => {
    for (let at = 0; at < 500; at += 1) machines.go('redis', at % 2 ? 'available' : 'recovering', 'x', 'up', at);
    const viewer = attach();
    const messages = await viewer.received(402);
    expect(messages.slice(0, 2).map(({ type }) => type)).toEqual(['@xstate.actor', '@xstate.actor']);
    expect(messages.at(-1)?.snapshot?.value).toBe('available');
  });

  it('passes on nothing of contexts, params and meta', async () => {
    const viewer = attach();
    const text = JSON.stringify(await viewer.received(4));
    expect(text).not.toContain('planted-secret');
    expect(text).not.toContain('policy');
    expect(text).not.toContain('backends');
    const secret = { type: 'act', params: { token: 'planted-secret' } };
    const state = {
      invoke: { src: 'job', input: 'planted-secret' },
      on: { go: { target: 'a', actions: [secret], guard: secret } },
    };
    const redacted = JSON.stringify(redactDefinition({ id: 'm', initial: 'a', states: { a: state } }));
    expect(redacted).not.toContain('planted-secret');
    expect(redacted).toContain('"actions":[{"type":"act"}]');
  });

  it.each([
    ['a foreign origin', { Origin: 'https://evil.example' }],
    ['an origin that only begins like loopback', { Origin: 'http://127.0.0.1.evil.example' }],
    ['an opaque origin', { Origin: 'null' }],
    ['a foreign host name that was rebound to loopback', { Origin: ORIGIN, Host: 'evil.example:8080' }],
  ])('refuses %s', async (_name, headers) => {
    expect(await attach(headers).refused()).toBe(403);
  });

  it.each([
    ['a configured origin', { Origin: ORIGIN }],
    ['a page on loopback', { Origin: 'http://localhost:5173' }],
    ['a program that is no browser', {}],
  ])('lets in %s', async (_name, headers: Record<string, string>) => {
    expect((await attach(headers).received(1))[0]?.type).toBe('@xstate.actor');
  });

  it('refuses the ninth viewer, and lets one in when another has left', async () => {
    const inside = Array.from({ length: 8 }, () => attach());
    await Promise.all(inside.map((viewer) => viewer.received(4)));
    expect(await attach().refused()).toBe(503);
    const left = new Promise((resolve) => inside[0]?.socket.on('close', resolve));
    inside[0]?.socket.close();
    await left;
    expect(await attach().received(4)).toHaveLength(4);
  });

  it('ends a viewer that sends more than a few kilobytes', async () => {
    const viewer = attach();
    await viewer.received(4);
    const closed = new Promise((resolve) => viewer.socket.on('close', resolve));
    viewer.socket.send('x'.repeat(10_000));
    expect(await closed).toBe(1009);
  });

  it('listens on loopback alone', async () => {
    const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
    const reachable = addresses.filter(({ internal, family }) => !internal && family === 'IPv4');
    const outcomes = await Promise.all(
      ['127.0.0.1', '127.0.0.2', ...reachable.map(({ address }) => address)].map((host) => canConnect(host)),
    );
    expect(outcomes).toEqual([true, ...outcomes.slice(1).map(() => false)]);
  });

  it('serves a page that may frame the inspector and run its own script alone', async () => {
    const page = await fetch(bridge.url);
    expect(page.headers.get('Content-Security-Policy')).toContain("default-src 'none'; script-src 'self'");
    expect(await page.text()).toContain('data-src="https://stately.ai/inspect"');
    expect((await fetch(`${bridge.url}viewer.js`)).status).toBe(200);
    expect((await fetch(`${bridge.url}etc`)).status).toBe(404);
  });

  it('says that its port is in use', async () => {
    const again = startInspectorBridge({ machines, port: bridge.port, origins: [], log: silentLogger });
    await expect(again).rejects.toMatchObject({ code: 'ERR_LISTEN' });
    expect(machines.listeners).toBe(1);
  });

  it('ends its viewers and lets go of the machines on close', async () => {
    const viewer = attach();
    await viewer.received(4);
    const closed = new Promise((resolve) => viewer.socket.on('close', resolve));
    await bridge.close();
    await closed;
    expect(machines.listeners).toBe(0);
  });
});

describe('stateValue', () => {
  it.each([
    ['available', 'available'],
    ['degraded.slow', { degraded: 'slow' }],
    ['a.b.c', { a: { b: 'c' } }],
    ['link.up+load.low', { link: 'up', load: 'low' }],
  ])('of %s', (state, value) => {
    expect(stateValue(state)).toEqual(value);
  });
});

function canConnect(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port: bridge.port, timeout: 2000 });
    const settle = (reached: boolean) => (): void => {
      socket.destroy();
      resolve(reached);
    };
    socket.once('connect', settle(true)).once('error', settle(false)).once('timeout', settle(false));
  });
}
