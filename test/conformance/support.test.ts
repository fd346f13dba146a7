import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Client } from 'pg';
import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { eventually } from '../support/eventually.ts';
import { type Hop, type HopMode, startHop, unanswered } from '../support/hop.ts';
import { LOOPBACK, freePort } from '../support/ports.ts';
import { sharedDatabase, startPostgres } from '../support/postgres.ts';
import { startRedis } from '../support/redis.ts';
import { startServer } from '../support/server.ts';

const SILENCE_MS = 150;

/** A bare connection that tells what came back, as bytes: no driver between the test and the kit. */
async function dial(port: number) {
  const socket = connect({ port, host: LOOPBACK });
  let received = '';
  let ended: string | undefined;
  socket.setEncoding('latin1').on('data', (text: string) => {
    received += text;
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    ended ??= error.code ?? error.message;
  });
  socket.on('close', () => {
    ended ??= 'closed';
  });
  const connected = new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true));
    socket.once('close', () => resolve(false));
    socket.setTimeout(SILENCE_MS * 4, () => resolve(false));
  });
  return {
    socket,
    connected: await connected,
    send: (text: string) => socket.write(text),
    received: () => received,
    ended: () => ended,
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

const silence = () => new Promise((resolve) => setTimeout(resolve, SILENCE_MS));

async function select1(connectionString: string, query_timeout = 5_000): Promise<unknown> {
  const client = new Client({ connectionString, connectionTimeoutMillis: query_timeout, query_timeout });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query('select 1 as one')).rows[0];
  } finally {
    // A frozen server never answers the goodbye either.
    client.end().catch(() => undefined);
  }
}

async function rig(mode: HopMode = 'pass') {
  const redis = await startRedis();
  const hop = await startHop({ to: redis.port, mode });
  return {
    redis,
    hop,
    [Symbol.asyncDispose]: async () => {
      await hop[Symbol.asyncDispose]();
      await redis[Symbol.asyncDispose]();
    },
  };
}

const ping = async (hop: Hop) => {
  using line = await dial(hop.port);
  line.send('PING\r\n');
  await eventually(() => expect(line.received()).toBe('+PONG\r\n'));
};

describe('startRedis', () => {
  it('refuses connections while killed and comes back empty on the same port', async () => {
    await using redis = await startRedis();
    await redis.client().set('a', '1');
    await redis.kill();
    using down = await dial(redis.port);
    await redis.restart();
    const value = await redis.client().get('a');

    expect(down.ended()).toBe('ECONNREFUSED');
    expect(value).toBeNull();
  });

  it('comes back with an old snapshot, unless it is to be empty', async () => {
    await using redis = await startRedis();
    const client = redis.client();
    await client.set('a', 'old');
    await client.save();
    await client.set('a', 'new');
    await redis.restart();
    const restored = await redis.client().get('a');
    await redis.restart({ empty: true });

    expect(restored).toBe('old');
    expect(await redis.client().get('a')).toBeNull();
  });

  it('answers nothing while frozen and everything once thawed', async () => {
    await using redis = await startRedis();
    using open = await dial(redis.port);
    redis.freeze();
    using late = await dial(redis.port);
    open.send('PING\r\n');
    await silence();
    const meanwhile = open.received();
    redis.thaw();
    await eventually(() => expect(open.received()).toBe('+PONG\r\n'));

    expect(meanwhile).toBe('');
    expect(late.connected).toBe(true);
  });

  it('can be killed while frozen', async () => {
    await using redis = await startRedis();
    redis.freeze();
    await redis.kill();

    expect(redis.running).toBe(false);
  });

  it('says why a server did not start', async () => {
    await expect(startRedis({ args: ['--no-such-setting', 'x'] })).rejects.toThrow(
      /redis-server exited[^]*no-such-setting/,
    );
  });

  it('leaves no process behind', async () => {
    const redis = await startRedis();
    const { pid } = redis;
    await redis[Symbol.asyncDispose]();

    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });
});

describe('startPostgres', () => {
  it('keeps acknowledged commits through a crash', async () => {
    await using postgres = await startPostgres();
    const url = await postgres.database();
    const client = new Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    await client.query('create table t as select 42 as answer');
    await postgres.stop();
    const down = await select1(url).catch((error: NodeJS.ErrnoException) => error.code);
    await postgres.start();
    await using again = Object.assign(new Client({ connectionString: url }), {
      [Symbol.asyncDispose]: () => again.end(),
    });
    await again.connect();

    expect(down).toBe('ECONNREFUSED');
    expect((await again.query('select answer from t')).rows).toEqual([{ answer: 42 }]);
  });

  it('freezes with all its backends and goes on when thawed', async () => {
    await using postgres = await startPostgres();
    const url = await postgres.database();
    const open = new Client({ connectionString: url });
    open.on('error', () => undefined);
    await open.connect();
    postgres.freeze();
    const answer = open.query('select 7 as seven');
    const first = await Promise.race([answer.then(() => 'answered'), silence().then(() => 'silent')]);
    const fresh = await select1(url, SILENCE_MS).catch(() => 'silent');
    postgres.thaw();

    expect([first, fresh]).toEqual(['silent', 'silent']);
    expect((await answer).rows).toEqual([{ seven: 7 }]);
    expect(await select1(url)).toEqual({ one: 1 });
    await open.end();
  });

  it('stops although it is frozen', async () => {
    await using postgres = await startPostgres();
    postgres.freeze();
    await postgres.stop();

    expect(postgres.running).toBe(false);
  });

  it('gives each caller a database of its own on the shared server', async () => {
    const [mine, yours] = await Promise.all([sharedDatabase(), sharedDatabase()]);

    expect(mine).not.toBe(yours);
    expect(new URL(mine).host).toBe(new URL(yours).host);
    expect(await select1(mine)).toEqual({ one: 1 });
  });
});

describe('startHop', () => {
  it('passes, and counts who is connected', async () => {
    await using r = await rig();
    using line = await dial(r.hop.port);
    line.send('PING\r\n');
    await eventually(() => expect(line.received()).toBe('+PONG\r\n'));
    const during = r.hop.connections;
    line.socket.destroy();

    expect(during).toBe(1);
    await eventually(() => expect(r.hop.connections).toBe(0));
  });

  it('passes large replies whole and in order', async () => {
    await using r = await rig();
    const value = Buffer.alloc(5 * 1024 * 1024, 'abcdefghij').toString();
    await r.redis.client().set('big', value);

    expect(await r.redis.client({ port: r.hop.port }).get('big')).toBe(value);
  });

  it('refuses new connections, closes the old ones, and listens again', async () => {
    await using r = await rig();
    using open = await dial(r.hop.port);
    r.hop.mode = 'refuse';
    using refused = await dial(r.hop.port);
    r.hop.mode = 'pass';
    await r.hop.settled();
    await ping(r.hop);

    expect(refused.ended()).toBe('ECONNREFUSED');
    expect(open.ended()).toBe('closed');
  });

  it('resets old and new connections', async () => {
    await using r = await rig();
    using open = await dial(r.hop.port);
    r.hop.mode = 'reset';
    using fresh = await dial(r.hop.port);

    await eventually(() => expect([open.ended(), fresh.ended()]).toEqual(['ECONNRESET', 'ECONNRESET']));
  });

  it('swallows everything as a black hole and ends what it swallowed when it passes again', async () => {
    await using r = await rig();
    using open = await dial(r.hop.port);
    r.hop.mode = 'blackhole';
    using fresh = await dial(r.hop.port);
    open.send('SET a 1\r\n');
    fresh.send('PING\r\n');
    await r.redis.kill();
    await silence();
    const meanwhile = [open.ended(), fresh.ended(), open.received(), fresh.received(), fresh.connected];
    await r.redis.restart();
    r.hop.mode = 'pass';

    await eventually(() => expect([open.ended(), fresh.ended()]).toEqual(['closed', 'closed']));
    expect(meanwhile).toEqual([undefined, undefined, '', '', true]);
    expect(await r.redis.client().get('a')).toBeNull();
    await ping(r.hop);
  });

  it('loses only the reply when mute: the server has executed the command', async () => {
    await using r = await rig();
    using open = await dial(r.hop.port);
    r.hop.mode = 'mute';
    open.send('INCR n\r\n');
    const direct = r.redis.client();
    await eventually(async () => expect(await direct.get('n')).toBe('1'));
    await silence();
    const heard = open.received();
    r.hop.mode = 'pass';

    expect(heard).toBe('');
    await eventually(() => expect(open.ended()).toBe('closed'));
  });

  it('holds replies back when slow and keeps their order', async () => {
    await using r = await rig();
    using line = await dial(r.hop.port);
    r.hop.delayMs = 200;
    r.hop.mode = 'slow';
    const startedMs = performance.now();
    line.send('ECHO 1\r\nECHO 2\r\n');
    await silence();
    const early = line.received();
    await eventually(() => expect(line.received()).toBe('$1\r\n1\r\n$1\r\n2\r\n'));

    expect(early).toBe('');
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(195);
  });

  it('lets out the held replies when a slow hop passes again', async () => {
    await using r = await rig();
    using line = await dial(r.hop.port);
    r.hop.delayMs = 60_000;
    r.hop.mode = 'slow';
    line.send('PING\r\n');
    await silence();
    r.hop.mode = 'pass';

    await eventually(() => expect(line.received()).toBe('+PONG\r\n'));
    expect(line.ended()).toBeUndefined();
  });

  it('trickles replies byte by byte', async () => {
    await using r = await rig();
    using line = await dial(r.hop.port);
    r.hop.trickleMs = 40;
    r.hop.mode = 'trickle';
    const startedMs = performance.now();
    line.send('PING\r\n');
    await eventually(() => expect(line.received()).toBe('+PONG\r\n'));

    // Seven bytes have six gaps.
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(6 * 39);
  });

  it('resets whoever comes while the server behind it is dead, and follows it to another port', async () => {
    await using r = await rig();
    await r.redis.kill();
    using line = await dial(r.hop.port);
    await eventually(() => expect(line.ended()).toBe('ECONNRESET'));
    await using moved = await startRedis();
    r.hop.to = moved.port;

    await ping(r.hop);
  });

  it('cuts the connections of the moment only', async () => {
    await using r = await rig();
    using open = await dial(r.hop.port);
    await eventually(() => expect(r.hop.connections).toBe(1));
    r.hop.cut();
    await ping(r.hop);

    await eventually(() => expect(open.ended()).toBe('closed'));
  });

  it('rewrites the address of a URL and nothing else of it', async () => {
    await using r = await rig();

    expect(r.hop.through('postgres://me:pw@db.example:5432/app?sslmode=disable')).toBe(
      `postgres://me:pw@127.0.0.1:${r.hop.port}/app?sslmode=disable`,
    );
  });

  it('lets the listener begin refused', async () => {
    await using hop = await startHop({ to: await freePort(), mode: 'refuse' });
    using line = await dial(hop.port);

    expect(line.ended()).toBe('ECONNREFUSED');
  });
});

describe('unanswered', () => {
  it('leaves connection attempts without any answer', async () => {
    await using hole = await unanswered();
    const attempts = await Promise.all([dial(hole.port), dial(hole.port), dial(hole.port)]);
    const seen = attempts.map(({ connected, ended }) => [connected, ended()]);
    for (const attempt of attempts) attempt.socket.destroy();

    expect(seen).toEqual([
      [false, undefined],
      [false, undefined],
      [false, undefined],
    ]);
  });
});

describe('startServer', () => {
  // A stand-in: these tests are about the kit, whatever the real server does.
  const STAND_IN = `
    import { createServer } from 'node:http';
    const { PORT, HOST, FAIL, DATABASE_URL = null } = process.env;
    if (FAIL) { console.error(FAIL); process.exit(2); }
    const answer = JSON.stringify({ argv: process.argv.slice(2), DATABASE_URL });
    createServer((request, response) => response.end(answer)).listen(+PORT, HOST, () => console.log('listening'));
    process.on('SIGTERM', () => process.exit(0));`;
  function standIn() {
    const folder = mkdtempSync(join(tmpdir(), 'redoubt-stand-in-'));
    const main = join(folder, 'main.mjs');
    writeFileSync(main, STAND_IN);
    return { main, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
  }

  it('waits until the server listens, hands it its arguments and none of our environment', async () => {
    using program = standIn();
    vi.stubEnv('DATABASE_URL', 'postgres://not.for.you');
    onTestFinished(() => void vi.unstubAllEnvs());
    await using server = await startServer({ main: program.main, args: ['--inspect'] });

    expect(await server.health()).toEqual({ status: 200, body: { argv: ['serve', '--inspect'], DATABASE_URL: null } });
    expect(server.stdout).toBe('listening\n');
  });

  it('hands on the exit code of a clean stop, and the signal of a hard one', async () => {
    using program = standIn();
    await using clean = await startServer({ main: program.main });
    await using hard = await startServer({ main: program.main });

    expect(await clean.stop()).toBe(0);
    expect(await hard.stop('SIGKILL')).toBe('SIGKILL');
  });

  it('says why a server did not start', async () => {
    using program = standIn();
    const starting = startServer({ main: program.main, env: { FAIL: 'no secret was set' } });

    await expect(starting).rejects.toThrow(/redoubt serve exited[^]*no secret was set/);
  });
});
