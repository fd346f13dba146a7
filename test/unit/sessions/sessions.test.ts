import type { SessionData, Store } from 'express-session';
import { describe, expect, it } from 'vitest';

import type { RedisBackend, SqlBackend } from '../../../src/backends/types.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { RedoubtError } from '../../../src/core/errors.ts';
import type { BackendKind, Mode } from '../../../src/core/mode.ts';
import { silentLogger } from '../../../src/observe/log.ts';
import { createSessions } from '../../../src/services/sessions/sessions.ts';
import { SimulatedClock } from '../../support/clock.ts';

const noRedis: RedisBackend = {
  engaged: false,
  tryGetClient: () => undefined,
  call: () => Promise.reject(new RedoubtError('ERR_REDIS_UNAVAILABLE')),
  link: () => {
    throw new Error('sessions open no links');
  },
};

function modeOf(usable: readonly BackendKind[], preferred: BackendKind = 'redis'): Mode {
  const reason = { code: 'TEST', message: 'The test said so' };
  return { service: 'sessions', backend: usable[0] ?? 'none', usable, preferred, since: 0, reason };
}

function start(options: { env?: NodeJS.ProcessEnv; kind?: SqlBackend['kind'] } = {}) {
  const clock = new SimulatedClock();
  const statements: string[] = [];
  const sql: SqlBackend = {
    kind: options.kind ?? 'none',
    query: (text) => {
      statements.push(text);
      return Promise.resolve({ rows: [], rowCount: 0 });
    },
  };
  const { config } = loadConfig({ dir: '/nonexistent', env: options.env ?? {} });
  const parts = { config, redis: noRedis, sql, log: silentLogger, clock, random: () => 0.5 };
  return { sessions: createSessions(parts), clock, statements, config };
}

const isPrune = (text: string): boolean => text.startsWith('delete');

const save = (store: Store, sid: string, visits: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const data = { cookie: { originalMaxAge: 60_000 }, visits } as unknown as SessionData;
    store.set(sid, data, (error: unknown) => (error ? reject(error as Error) : resolve()));
  });

const load = (store: Store, sid: string): Promise<(SessionData & { visits?: number }) | null | undefined> =>
  new Promise((resolve, reject) => {
    store.get(sid, (error: unknown, data) => (error ? reject(error as Error) : resolve(data)));
  });

describe('the session service', () => {
  it('is made in production without a secret, and refuses with a code as soon as sessions are used', () => {
    const { sessions } = start({ env: { NODE_ENV: 'production' } });
    const refusal = expect.objectContaining({ code: 'ERR_SESSION_SECRET' });
    expect(() => sessions.store()).toThrow(refusal);
    expect(() => sessions.middleware()).toThrow(refusal);
  });

  it('opens in one store what another one of it sealed', async () => {
    const { sessions } = start();
    sessions.applyMode(modeOf(['memory']));
    await save(sessions.store(), 'sid', 7);
    expect((await load(sessions.store(), 'sid'))?.visits).toBe(7);
  });

  it('takes memory for the truth where memory is all that was asked for', async () => {
    const { sessions } = start();
    sessions.applyMode(modeOf(['memory'], 'memory'));
    expect(await load(sessions.store(), 'stranger')).toBeNull();
    expect(sessions.report().notice).toBeUndefined();
  });

  it('says what may be lost while memory stands in', async () => {
    const { sessions } = start();
    sessions.applyMode(modeOf(['memory']));
    await save(sessions.store(), 'sid', 1);
    expect(sessions.report()).toMatchObject({ backend: 'memory', preferred: 'redis', scope: 'instance' });
    expect(sessions.report().notice).toMatch(/1 changed ones are lost if it ends.*503/);
    await expect(load(sessions.store(), 'stranger')).rejects.toMatchObject({ code: 'ERR_SESSION_UNKNOWN' });
    expect(sessions.report().counters).toMatchObject({ unknown: 1, journal: 1, writes: 1 });
  });

  it('fault 45: a wall clock that jumps back makes no version older and ends no session', async () => {
    const { sessions, clock } = start();
    sessions.applyMode(modeOf(['memory']));
    await save(sessions.store(), 'sid', 1);
    clock.jumpWall(-3_600_000);
    await save(sessions.store(), 'sid', 2);
    clock.jumpWall(7_200_000);
    expect((await load(sessions.store(), 'sid'))?.visits).toBe(2);
  });

  it('deletes expired rows by a timer that ends with it', async () => {
    const { sessions, clock, statements, config } = start({ kind: 'server' });
    sessions.applyMode(modeOf(['postgres', 'memory']));
    await clock.advance(config.sessions.pruneEveryMs);
    expect(statements.filter(isPrune)).toHaveLength(1);
    await clock.advance(config.sessions.pruneEveryMs);
    expect(statements.filter(isPrune)).toHaveLength(2);
    await sessions.close(new AbortController().signal);
    expect(clock.pending).toBe(0);
  });

  it('leaves no timer behind when it is closed with a journal', async () => {
    const { sessions, clock } = start();
    sessions.applyMode(modeOf(['redis', 'memory']));
    await save(sessions.store(), 'sid', 1);
    await sessions.close(new AbortController().signal);
    expect(clock.pending).toBe(0);
  });
});
