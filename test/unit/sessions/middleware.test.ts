import express, { type ErrorRequestHandler, type Express, type Request, type RequestHandler } from 'express';
import { describe, expect, it } from 'vitest';

import { loadConfig } from '../../../src/config/load.ts';
import { RedoubtError } from '../../../src/core/errors.ts';
import { silentLogger } from '../../../src/observe/log.ts';
import { createMiddleware } from '../../../src/services/sessions/middleware.ts';
import { readOptions } from '../../../src/services/sessions/options.ts';
import { SealedStore } from '../../../src/services/sessions/store.ts';
import type { SessionMiddlewareOptions } from '../../../src/services/sessions/types.ts';
import { SimulatedClock } from '../../support/clock.ts';
import { type Answer, dispatch } from './dispatch.ts';
import { FakeVault } from './fake-vault.ts';

interface Rig {
  readonly app: Express;
  readonly vault: FakeVault;
  readonly store: SealedStore;
  readonly clock: SimulatedClock;
  get(url: string, cookie?: string): Promise<Answer>;
}

function user(req: Request): { user?: string } {
  return req.session as { user?: string };
}

function createRig(given: SessionMiddlewareOptions = {}, onError?: ErrorRequestHandler): Rig {
  const { config } = loadConfig({ env: { NODE_ENV: 'test' } });
  const vault = new FakeVault();
  const clock = new SimulatedClock();
  const { touchEveryMs, retryAfterMs } = config.sessions;
  const store = new SealedStore({ vault, clock, touchEveryMs, retryAfterMs, isClosed: () => false });
  const app = express();
  // Its own handler of errors would tell them on the console.
  app.set('env', 'test');
  const options = readOptions(given, { config, log: silentLogger });
  app.use(createMiddleware(store, { ...options, secret: ['a secret'] }));
  const routes: Record<string, RequestHandler> = {
    '/login': (req, res) => {
      user(req).user = 'ann';
      res.status(201).json({ ok: true });
    },
    '/me': (req, res) => void res.json({ user: user(req).user ?? null }),
    '/logout': (req, res) => void req.session.destroy(() => res.status(204).end()),
    '/forget': (req, res) => {
      req.session.destroy(() => undefined);
      res.status(204).end();
    },
    '/unset': (req, res) => {
      Reflect.set(req, 'session', null);
      res.status(204).end();
    },
    '/save-first': (req, res) => {
      user(req).user = 'bea';
      req.session.save(() => res.json({ ok: true }));
    },
    '/regenerate': (req, res) => {
      req.session.regenerate(() => {
        user(req).user = 'cid';
        req.session.save(() => res.json({ id: req.sessionID }));
      });
    },
    '/stream': (req, res) => {
      user(req).user = 'dan';
      res.write('first');
      res.end('last');
    },
    '/callback': (req, res) => {
      user(req).user = 'eve';
      res.end('done', () => req.app.emit('finished'));
    },
  };
  for (const [path, handler] of Object.entries(routes)) app.get(path, handler);
  if (onError) app.use(onError);
  return { app, vault, store, clock, get: (url, cookie) => dispatch(app, url, cookie).answer };
}

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

describe('the session middleware', () => {
  it('sends nothing, not even a header, before the session is saved', async () => {
    const { app, vault } = createRig();
    const gate = Promise.withResolvers<void>();
    vault.gate = gate.promise;
    const { answer, sent } = dispatch(app, '/login');
    await settle();
    expect(sent()).toBe('');
    gate.resolve();
    expect((await answer).status).toBe(201);
    expect((await answer).cookie).toMatch(/^connect\.sid=/);
    expect(vault.calls).toEqual(['write']);
  });

  it('answers 503 with Retry-After and no cookie when the session could not be saved', async () => {
    const { get, vault } = createRig();
    vault.failure = new Error('postgres://user:password@host');
    const answer = await get('/login');
    expect(answer.status).toBe(503);
    expect(answer.cookie).toBeUndefined();
    expect(answer.headers.get('retry-after')).toBe('2');
    expect(answer.body).not.toContain('ok');
    expect(answer.body).not.toContain('password');
  });

  it("gives a refused save to the application's own error handler", async () => {
    const { get, vault } = createRig({}, (error: RedoubtError, _req, res, _next) => {
      res.status(500).json({ code: error.code });
    });
    vault.failure = new Error('gone');
    const answer = await get('/login');
    expect([answer.status, answer.body]).toEqual([500, '{"code":"ERR_SESSION_NOT_SAVED"}']);
    expect(answer.headers.get('content-length')).toBe('32');
    expect(answer.cookie).toBeUndefined();
  });

  it('keeps what express-session does with a session that is changed, read and ended', async () => {
    const { get, vault } = createRig();
    const { cookie } = await get('/login');
    expect(JSON.parse((await get('/me', cookie)).body)).toEqual({ user: 'ann' });
    expect((await get('/logout', cookie)).status).toBe(204);
    expect(vault.rows.size).toBe(0);
    expect(JSON.parse((await get('/me', cookie)).body)).toEqual({ user: null });
  });

  it('makes no store call for an anonymous request and sets no cookie', async () => {
    const { get, vault } = createRig();
    const answer = await get('/me');
    expect(answer.cookie).toBeUndefined();
    expect(vault.calls).toEqual([]);
  });

  it('writes once when the handler saves by itself', async () => {
    const { get, vault } = createRig();
    await get('/save-first');
    expect(vault.calls).toEqual(['write']);
  });

  it('ends the old session, and writes the new one once, at regenerate() and save()', async () => {
    const { get, vault } = createRig();
    const { cookie } = await get('/login');
    vault.calls.length = 0;
    const answer = await get('/regenerate', cookie);
    expect(vault.calls).toEqual(['read', 'destroy', 'write']);
    expect([...vault.rows.keys()]).toEqual([(JSON.parse(answer.body) as { id: string }).id]);
    expect(JSON.parse((await get('/me', answer.cookie)).body)).toEqual({ user: 'cid' });
  });

  it('regenerates a session that was made for this request without ending it: nobody has its id', async () => {
    const { get, vault } = createRig();
    await get('/regenerate');
    expect(vault.calls).toEqual(['write']);
  });

  it('holds the answer for a destroy that the handler did not wait for', async () => {
    const { app, get, vault } = createRig();
    const { cookie } = await get('/login');
    const gate = Promise.withResolvers<void>();
    vault.gate = gate.promise;
    const { answer, sent } = dispatch(app, '/forget', cookie);
    await settle();
    expect(sent()).toBe('');
    gate.resolve();
    expect((await answer).status).toBe(204);
    expect(vault.rows.size).toBe(0);
  });

  it("destroys once, before the answer, for unset: 'destroy'", async () => {
    const { get, vault } = createRig({ unset: 'destroy' });
    const { cookie } = await get('/login');
    vault.calls.length = 0;
    expect((await get('/unset', cookie)).status).toBe(204);
    expect(vault.calls).toEqual(['read', 'destroy']);
  });

  it('answers 503 when a session could not be ended: the logout did not happen', async () => {
    const { get, vault } = createRig({ unset: 'destroy' });
    const { cookie } = await get('/login');
    vault.gate = Promise.resolve().then(() => void (vault.failure = new Error('gone')));
    expect((await get('/unset', cookie)).status).toBe(503);
  });

  it('answers 503 with Retry-After, and no new session, while nobody can look up a cookie', async () => {
    const { get, vault } = createRig();
    const { cookie } = await get('/login');
    vault.failure = new RedoubtError('ERR_SESSION_UNKNOWN', { retryAfterMs: 2_000 });
    const answer = await get('/me', cookie);
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).toBe('2');
    expect(answer.cookie).toBeUndefined();
  });

  it('sends a streamed answer as it is, once the session is saved', async () => {
    const { app, vault } = createRig();
    const gate = Promise.withResolvers<void>();
    vault.gate = gate.promise;
    const { answer, sent } = dispatch(app, '/stream');
    await settle();
    expect(sent()).toBe('');
    gate.resolve();
    const { body } = await answer;
    expect(body).toContain('first');
    expect(body).toContain('last');
    expect(vault.rows.size).toBe(1);
  });

  it('calls back the handler that gave end() a callback', async () => {
    const { app, get } = createRig();
    const finished = new Promise((resolve) => app.once('finished', resolve));
    expect((await get('/callback')).body).toContain('done');
    await finished;
  });

  it('saves an untouched new session where saveUninitialized asks for it', async () => {
    const { get, vault } = createRig({ saveUninitialized: true });
    expect((await get('/me')).cookie).toBeDefined();
    expect(vault.calls).toEqual(['write']);
  });

  it('keeps the version out of what the application sees', async () => {
    const { get, vault } = createRig();
    await get('/login');
    const [row] = vault.rows.values();
    expect(Object.keys(JSON.parse(row?.text ?? '{}') as object).toSorted()).toEqual(['cookie', 'user']);
  });

  it("sets cookies as express-session's own defaults are: they end with the browser", async () => {
    const answer = await createRig().get('/login');
    expect(answer.headers.get('set-cookie')).toMatch(/^connect\.sid=[^;]+; Path=\/; HttpOnly$/);
  });

  it('sets secure cookies behind a trusted TLS proxy where they are asked for', async () => {
    const { app } = createRig({ cookie: { secure: 'auto' } });
    app.set('trust proxy', true);
    const answer = await dispatch((req, res) => {
      req.headers['x-forwarded-proto'] = 'https';
      app(req, res);
    }, '/login').answer;
    expect(answer.headers.get('set-cookie')).toMatch(/Secure/);
  });

  it('takes every cookie option that the application gives', async () => {
    const { get } = createRig({ name: 'sid', cookie: { sameSite: 'strict', path: '/', maxAge: 5_000 } });
    const header = (await get('/login')).headers.get('set-cookie');
    expect(header).toMatch(/^sid=/);
    expect(header).toMatch(/SameSite=Strict/);
  });

  it.each([{ maxAge: '1d' }, { sameSite: 'laxx' }, { domain: 'a;b' }, 'text'])(
    'refuses at the start a cookie that express-session could not send: %j',
    (cookie) => {
      expect(() => createRig({ cookie } as never)).toThrow(expect.objectContaining({ code: 'ERR_SESSION_OPTION' }));
    },
  );

  it('takes a cookie that the request decides upon', () => {
    expect(() => createRig({ cookie: { secure: 'auto', sameSite: 'auto' } as never })).not.toThrow();
    expect(() => createRig({ cookie: () => ({ maxAge: 1 }) })).not.toThrow();
  });

  it('never emits disconnect, which would take req.session away from handlers', async () => {
    const { get, store, vault } = createRig();
    let disconnected = false;
    store.on('disconnect', () => (disconnected = true));
    vault.failure = new Error('gone');
    await get('/login');
    expect(disconnected).toBe(false);
  });
});
