import { once } from 'node:events';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

import compression from 'compression';
import express from 'express';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { LOOPBACK } from '../support/ports.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';
import { SessionsRig } from './sessions-rig.ts';

// One visitor, several tabs: requests that read the same session, change it, and end at about the same time.

let redis: TestRedis;
const owned: (() => unknown)[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterEach(async () => {
  for (const end of owned.splice(0).toReversed()) await end();
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

type Data = Record<string, unknown>;

/** What one of several requests changes; the last shows what is left in the end. */
const CHANGES: Record<string, (session: Data, i: number) => void> = {
  'the same key': (session, i) => (session['lastSeen'] = i),
  'a counter': (session) => (session['views'] = Number(session['views'] ?? 0) + 1),
  'a flash message': (session, i) => (session['flash'] = [...((session['flash'] ?? []) as number[]), i]),
};

async function start(sessions: object): Promise<{ url: string; rig: SessionsRig }> {
  const rig = await SessionsRig.start({ redis, sessions });
  owned.push(() => rig[Symbol.asyncDispose]());
  await rig.postgresBack();
  await rig.redisBack();
  const app = express();
  app.use(rig.sessions.middleware());
  app.use(compression({ threshold: 0 }));
  app.post('/change/:kind/:i', async (req, res) => {
    const session = req.session as unknown as Data;
    const i = Number(req.params.i);
    await delay(50);
    session[`only${i}`] = i;
    CHANGES[req.params.kind]!(session, i);
    res.json({ i });
  });
  app.get('/', (req, res) => void res.json(req.session));
  app.use(((error: { status?: number }, _req, res, _next) => {
    res.sendStatus(error.status ?? 500);
  }) satisfies express.ErrorRequestHandler);
  const server: Server = createServer(app).listen(0, LOOPBACK);
  await once(server, 'listening');
  owned.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://${LOOPBACK}:${(server.address() as AddressInfo).port}`, rig };
}

async function tabs(url: string, kind: string, count: number): Promise<{ statuses: number[]; left: Data }> {
  const first = await fetch(`${url}/change/${encodeURIComponent(kind)}/0`, { method: 'POST' });
  const headers = { Cookie: first.headers.getSetCookie()[0]!.split(';', 1)[0]! };
  const answers = await Promise.all(
    Array.from({ length: count }, (_, i) =>
      fetch(`${url}/change/${encodeURIComponent(kind)}/${i + 1}`, { method: 'POST', headers }),
    ),
  );
  const left = (await (await fetch(url, { headers })).json()) as Data;
  return { statuses: answers.map(({ status }) => status), left };
}

describe.each(Object.keys(CHANGES))('requests of one session that change %s, compressed', (kind) => {
  it('are all answered 200 by default, and no key that one of them changed is lost', async () => {
    const { url } = await start({});
    const { statuses, left } = await tabs(url, kind, 8);
    expect(statuses).toEqual(Array.from({ length: 8 }, () => 200));
    for (let i = 0; i <= 8; i += 1) expect(left[`only${i}`]).toBe(i);
  });

  it('are answered 200 once and 409 else with merge: a compressor behind the sessions lets nothing out before', async () => {
    const { url, rig } = await start({ conflict: 'merge' });
    const { statuses, left } = await tabs(url, kind, 10);
    expect(statuses.toSorted()).toEqual([200, ...Array.from({ length: 9 }, () => 409)]);
    const kept = Array.from({ length: 10 }, (_, i) => i + 1).filter((i) => left[`only${i}`] === i);
    expect(kept).toHaveLength(1);
    expect(rig.counters['rejected']).toBe(9);
  });
});
