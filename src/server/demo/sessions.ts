import express, { type Request, Router } from 'express';

import type { Config } from '../../config/schema.ts';
import { RedoubtError } from '../../core/errors.ts';
import type { Sessions } from '../../services/sessions/types.ts';
import { refuseForeignPages } from '../security.ts';
import { requireObject, requireText } from '../validate.ts';

declare module 'express-session' {
  interface SessionData {
    user?: string;
    visits?: number;
  }
}

const MAX_USER_LENGTH = 100;

/** `/demo/session`: a login that counts visits. Only these routes cost a session lookup. */
export function demoSessionRoutes(sessions: Sessions, config: Config): Router {
  const router = Router();
  const cookie = {
    sameSite: 'lax',
    maxAge: config.sessions.ttlMs,
    secure: config.env === 'production' ? 'auto' : false,
  } as const;
  router.use('/demo', refuseForeignPages(config), sessions.middleware({ cookie }));

  router.post('/demo/session/login', express.json({ limit: config.server.bodyLimit }), async (request, response) => {
    const user = requireText(requireObject(request.body)['user'], 'user', MAX_USER_LENGTH);
    // A new id at each login: one that was planted before it must not become signed in.
    await settled((done) => request.session.regenerate(done));
    Object.assign(request.session, { user, visits: 0 });
    response.json(visitor(request));
  });

  router.post('/demo/session/visit', (request, response) => {
    const { visits } = visitor(request);
    request.session.visits = visits + 1;
    response.json(visitor(request));
  });

  router.post('/demo/session/logout', async (request, response) => {
    await settled((done) => request.session.destroy(done));
    response.status(204).end();
  });

  router.get('/demo/session', (request, response) => {
    response.setHeader('Cache-Control', 'no-store');
    response.json(visitor(request));
  });
  return router;
}

function visitor({ session }: Request): { user: string; visits: number } {
  const { user, visits = 0 } = session;
  if (user === undefined) throw new RedoubtError('ERR_LOGIN');
  return { user, visits };
}

function settled(start: (done: (error: unknown) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error ? reject(error as Error) : resolve()));
  });
}
