import { afterEach, describe, expect, it } from 'vitest';

import { type RedisControl, createRedisBackend } from '../../src/backends/redis.ts';
import { loadConfig } from '../../src/config/load.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { eventually } from '../support/eventually.ts';
import { startHop } from '../support/hop.ts';
import { startRedis } from '../support/redis.ts';

const never = new AbortController().signal;
const open: RedisControl[] = [];

function backendFor(url: string, overrides: object = {}): { backend: RedisControl; outcomes: Outcome[] } {
  const outcomes: Outcome[] = [];
  const { config } = loadConfig({ overrides: { redis: { url, ...overrides } }, env: {} });
  const backend = createRedisBackend({
    config,
    instance: 'test',
    clock: systemClock,
    random: Math.random,
    observe: (outcome) => outcomes.push(outcome),
  });
  open.push(backend);
  return { backend, outcomes };
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((backend) => backend.close()));
});

describe('Redis backend', () => {
  it('refuses calls at once until it is engaged, and after it is disengaged', async () => {
    await using redis = await startRedis();
    const { backend } = backendFor(redis.url);
    expect(backend.tryGetClient()).toBeUndefined();
    await expect(backend.call((client) => client.get('k'))).rejects.toMatchObject({ code: 'ERR_REDIS_UNAVAILABLE' });
    await backend.engage(never);
    expect(await backend.call((client) => client.set('k', 'v'))).toBe('OK');
    backend.disengage();
    await expect(backend.call((client) => client.get('k'))).rejects.toMatchObject({ code: 'ERR_REDIS_UNAVAILABLE' });
    await backend.engage(never);
    expect(await backend.call((client) => client.get('k'))).toBe('v');
  });

  it('reports the outcome of every call, and an application error as no fault of Redis', async () => {
    await using redis = await startRedis();
    const { backend, outcomes } = backendFor(redis.url);
    await backend.engage(never);
    await backend.call((client) => client.lpush('list', 'x'));
    await expect(backend.call((client) => client.get('list'))).rejects.toMatchObject({
      code: 'ERR_REDIS_REPLY',
      details: { reply: 'WRONGTYPE' },
    });
    expect(outcomes.map(({ kind }) => kind)).toEqual(['ok', 'application']);
  });

  it('ends every call of a frozen Redis by its deadline, and rejects those in flight when disengaged', async () => {
    await using redis = await startRedis();
    const { backend, outcomes } = backendFor(redis.url);
    await backend.engage(never);
    redis.freeze();
    await expect(backend.call((client) => client.get('k'), { deadlineMs: 100 })).rejects.toMatchObject({
      code: 'ERR_DEADLINE',
    });
    // The caller was in a hurry; Redis is given redis.deadline before it is called dead.
    expect(outcomes).toEqual([]);
    await eventually(() => outcomes.at(-1)?.kind === 'timeout');
    expect(outcomes.at(-1)?.durationMs).toBeGreaterThanOrEqual(249);
    const waiting = backend.call((client) => client.get('k'), { deadlineMs: 60_000 });
    backend.disengage();
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_REDIS_UNAVAILABLE', details: { executed: 'unknown' } });
    redis.thaw();
  });

  it('takes the answer after a hurried deadline for slow, not for lost', async () => {
    await using redis = await startRedis();
    await using hop = await startHop({ to: redis.port, mode: 'pass', delayMs: 120 });
    const { backend, outcomes } = backendFor(hop.url());
    await backend.engage(never);
    hop.mode = 'slow';
    const call = backend.call((client) => client.get('k'), { deadlineMs: 30 });
    await expect(call).rejects.toMatchObject({ code: 'ERR_DEADLINE' });
    await eventually(() => outcomes.length > 0);
    expect(outcomes.map(({ kind }) => kind)).toEqual(['ok']);
    expect(outcomes[0]?.durationMs).toBeGreaterThanOrEqual(100);
  });

  it('refuses more calls in flight than its high-water mark, at once', async () => {
    await using redis = await startRedis();
    const { backend } = backendFor(redis.url, { maxInFlight: 5 });
    await backend.engage(never);
    redis.freeze();
    const calls = Array.from({ length: 8 }, () => backend.call((client) => client.get('k'), { deadlineMs: 200 }));
    const codes = (await Promise.allSettled(calls)).map(
      (call) => (call as PromiseRejectedResult).reason.code as string,
    );
    expect(codes.filter((code) => code === 'ERR_BACKPRESSURE')).toHaveLength(3);
    redis.thaw();
  });

  it('rebuilds a link whose connection was killed, and tells its owner', async () => {
    await using redis = await startRedis();
    const { backend } = backendFor(redis.url);
    const seen: string[] = [];
    backend.link({
      role: 'subscriber',
      onReady: async (client) => {
        seen.push('ready');
        await client.subscribe('news');
      },
      onLost: () => seen.push('lost'),
    });
    await backend.engage(never);
    await backend.call((client) => client.call('CLIENT', 'KILL', 'TYPE', 'pubsub'));
    await eventually(() => expect(seen).toEqual(['ready', 'lost', 'ready']));
    expect(await backend.call((client) => client.publish('news', 'x'))).toBe(1);
  });

  it('fault 43: after calls that timed out, answers belong to their questions', async () => {
    await using redis = await startRedis();
    const { backend } = backendFor(redis.url, { ramp: { start: 1000 } });
    await backend.engage(never);
    for (let i = 0; i < 50; i += 1) await backend.call((client) => client.set(`k${i}`, String(i)));
    redis.freeze();
    const timedOut = Array.from({ length: 50 }, (_, i) =>
      backend.call((client) => client.get(`k${i}`), { deadlineMs: 50 }).catch((error: unknown) => error),
    );
    await Promise.all(timedOut);
    redis.thaw();
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => backend.call((client) => client.get(`k${49 - i}`), { deadlineMs: 5000 })),
    );
    expect(answers).toEqual(Array.from({ length: 50 }, (_, i) => String(49 - i)));
  });

  it('gives up an engagement when one link cannot be opened, and leaves nothing connected', async () => {
    await using redis = await startRedis();
    const { backend } = backendFor(redis.url);
    backend.link({ role: 'subscriber', onReady: () => Promise.reject(new Error('no')) });
    await expect(backend.engage(never)).rejects.toThrow('no');
    expect(backend.engaged).toBe(false);
    const control = redis.client();
    await eventually(async () => {
      const names = String(await control.client('LIST'));
      expect(names).not.toContain('name=redoubt');
    });
  });
});

async function probeOf(url: string): Promise<unknown> {
  const { backend } = backendFor(url);
  return backend.probe().then(
    () => 'passed',
    (error: unknown) => backend.classify(error),
  );
}

describe('Redis manager health: the probe', () => {
  it('passes on a Redis that is well, and knows who answered', async () => {
    await using redis = await startRedis();
    const { backend } = backendFor(redis.url);
    expect((await backend.probe()).latencyMs).toBeGreaterThan(0);
    expect(backend.identity?.runId).toMatch(/^[0-9a-f]{40}$/);
  });

  it('tells a full memory, a replica and a missing right from a dead Redis', async () => {
    await using redis = await startRedis();
    const control = redis.client();
    await control.config('SET', 'maxmemory', '1');
    expect(await probeOf(redis.url)).toEqual({ kind: 'writeRefused', code: 'OOM' });
    await control.config('SET', 'maxmemory', '0');
    await control.replicaof('127.0.0.1', 1);
    expect(await probeOf(redis.url)).toEqual({ kind: 'writeRefused', code: 'READONLY' });
    await control.replicaof('NO', 'ONE');
    await control.acl('SETUSER', 'default', '-@write');
    expect(await probeOf(redis.url)).toEqual({ kind: 'refused', code: 'NOPERM' });
  });

  it('tells a wrong password from a dead Redis', async () => {
    await using redis = await startRedis({ args: ['--requirepass', 'right-password'], until: 'answering' });
    expect(await probeOf(redis.url)).toEqual({ kind: 'refused', code: 'NOAUTH' });
    expect(await probeOf(redis.url.replace('//', '//:wrong@'))).toEqual({ kind: 'refused', code: 'WRONGPASS' });
    expect(await probeOf(redis.url.replace('//', '//:right-password@'))).toBe('passed');
  });

  it('costs a Redis without room for clients one connection each once it has said so, and passes when there is', async () => {
    await using redis = await startRedis();
    await using hop = await startHop({ to: redis.port });
    const control = redis.client();
    await control.config('SET', 'maxclients', '1');
    const { backend } = backendFor(hop.url());
    const refused = { kind: 'refused', code: 'MAXCLIENTS' };
    const probe = (): Promise<unknown> => backend.probe().then(() => 'passed', backend.classify);
    expect(await probe()).toEqual(refused);
    const before = hop.accepted;
    for (let i = 0; i < 3; i += 1) expect(await probe()).toEqual(refused);
    expect(hop.accepted - before).toBe(3);
    await control.config('SET', 'maxclients', '100');
    expect(await probe()).toBe('passed');
  });

  it.each([
    ['refuse', 'ECONNREFUSED'],
    ['blackhole', 'TIMEOUT'],
    ['trickle', 'TIMEOUT'],
  ] as const)('ends by its deadline at a hop in mode %s', async (mode, code) => {
    await using redis = await startRedis();
    await using hop = await startHop({ to: redis.port });
    hop.mode = mode;
    expect(await probeOf(hop.url())).toMatchObject({ code });
  });

  it('fault 15: an unknown host is lost, not a crash', async () => {
    expect(await probeOf('redis://redis.invalid:6379')).toMatchObject({ kind: 'lost' });
  });
});
