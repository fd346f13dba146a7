import { once } from 'node:events';
import { type Server as HttpServer, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { type RedisAdapter, createAdapter } from '@socket.io/redis-adapter';
import { Server, type ServerOptions } from 'socket.io';
import { type Socket as ClientSocket, io as connectClient } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { systemClock } from '../../src/core/clock.ts';
import { type Logger, silentLogger } from '../../src/observe/log.ts';
import { createSockets } from '../../src/services/sockets/sockets.ts';
import { eventually } from '../support/eventually.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';
import { degrade, modeOf, recover, testBackend, testConfig } from '../support/service-rig.ts';

let redis: TestRedis;
const open: (() => unknown)[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterEach(async () => {
  redis.thaw();
  for (const close of open.splice(0).toReversed()) await close();
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

/** A Socket.IO server on the demo's events, and its clients. */
async function startIo(adapter: ServerOptions['adapter']) {
  const http: HttpServer = createServer();
  const io = new Server(http, { adapter });
  io.on('connection', (socket) => {
    socket.on('join', (room: string, done: () => void) => {
      void socket.join(room);
      done();
    });
    socket.on('say', (room: string, text: string) => socket.to(room).emit('said', text));
  });
  io.of('/').on('whoami', (done: (answer: string) => void) => done('answered'));
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const { port } = http.address() as AddressInfo;
  open.push(() => io.close());
  return { io, connect: (room?: string) => connectTo(port, room) };
}

interface TestClient {
  readonly socket: ClientSocket;
  readonly got: string[];
  readonly drops: () => number;
}

async function connectTo(port: number, room?: string): Promise<TestClient> {
  const socket = connectClient(`http://127.0.0.1:${port}`, { transports: ['websocket'], forceNew: true });
  const got: string[] = [];
  let drops = 0;
  socket.on('said', (text: string) => got.push(text));
  socket.on('disconnect', () => (drops += 1));
  open.push(() => socket.disconnect());
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('connect_error', reject);
  });
  if (room) await socket.emitWithAck('join', room);
  return { socket, got, drops: () => drops };
}

/** One of our servers, in the mode that is asked for. */
async function startOurs(mode: 'redis' | 'local', log: Logger = silentLogger) {
  const config = testConfig({ redis: { url: redis.url } });
  const backend = testBackend(config);
  const sockets = createSockets({ config, redis: backend, log, clock: systemClock });
  open.push(() => backend.close());
  sockets.applyMode(modeOf('sockets', ['local']));
  const server = await startIo(sockets.adapter);
  const toRedis = () => recover(backend, sockets, ['redis', 'local']);
  const toLocal = () => degrade(backend, sockets, ['local']);
  if (mode === 'redis') await toRedis();
  return { ...server, sockets, backend, toRedis, toLocal };
}

/** A server on the stock adapter, as in a rolling upgrade. */
async function startStock() {
  const server = await startIo(createAdapter(redis.client(), redis.client()));
  await eventually(() => server.io.of('/').adapter.serverCount());
  return server;
}

/** Ends once everything that was sent before has arrived. */
const flushed = (client: TestClient) => client.socket.timeout(2_000).emitWithAck('join', 'flush');

const modes = ['redis', 'local'] as const;

describe.each(modes)('sockets in mode %s', (mode) => {
  it('sends to a room, to several rooms once, and not to those excepted', async () => {
    const { io, connect } = await startOurs(mode);
    const [a, b, c] = [await connect('one'), await connect('two'), await connect('one')];
    await c.socket.emitWithAck('join', 'two');

    io.to('one').emit('said', 'to one');
    io.to('one').to('two').emit('said', 'to both');
    io.to('two').except('one').emit('said', 'to two only');

    await eventually(() => expect([a.got.length, b.got.length, c.got.length]).toEqual([2, 2, 2]));
    expect(a.got).toEqual(['to one', 'to both']);
    expect(b.got).toEqual(['to both', 'to two only']);
    expect(c.got).toEqual(['to one', 'to both']);
  });

  it('broadcasts from a socket to all the others', async () => {
    const { connect } = await startOurs(mode);
    const [a, b, c] = [await connect('all'), await connect('all'), await connect()];

    a.socket.emit('say', 'all', 'hello');

    await eventually(() => expect(b.got).toEqual(['hello']));
    await Promise.all([flushed(a), flushed(c)]);
    expect([a.got, c.got]).toEqual([[], []]);
  });

  it('collects the acknowledgements of all clients', async () => {
    const { io, connect } = await startOurs(mode);
    const clients = [await connect(), await connect()];
    for (const [n, { socket }] of clients.entries()) socket.on('ask', (done: (n: number) => void) => done(n));

    const answers = (await io.timeout(2_000).emitWithAck('ask')) as number[];

    expect(answers.toSorted((x, y) => x - y)).toEqual([0, 1]);
  });

  it('moves sockets in and out of rooms from the server, at once', async () => {
    const { io, connect } = await startOurs(mode);
    const client = await connect('here');

    io.in('here').socketsJoin('there');
    io.to('there').emit('said', 'joined');
    io.in('here').socketsLeave('there');
    io.to('there').emit('said', 'left');
    io.to('here').emit('said', 'end');

    await eventually(() => expect(client.got).toContain('end'));
    expect(client.got).toEqual(['joined', 'end']);
  });

  it('disconnects sockets from the server, and not those that connect afterwards', async () => {
    const { io, connect } = await startOurs(mode);
    const [a, b] = [await connect('out'), await connect('in')];

    io.in('out').disconnectSockets();
    await eventually(() => a.drops() === 1);
    const later = await connect('out');

    await flushed(later);
    expect([b.drops(), later.drops()]).toEqual([0, 0]);
  });

  it('lists sockets, rooms and servers', async () => {
    const { io, connect } = await startOurs(mode);
    const [a] = [await connect('list'), await connect()];

    const found = await io.in('list').fetchSockets();
    const rooms = await (io.of('/').adapter as RedisAdapter).allRooms();

    expect(found.map(({ id }) => id)).toEqual([a.socket.id]);
    expect(rooms).toContain('list');
    expect(await io.of('/').adapter.serverCount()).toBe(1);
  });

  it('answers serverSideEmit with what the other servers say', async () => {
    const { io } = await startOurs(mode);
    await expect(io.serverSideEmitWithAck('whoami')).resolves.toEqual([]);
  });

  it('reports backend, scope and sizes', async () => {
    const { sockets, connect } = await startOurs(mode);
    await connect('room');
    const report = sockets.report();
    expect(report).toMatchObject({ backend: mode, preferred: 'redis', scope: mode === 'redis' ? 'fleet' : 'instance' });
    expect(report.counters).toMatchObject({ clients: 1, namespaces: 1, subscriptions: 4 });
    expect(report.notice === undefined).toBe(mode === 'redis');
  });
});

describe.each([
  ['two of ours', () => startOurs('redis')],
  ['ours and one on the stock adapter', () => startStock()],
] as const)('sockets across servers: %s', (_name, startOther) => {
  it('exchange messages both ways, once each', async () => {
    const [ours, other] = [await startOurs('redis'), await startOther()];
    const [a, b] = [await ours.connect('room'), await other.connect('room')];

    ours.io.to('room').emit('said', 'from ours');
    other.io.to('room').emit('said', 'from other');
    ours.io.emit('said', 'to all');

    await eventually(() => expect([a.got.length, b.got.length]).toEqual([3, 3]));
    expect(a.got.toSorted()).toEqual(['from other', 'from ours', 'to all']);
    expect(b.got.toSorted()).toEqual(['from other', 'from ours', 'to all']);
  });

  it('keep the order of a burst', async () => {
    const [ours, other] = [await startOurs('redis'), await startOther()];
    const client = await other.connect('room');
    const texts = Array.from({ length: 500 }, (_, n) => `${n}`);

    for (const text of texts) ours.io.to('room').emit('said', text);

    await eventually(() => client.got.length === texts.length);
    expect(client.got).toEqual(texts);
    expect(ours.sockets.report().counters).toMatchObject({ published: 500, publishFailures: 0, droppedPublishes: 0 });
  });

  it('join, leave, disconnect, list and ask each other', async () => {
    const [ours, other] = [await startOurs('redis'), await startOther()];
    const [a, b] = [await ours.connect('room'), await other.connect('room')];

    ours.io.in('room').socketsJoin('joined');
    await eventually(async () => {
      expect((await other.io.local.in('joined').fetchSockets()).length).toBe(1);
    });
    other.io.in('room').socketsLeave('joined');
    await eventually(async () => {
      expect((await ours.io.in('joined').fetchSockets()).length).toBe(0);
    });
    const found = await ours.io.in('room').fetchSockets();
    expect(found.map(({ id }) => id).toSorted()).toEqual([a.socket.id, b.socket.id].toSorted());
    expect(await ours.io.of('/').adapter.serverCount()).toBe(2);
    expect(await ours.io.serverSideEmitWithAck('whoami')).toEqual(['answered']);
    expect(await other.io.serverSideEmitWithAck('whoami')).toEqual(['answered']);

    ours.io.in('room').disconnectSockets();
    await eventually(() => expect([a.drops(), b.drops()]).toEqual([1, 1]));
  });

  it('collect acknowledgements from both', async () => {
    const [ours, other] = [await startOurs('redis'), await startOther()];
    for (const { socket } of [await ours.connect(), await other.connect()]) {
      socket.on('ask', (done: (text: string) => void) => done('yes'));
    }
    expect(await ours.io.timeout(2_000).emitWithAck('ask')).toEqual(['yes', 'yes']);
    expect(await other.io.timeout(2_000).emitWithAck('ask')).toEqual(['yes', 'yes']);
  });
});

describe('socket fallback', () => {
  it('socket fallback loses no room, disconnects nobody and reaches everybody again afterwards', async () => {
    const [one, two] = [await startOurs('redis'), await startOurs('redis')];
    const [a, b] = [await one.connect('room'), await two.connect('room')];

    one.toLocal();
    two.toLocal();
    one.io.to('room').emit('said', 'alone');
    await eventually(() => expect(a.got).toEqual(['alone']));
    await Promise.all([one.toRedis(), two.toRedis()]);
    one.io.to('room').emit('said', 'together');

    await eventually(() => expect(b.got).toEqual(['together']));
    expect(a.got).toEqual(['alone', 'together']);
    expect([a.drops(), b.drops()]).toEqual([0, 0]);
    expect(one.sockets.report().counters).toMatchObject({ droppedPublishes: 1 });
  });

  it('socket fallback says how many messages did not reach other instances, until it is over', async () => {
    const { sockets, io, toLocal, toRedis } = await startOurs('redis');
    toLocal();
    io.emit('said', 'nobody else hears');
    expect(sockets.report().notice).toMatch(/Single-instance mode.*1 so far were not sent/);
    await toRedis();
    expect(sockets.report().notice).toBeUndefined();
  });

  it('socket fallback serves local clients at once while Redis is frozen and still in use', async () => {
    const { io, sockets, connect } = await startOurs('redis');
    const client = await connect('room');
    redis.freeze();

    io.to('room').emit('said', 'at once');
    io.in('room').socketsJoin('more');
    io.to('more').emit('said', 'joined');
    await eventually(() => expect(client.got).toEqual(['at once', 'joined']));
    const found = await io.in('room').fetchSockets();

    expect(found).toHaveLength(1);
    await eventually(() => sockets.report().counters['publishFailures']);
    expect(client.drops()).toBe(0);
  });

  it('socket fallback ignores its own late disconnect when a frozen Redis wakes', async () => {
    const { io, sockets, connect } = await startOurs('redis');
    const before = await connect('room');
    redis.freeze();
    io.in('room').disconnectSockets();
    await eventually(() => before.drops() === 1);
    const after = await connect('room');
    const { received = 0 } = sockets.report().counters;
    redis.thaw();

    await eventually(() => (sockets.report().counters['received'] ?? 0) > received);
    await flushed(after);
    expect(after.drops()).toBe(0);
  });

  it('socket fallback subscribes again after the subscriber connection was killed', async () => {
    const [one, two] = [await startOurs('redis'), await startOurs('redis')];
    const client = await two.connect('room');

    await redis.client().call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await eventually(async () => {
      one.io.to('room').emit('said', 'again');
      expect(client.got).toContain('again');
    });

    expect(client.drops()).toBe(0);
  });

  it('socket fallback survives messages that nobody can read', async () => {
    const { sockets, connect, io } = await startOurs('redis');
    const client = await connect('room');

    await redis.client().publish('socket.io#/#', Buffer.from([0xc1, 0xff]));
    await redis.client().publish('socket.io-request#/#', '{"type":5,"requestId":"x"}');
    await redis.client().publish('socket.io-response#/#', 'null');
    await eventually(() => (sockets.report().counters['receiveErrors'] ?? 0) >= 2);

    io.to('room').emit('said', 'still here');
    await eventually(() => expect(client.got).toEqual(['still here']));
  });
});
