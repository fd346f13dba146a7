// The demo application on a store that is not Redoubt's: same routes, same answers, as careful as an application can
// be without a better store. It saves before it answers, and answers 503 where that fails.
import express, { type ErrorRequestHandler, type Request } from 'express';
import session, { type Store } from 'express-session';

declare module 'express-session' {
  interface SessionData {
    user?: string;
    visits?: number;
  }
}

/** Serves `store` on HOST and PORT until the process is ended. */
export function serveControl(store: Store): void {
  const app = express();
  app.get('/health/live', (_request, response) => void response.end());
  app.use(session({ store, secret: process.env['SESSION_SECRET'] ?? '', resave: false, saveUninitialized: false }));

  app.post('/demo/session/login', express.json(), async (request, response) => {
    await settled((done) => request.session.regenerate(done));
    Object.assign(request.session, { user: (request.body as { user: string }).user, visits: 0 });
    await settled((done) => request.session.save(done));
    response.json(visitor(request));
  });

  app.post('/demo/session/visit', async (request, response) => {
    if (request.session.user === undefined) return void response.status(401).end();
    request.session.visits = (request.session.visits ?? 0) + 1;
    await settled((done) => request.session.save(done));
    response.json(visitor(request));
  });

  app.post('/demo/session/logout', async (request, response) => {
    await settled((done) => request.session.destroy(done));
    response.status(204).end();
  });

  app.get('/demo/session', (request, response) => {
    if (request.session.user === undefined) return void response.status(401).end();
    response.json(visitor(request));
  });

  app.use(((_error, _request, response, _next) => void response.status(503).end()) satisfies ErrorRequestHandler);
  app.listen(Number(process.env['PORT']), process.env['HOST'] ?? '127.0.0.1');
}

function visitor({ session: { user, visits = 0 } }: Request): { user: string | undefined; visits: number } {
  return { user, visits };
}

function settled(start: (done: (error: unknown) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error ? reject(error as Error) : resolve()));
  });
}
