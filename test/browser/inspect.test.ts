import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { requireProgram } from '../../scripts/programs.ts';
import { silentLogger } from '../../src/observe/log.ts';
import { startInspectorBridge } from '../../src/server/inspect/bridge.ts';
import { freePort } from '../support/ports.ts';
import { startRedis } from '../support/redis.ts';
import { startServer } from '../support/server.ts';
import { FakeMachine, FakeMachines } from '../unit/inspect/fakes.ts';
import { redisLike } from '../unit/inspect/machines.ts';

/** Folder for the documentation's screenshots; unset: none are taken. */
const SCREENSHOTS = process.env['SCREENSHOTS'];
const WITHIN = { timeout: 20_000 };

let browser: Browser;

beforeAll(async () => {
  browser = await chromium.launch({
    executablePath: requireProgram('chromium'),
    // Without these Chromium looks for its maker's hosts at every start.
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
});

afterAll(() => browser.close());

/** A page with a record of what must not happen on it. */
async function openPage(
  colorScheme: 'light' | 'dark' = 'light',
): Promise<{ page: Page; hosts: Set<string>; errors: string[] }> {
  const page = await browser.newPage({ viewport: { width: 1360, height: 1180 }, colorScheme });
  const hosts = new Set<string>();
  const errors: string[] = [];
  page.on('request', (request) => hosts.add(new URL(request.url()).host));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (error) => errors.push(error.message));
  return { page, hosts, errors };
}

async function shoot(page: Page, name: string): Promise<void> {
  if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/inspect-${name}.png`, animations: 'disabled' });
}

/** Waits until the picture of `redis` marks this state, by the page's own script. */
async function marked(page: Page, state: string): Promise<void> {
  await page.locator(`[data-machine="redis"] .state.active[data-state="${state}"]`).waitFor(WITHIN);
}

describe('/inspect in a browser', () => {
  it('follows a kill and a recovery of Redis without a reload, and asks no other host', async () => {
    await using redis = await startRedis();
    await using server = await startServer({ env: { REDIS_URL: redis.url, DATABASE_URL: 'none' } });
    const { page, hosts, errors } = await openPage();
    await page.goto(`${server.url}/inspect`);
    await page.evaluate('window.loadedOnce = true');
    await marked(page, 'available');
    await shoot(page, 'available');

    await redis.kill();
    await marked(page, 'degraded.unreachable');
    await marked(page, 'degraded');
    await page.locator('[data-service="cache"] [data-field="backend"]', { hasText: 'memory' }).waitFor(WITHIN);
    expect(await page.locator('[data-machine="redis"] .state.active[data-state="available"]').count()).toBe(0);
    expect(await page.locator('[data-machine="redis"] .arrow.taken').count()).toBeLessThanOrEqual(1);
    expect(await page.locator('[data-card="redis"] [data-field="reason"]').textContent()).not.toBe('');
    await shoot(page, 'degraded');

    await redis.restart();
    await marked(page, 'available');
    const moves = await page.locator('#transitions .what').allTextContents();
    expect(moves.slice(0, 2)).toEqual(['recovering → available', 'degraded.unreachable → recovering']);

    expect(await page.evaluate('window.loadedOnce')).toBe(true);
    expect([...hosts]).toEqual([new URL(server.url).host]);
    expect(errors).toEqual([]);
    await page.close();
  });

  it('connects again by itself after the server was restarted', async () => {
    const port = await freePort();
    const env = { PORT: `${port}`, REDIS_URL: 'redis://127.0.0.1:1', DATABASE_URL: 'none' };
    const { page } = await openPage();
    {
      await using server = await startServer({ env });
      await page.goto(`${server.url}/inspect`);
      await marked(page, 'degraded.unreachable');
      expect(await server.stop()).toBe(0);
    }
    await page.locator('#link[data-link="lost"]').waitFor(WITHIN);
    await using again = await startServer({ env });
    expect(again.running).toBe(true);
    await page.locator('#link[data-link="live"]').waitFor(WITHIN);
    await marked(page, 'degraded.unreachable');
    await page.close();
  });

  it('is readable on a phone and in the dark', async () => {
    await using server = await startServer({ env: { REDIS_URL: 'redis://127.0.0.1:1', DATABASE_URL: 'none' } });
    const { page, errors } = await openPage('dark');
    await page.setViewportSize({ width: 390, height: 844 });
    await page.goto(`${server.url}/inspect`);
    await marked(page, 'degraded.unreachable');
    await page.locator('#summary[data-status="warn"]').waitFor(WITHIN);
    // The page itself never scrolls sideways; its pictures do, and show the active state.
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
    const inSight = `(() => {
      const { left, right } = document.querySelector('[data-machine="redis"] [data-state="degraded.unreachable"]').getBoundingClientRect();
      return left >= 0 && right <= innerWidth;
    })()`;
    await expect.poll(() => page.evaluate(inSight), WITHIN).toBe(true);
    await shoot(page, 'phone');
    expect(errors).toEqual([]);
    await page.close();
  });
});

describe('the page of the inspector bridge', () => {
  it('hands definitions and transitions to the inspector in its frame, and again when that reloads', async () => {
    const inspector = await serveStandIn();
    const inspectorUrl = `http://127.0.0.1:${(inspector.address() as AddressInfo).port}/inspect`;
    const machines = new FakeMachines(new FakeMachine(redisLike, 'connecting'));
    const origins = ['https://stately.ai'];
    await using bridge = await startInspectorBridge({ machines, port: 0, origins, log: silentLogger, inspectorUrl });
    const { page, errors } = await openPage();
    await page.goto(bridge.url);
    const received = page.frameLocator('#inspector').locator('li');
    await received.nth(0).waitFor(WITHIN);
    machines.go('redis', 'degraded.slow', 'probe.slowed', 'degraded', Date.now());
    await received.nth(2).waitFor(WITHIN);
    expect(await received.allTextContents()).toEqual([
      '@xstate.actor redis',
      '@xstate.event redis',
      '@xstate.snapshot redis',
    ]);

    await page.frame({ url: inspectorUrl })?.evaluate('location.reload()');
    await expect.poll(() => received.allTextContents(), WITHIN).toHaveLength(3);
    await expect.poll(() => bridge.viewers, WITHIN).toBe(1);
    expect(errors).toEqual([]);
    await page.close();
    await new Promise((resolve) => inspector.close(resolve));
  });
});

/** What the official page does when it is framed (createBrowserReceiver of @statelyai/inspect), without its pictures. */
async function serveStandIn(): Promise<Server> {
  const html = `<!doctype html><link rel="icon" href="data:,"><ul></ul><script>
    addEventListener('message', ({ data }) => {
      if (typeof data?.type !== 'string' || typeof data._version !== 'string') return;
      const item = document.createElement('li');
      item.textContent = data.type + ' ' + data.sessionId;
      document.querySelector('ul').append(item);
    });
    parent.postMessage({ type: '@statelyai.connected' }, '*');
  </script>`;
  const server = createServer((_request, response) => response.setHeader('Content-Type', 'text/html').end(html));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}
