import type { ErrorRequestHandler, NextFunction, Request, Response } from 'express';

import { type Behaviour, type Bench, type Site, behaviour, dataOf, failure } from '../behaviour.ts';

type Handler = (req: Request, res: Response, next: NextFunction) => unknown;

/** A site that notes what its own error handler and the last handler were given. */
function site(bench: Bench, handle: Handler, notes: unknown[]): Promise<Site> {
  return bench.serve((app) => {
    app.use(bench.session());
    app.get('/', (req, res, next) => {
      dataOf(req)['n'] = Number(dataOf(req)['n'] ?? 0) + 1;
      return handle(req, res, next);
    });
    app.get('/n', (req, res) => void res.json(dataOf(req)['n'] ?? null));
    app.use((_req, res, next) => {
      notes.push({ passedOn: { headersSent: res.headersSent, ended: res.writableEnded } });
      return next();
    });
    app.use(((error: Error, _req, res, next) => {
      notes.push({ error: failure(error), headersSent: res.headersSent });
      if (res.headersSent) return next(error);
      return void res.status(500).send('the handler of errors');
    }) satisfies ErrorRequestHandler);
  });
}

/** Twice: with a new session and with one that is changed. */
function ending(
  name: string,
  handle: (req: Request, res: Response, next: NextFunction, note: (x: unknown) => void) => unknown,
): Behaviour {
  return behaviour(name, async (bench) => {
    const notes: unknown[] = [];
    const place = await site(bench, (req, res, next) => handle(req, res, next, (x) => notes.push(x)), notes);
    const user = place.browser();
    const first = await user.get('/');
    // What a handler still does behind its answer is over then.
    await aMoment();
    await bench.settled();
    const second = await user.get('/');
    await aMoment();
    await bench.settled();
    return { first, second, notes, n: (await user.get('/n')).body };
  });
}

const aMoment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 30));

const tried = (work: () => unknown): unknown => {
  try {
    work();
    return 'done';
  } catch (error) {
    return failure(error);
  }
};

export const afterEnd: readonly Behaviour[] = [
  ending('after end the answer says that it is finished', (_req, res, _next, note) => {
    const states = (): unknown => ({ headersSent: res.headersSent, ended: res.writableEnded });
    note(states());
    res.end('the end');
    note(states());
  }),
  ending('after send the answer says that it is finished', (_req, res, _next, note) => {
    res.send('sent');
    note({ headersSent: res.headersSent, ended: res.writableEnded });
  }),
  ending('after write the headers are sent and the answer is not finished', (_req, res, _next, note) => {
    res.write('some ');
    note({ headersSent: res.headersSent, ended: res.writableEnded });
    res.end('text');
  }),
  ending('after writeHead and flushHeaders the headers are sent', (_req, res, _next, note) => {
    res.writeHead(200, { 'Content-Type': 'text/plain' });
    note({ headersSent: res.headersSent });
    res.flushHeaders();
    note({ headersSent: res.headersSent });
    res.end('text');
  }),
  ending('a second end has no effect', (_req, res) => {
    res.end('first');
    res.end('second');
  }),
  ending('a second send is told that headers are sent, as is the error handler', (_req, res) => {
    res.send('first');
    res.send('second');
  }),
  ending('a second json in a callback is told as well', (_req, res, next, note) => {
    res.json({ first: true });
    setTimeout(() => note(tried(() => res.json({ second: true }))), 5);
    void next;
  }),
  ending('a header set after end is refused', (_req, res, _next, note) => {
    res.end('first');
    note(tried(() => res.setHeader('X-Late', '1')));
    note(tried(() => res.cookie('late', '1')));
    note(tried(() => res.removeHeader('X-Powered-By')));
    note(tried(() => res.writeHead(500)));
  }),
  ending('a status set after end changes nothing', (_req, res) => {
    res.send('first');
    res.status(500);
  }),
  ending('next after send goes on to the last handler, and the answer stays', (_req, res, next) => {
    res.send('first');
    next();
  }),
  ending('next with an error after send goes to the error handler, and the answer stays', (_req, res, next) => {
    res.send('first');
    next(new Error('too late'));
  }),
  ending('a throw after send goes to the error handler, and the answer stays', (_req, res) => {
    res.send('first');
    throw new Error('thrown too late');
  }),
  ending('an async throw after send goes to the error handler, and the answer stays', async (_req, res) => {
    res.send('first');
    await Promise.resolve();
    throw new Error('thrown much too late');
  }),
  ending('a write after end goes nowhere', (_req, res) => {
    res.end('first');
    res.write('second');
  }),
  ending('a handler that goes on writing for a while after end', async (_req, res) => {
    res.write('first ');
    res.end('last');
    res.write('late');
    for (let i = 0; i < 3; i++) {
      await aMoment();
      res.write('later');
    }
  }),
  ending('a session changed after end is not stored by this request', (req, res) => {
    res.end('first');
    dataOf(req)['late'] = true;
  }),
  ending('finish and close come once each', (_req, res, _next, note) => {
    res.once('finish', () => note('finish'));
    res.once('close', () => note('close'));
    res.end('first');
  }),

  ending('an error before the answer goes to the error handler, and the session is stored', () => {
    throw new Error('thrown');
  }),
  ending('a rejected handler goes to the error handler, and the session is stored', async () => {
    await Promise.resolve();
    throw new Error('rejected');
  }),

  behaviour('an error handler uses the session, and what it puts there is stored', async (bench) => {
    const place = await bench.serve((app) => {
      app.use(bench.session());
      app.get('/', () => {
        throw new Error('thrown');
      });
      app.get('/why', (req, res) => void res.json(dataOf(req)['why'] ?? null));
      app.use(((error: Error, req, res, _next) => {
        dataOf(req)['why'] = error.message;
        res.redirect('/why');
      }) satisfies ErrorRequestHandler);
    });
    const user = place.browser();
    return { failed: await user.get('/'), why: await user.get('/why') };
  }),

  behaviour("Express' own error handler answers 500, with the session stored", async (bench) => {
    const place = await bench.serve((app) => {
      app.use(bench.session());
      app.get('/', (req) => {
        dataOf(req)['n'] = 1;
        throw Object.assign(new Error('teapot'), { status: 418, expose: true, stack: 'no stack' });
      });
      app.get('/n', (req, res) => void res.json(dataOf(req)['n'] ?? null));
    });
    const user = place.browser();
    return { failed: await user.get('/'), n: await user.get('/n') };
  }),

  behaviour("Express' own 404 leaves a session as it was", async (bench) => {
    const place = await bench.serve((app) => {
      app.use(bench.session());
      app.get('/in', (req, res) => {
        dataOf(req)['n'] = 1;
        res.sendStatus(204);
      });
    });
    const user = place.browser();
    return { stranger: await user.get('/nowhere'), in: await user.get('/in'), known: await user.get('/nowhere') };
  }),

  behaviour('an error in the middle of a stream cuts the connection', async (bench) => {
    const place = await bench.serve((app) => {
      app.use(bench.session());
      app.get('/', async (req, res) => {
        dataOf(req)['n'] = 1;
        res.write('some ');
        await new Promise((resolve) => setTimeout(resolve, 20));
        throw new Error('in the middle');
      });
    });
    return place.browser().get('/');
  }),

  behaviour('an answer destroyed by its handler is cut', async (bench) => {
    const place = await bench.serve((app) => {
      app.use(bench.session());
      app.get('/', (req, res) => {
        dataOf(req)['n'] = 1;
        res.destroy();
      });
    });
    return place.browser().get('/');
  }),
];
