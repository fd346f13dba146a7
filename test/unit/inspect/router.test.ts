import type { AddressInfo } from 'node:net';

import express from 'express';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { silentLogger } from '../../../src/observe/log.ts';
import type { MachineDefinition } from '../../../src/runtime/types.ts';
import { inspectRouter } from '../../../src/server/inspect/router.ts';
import type { HealthReport } from '../../../src/services/health/types.ts';
import { SimulatedClock } from '../../support/clock.ts';
import { FakeMachine, FakeMachines, fakeHealth } from './fakes.ts';
import { parallelLike, redisLike } from './machines.ts';

const undrawable: MachineDefinition = { id: 'odd', initial: 'a', states: { a: { on: { go: { target: 'nowhere' } } } } };

const health = (): HealthReport => fakeHealth('pass', 'redis');

let url: string;
let stop: () => Promise<void>;
let closeStreams: () => void;

beforeEach(async () => {
  const machines = new FakeMachines(
    new FakeMachine(redisLike, 'connecting'),
    new FakeMachine(parallelLike, 'link.up+load.low'),
    new FakeMachine(undrawable, 'a'),
  );
  const { router, close } = inspectRouter({ machines, health, log: silentLogger, clock: new SimulatedClock() });
  const server = express().use('/ops', router).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/ops`;
  closeStreams = close;
  stop = async () => {
    close();
    await new Promise((resolve) => server.close(resolve));
  };
});

afterEach(() => stop());

describe('/inspect', () => {
  it('is one page with every machine drawn, and refers to nothing but itself', async () => {
    const response = await fetch(`${url}/inspect`);
    const html = await response.text();
    expect(response.headers.get('Content-Security-Policy')).toMatch(/^default-src 'none'; script-src 'self'/);
    expect(html).toContain('data-machine="redis"');
    expect(html).toContain('data-state="degraded.slow"');
    expect(html).toContain('data-state="link.up"');
    expect(html.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:\/\//);
    expect(html).not.toMatch(/<script(?! src="inspect\/client.js")/);
  });

  it('lists the states of a machine that cannot be drawn', async () => {
    const html = await (await fetch(`${url}/inspect`)).text();
    expect(html).toContain('odd could not be drawn');
    expect(html).toContain('<li class="state" data-state="a">');
  });

  it.each([
    ['style.css', 'text/css', '.machine'],
    ['client.js', 'text/javascript', 'EventSource'],
    ['icon.svg', 'image/svg+xml', '<svg'],
  ])('serves inspect/%s', async (file, type, text) => {
    const response = await fetch(`${url}/inspect/${file}`);
    expect(response.headers.get('Content-Type')).toContain(type);
    expect(await response.text()).toContain(text);
  });

  it('sends the address with a slash at its end to the one without', async () => {
    const response = await fetch(`${url}/inspect/`, { redirect: 'manual' });
    expect(response.status).toBe(308);
    expect(new URL(response.headers.get('Location') ?? '', `${url}/inspect/`).pathname).toBe('/ops/inspect');
  });

  it('streams events, and ends the stream when it is closed', async () => {
    const response = await fetch(`${url}/inspect/events`);
    expect(response.headers.get('Content-Type')).toBe('text/event-stream');
    closeStreams();
    expect(await response.text()).toContain('event: snapshot');
    expect((await fetch(`${url}/inspect/events`)).status).toBe(503);
  });
});
