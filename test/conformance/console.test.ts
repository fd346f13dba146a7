import { createServer } from 'node:http';

import { Server } from 'socket.io';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import type { Logger } from '../../src/observe/log.ts';
import { createRedoubt } from '../../src/redoubt.ts';
import { eventually } from '../support/eventually.ts';
import { startRedis } from '../support/redis.ts';

const printed: unknown[][] = [];
beforeEach(() => {
  for (const method of ['log', 'warn', 'error'] as const) {
    vi.spyOn(console, method).mockImplementation((...texts: unknown[]) => void printed.push(texts));
  }
});
afterEach(() => {
  vi.restoreAllMocks();
  printed.length = 0;
});

/** A logger that keeps its warnings. */
function keeper(): { readonly log: Logger; readonly warnings: string[] } {
  const warnings: string[] = [];
  const warn = (_facts: object, text: string): void => void warnings.push(text);
  const log: Logger = { debug: () => undefined, info: () => undefined, warn, error: warn, child: () => log };
  return { log, warnings };
}

it('says once in the log, and never on the console, that Redis wants no password', async () => {
  await using redis = await startRedis();
  const url = redis.url.replace('redis://', 'redis://:a-word@');
  const { log, warnings } = keeper();
  await using redoubt = await createRedoubt({ config: { redis: { url }, postgres: { url: 'none' } }, logger: log });
  const io = new Server(createServer(), { adapter: redoubt.sockets.adapter });
  await redoubt.jobs.queue('mail').add('welcome', {});
  await redoubt.cache.set('key', 1);
  expect(await redoubt.cache.get('key')).toBe(1);
  expect(redoubt.machines.get('redis').state).toBe('available');
  // Each connection meets it again.
  redoubt.machines.send('redis', { type: 'operator.isolate' });
  redoubt.machines.send('redis', { type: 'operator.release' });
  await eventually(() => expect(redoubt.machines.get('redis').state).toBe('available'));
  await io.close();

  expect(warnings.filter((text) => text.includes('asks for no password'))).toHaveLength(1);
  expect(printed).toEqual([]);
});

it('prints nothing while Redis goes, refuses and comes back', async () => {
  await using redis = await startRedis();
  const { log } = keeper();
  const config = { redis: { url: redis.url }, postgres: { url: 'none' } };
  await using redoubt = await createRedoubt({ config, logger: log });
  const io = new Server(createServer(), { adapter: redoubt.sockets.adapter });
  const worker = redoubt.jobs.work('mail', () => undefined);
  await redis.kill();
  await eventually(() => expect(redoubt.machines.get('redis').state).toMatch(/^degraded/));
  await redis.restart({ args: ['--requirepass', 'another'], until: 'answering' });
  await eventually(() => expect(redoubt.machines.get('redis').state).toBe('degraded.refused'));
  await redis.kill();
  await redis.restart({ args: [] });
  await eventually(() => expect(redoubt.machines.get('redis').state).toBe('available'));
  await worker.close();
  await io.close();
  expect(printed).toEqual([]);
});
