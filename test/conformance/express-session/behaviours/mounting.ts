import { parse } from 'node:path';
import { fileURLToPath } from 'node:url';

import compression from 'compression';
import cookieParser from 'cookie-parser';
import express, { type RequestHandler } from 'express';
import helmet from 'helmet';
import responseTime from 'response-time';

import { type Behaviour, type Bench, type Site, behaviour, dataOf } from '../behaviour.ts';

const count: RequestHandler = (req, res) => {
  dataOf(req)['n'] = Number(dataOf(req)['n'] ?? 0) + 1;
  res.json(dataOf(req)['n']);
};
const read: RequestHandler = (req, res) => void res.json(dataOf(req)['n'] ?? null);
const packing: RequestHandler = compression({ threshold: 0 });

/** Handlers of every kind of answer, with something mounted before and behind the sessions. */
function between(bench: Bench, before: readonly RequestHandler[], behind: readonly RequestHandler[]): Promise<Site> {
  return bench.serve((app) => {
    app.use(...before, bench.session(), ...behind);
    app.get('/count', count);
    app.get('/read', read);
    app.get('/end', (req, res) => {
      dataOf(req)['n'] = 'end';
      res.setHeader('Content-Type', 'text/plain');
      res.end('x'.repeat(2_000));
    });
    app.get('/stream', (req, res) => {
      dataOf(req)['n'] = 'stream';
      res.setHeader('Content-Type', 'text/plain');
      res.write('x'.repeat(2_000));
      res.end('y');
    });
    app.get('/empty', (req, res) => {
      dataOf(req)['n'] = 'empty';
      res.sendStatus(204);
    });
  });
}

function neighbours(
  name: string,
  before: readonly RequestHandler[],
  behind: readonly RequestHandler[],
  headers: Record<string, string> = {},
  alsoShow: string[] = [],
): Behaviour {
  return behaviour(name, async (bench) => {
    const user = (await between(bench, before, behind)).browser();
    const seen: Record<string, unknown> = {};
    for (const path of ['/count', '/count', '/end', '/read', '/stream', '/read', '/empty', '/read']) {
      const answer = await user.get(path, { headers, alsoShow });
      const also = answer.also && Object.keys(answer.also);
      seen[`${Object.keys(seen).length} ${path}`] = { ...answer, ...(also && { also }) };
    }
    return seen;
  });
}

const GZIP = { 'Accept-Encoding': 'gzip' };

export const mounting: readonly Behaviour[] = [
  neighbours('compression before the sessions', [packing], [], GZIP),
  neighbours('compression behind the sessions', [], [packing], GZIP),
  neighbours('compression behind the sessions, for a client that wants none', [], [packing]),
  neighbours('helmet before the sessions', [helmet()], [], {}, ['content-security-policy', 'x-frame-options']),
  neighbours('helmet behind the sessions', [], [helmet()], {}, ['content-security-policy', 'x-frame-options']),
  neighbours('response-time before the sessions', [responseTime()], [], {}, ['x-response-time']),
  neighbours('response-time behind the sessions', [], [responseTime()], {}, ['x-response-time']),
  neighbours('all of them, on both sides', [helmet(), packing, responseTime()], [cookieParser(), responseTime()], GZIP),

  behaviour('compression with flush sends events while they come', async (bench) => {
    const place = await bench.serve((app) => {
      app.use(bench.session(), packing);
      app.get('/', async (req, res) => {
        dataOf(req)['n'] = 1;
        res.setHeader('Content-Type', 'text/event-stream');
        for (const text of ['one', 'two']) {
          res.write(`data: ${text}\n\n`);
          res.flush();
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        res.end();
      });
      app.get('/read', read);
    });
    const user = place.browser();
    return { events: await user.get('/', { headers: GZIP }), read: await user.get('/read') };
  }),

  behaviour('sessions mounted twice are one session', async (bench) => {
    const place = await bench.serve((app) => {
      const middleware = bench.session();
      app.use(middleware, middleware, bench.session());
      app.get('/count', count);
    });
    const user = place.browser();
    return [await user.get('/count'), await user.get('/count')];
  }),

  behaviour('of two session middlewares with names of their own the first counts', async (bench) => {
    const place = await bench.serve((app) => {
      app.use(bench.session({ name: 'first' }), bench.session({ name: 'second' }));
      app.get('/count', count);
    });
    const user = place.browser();
    return [await user.get('/count'), await user.get('/count')];
  }),

  behaviour('two session middlewares for two parts of a site keep two sessions', async (bench) => {
    const place = await bench.serve((app) => {
      app.use('/admin', bench.session({ name: 'admin', cookie: { path: '/admin' } }));
      app.use(bench.session({ name: 'user' }));
      app.get('/admin/count', count);
      app.get('/count', count);
    });
    const user = place.browser();
    return [
      await user.get('/count'),
      await user.get('/admin/count'),
      await user.get('/admin/count'),
      await user.get('/count'),
    ];
  }),

  behaviour('sessions in a router and in an application of its own', async (bench) => {
    const place = await bench.serve((app) => {
      const [router, sub] = [express.Router(), express()];
      router.use(bench.session());
      router.get('/count', count);
      sub.use(bench.session({ name: 'sub' }));
      sub.get('/count', count);
      app.use('/router', router);
      app.use('/sub', sub);
      app.get('/none', (req, res) => void res.json(typeof req.session));
    });
    const user = place.browser();
    return [
      await user.get('/router/count'),
      await user.get('/sub/count'),
      await user.get('/none'),
      await user.get('/router/count'),
      await user.get('/sub/count'),
    ];
  }),

  behaviour('sessions at one route alone, in front of its handler', async (bench) => {
    const place = await bench.serve((app) => {
      app.get('/count', bench.session(), count);
      app.get('/none', (req, res) => void res.json(typeof req.session));
    });
    const user = place.browser();
    return [await user.get('/count'), await user.get('/none'), await user.get('/count')];
  }),

  behaviour('a request whose URL is rewritten keeps the path that it came with', async (bench) => {
    const place = await bench.serve((app) => {
      app.use((req, _res, next) => {
        req.url = req.url.replace('/old', '/new');
        next();
      });
      app.use(bench.session({ cookie: { path: '/old' } }));
      app.get('/new', (req, res) => void res.json(typeof req.session));
    });
    const user = place.browser();
    return [await user.get('/old'), await user.get('/new')];
  }),

  behaviour('static files behind the sessions', async (bench) => {
    const { dir, base } = parse(fileURLToPath(new URL('../../../../LICENSE', import.meta.url)));
    const place = await bench.serve((app) => {
      app.use(bench.session({ rolling: true }));
      app.get('/count', count);
      app.use('/files', express.static(dir, { dotfiles: 'deny', index: false }));
    });
    const user = place.browser();
    const stranger = await user.get(`/files/${base}`);
    await user.get('/count');
    const known = await user.get(`/files/${base}`);
    const etag = (await user.get(`/files/${base}`, { alsoShow: ['etag'] })).also?.['etag'] ?? '';
    return { stranger, known, fresh: await user.get(`/files/${base}`, { headers: { 'If-None-Match': etag } }) };
  }),

  behaviour('without Express, on a plain server of Node', async (bench) => {
    const middleware = bench.session({ cookie: { maxAge: 3_600_000 } });
    const place = await bench.serveRaw((req, res) => {
      middleware(req, res, (error?: unknown) => {
        if (error) return void res.writeHead(500).end('failed');
        dataOf(req)['n'] = Number(dataOf(req)['n'] ?? 0) + 1;
        res.setHeader('Content-Type', 'application/json');
        if (req.url === '/head') res.writeHead(201);
        return void res.end(JSON.stringify({ n: dataOf(req)['n'], id: req.sessionID === req.session.id }));
      });
    });
    const user = place.browser();
    return [await user.get('/'), await user.get('/head'), await user.get('/')];
  }),

  behaviour('an answer given by something in front of the sessions has nothing to do with them', async (bench) => {
    const place = await bench.serve((app) => {
      app.get('/health', (_req, res) => void res.send('well'));
      app.use(bench.session({ saveUninitialized: true }));
      app.get('/count', count);
    });
    const user = place.browser();
    return [await user.get('/health'), await user.get('/count'), await user.get('/health')];
  }),

  behaviour('something behind the sessions that wraps end and write itself', async (bench) => {
    const seen: string[] = [];
    const place = await bench.serve((app) => {
      app.use(bench.session());
      app.use((_req, res, next) => {
        const { write, end } = res;
        res.write = ((...args: unknown[]) => {
          seen.push('write');
          return Reflect.apply(write, res, args) as boolean;
        }) as typeof write;
        res.end = ((...args: unknown[]) => {
          seen.push('end');
          return Reflect.apply(end, res, args) as typeof res;
        }) as typeof end;
        next();
      });
      app.get('/count', count);
      app.get('/stream', (req, res) => {
        dataOf(req)['n'] = 'stream';
        res.write('some ');
        res.end('text');
      });
    });
    const user = place.browser();
    return { count: await user.get('/count'), stream: await user.get('/stream'), seen };
  }),

  behaviour('something before the sessions that wraps end and write itself', async (bench) => {
    const sent: string[] = [];
    const place = await bench.serve((app) => {
      app.use((_req, res, next) => {
        const { write, end } = res;
        res.write = ((chunk: unknown, ...args: unknown[]) => {
          if (chunk) sent.push(String(chunk));
          return Reflect.apply(write, res, [chunk, ...args]) as boolean;
        }) as typeof write;
        res.end = ((chunk: unknown, ...args: unknown[]) => {
          if (typeof chunk === 'string' || Buffer.isBuffer(chunk)) sent.push(String(chunk));
          return Reflect.apply(end, res, [chunk, ...args]) as typeof res;
        }) as typeof end;
        next();
      });
      app.use(bench.session());
      app.get('/count', count);
      app.get('/stream', (req, res) => {
        dataOf(req)['n'] = 'stream';
        res.write('some ');
        res.end('text');
      });
    });
    const user = place.browser();
    const answers = [await user.get('/count'), await user.get('/stream')];
    return { answers, sent: sent.join('') };
  }),
];
