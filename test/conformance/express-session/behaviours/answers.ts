import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

import type { Request, RequestHandler, Response } from 'express';

import { type Behaviour, type Bench, type Site, behaviour, dataOf } from '../behaviour.ts';
import type { Sending } from '../browser.ts';

const FILE = fileURLToPath(new URL('../../../../LICENSE', import.meta.url));

type Handler = (req: Request, res: Response) => unknown;

/** A site where `/answer` changes the session and then answers in its own way. */
function site(bench: Bench, handle: Handler, before: readonly RequestHandler[] = []): Promise<Site> {
  return bench.serve((app) => {
    app.use(...before, bench.session());
    app.all('/answer', (req, res) => {
      dataOf(req)['n'] = Number(dataOf(req)['n'] ?? 0) + 1;
      return handle(req, res);
    });
    app.all('/look', (req, res) => handle(req, res));
    app.get('/n', (req, res) => void res.json(dataOf(req)['n'] ?? null));
  });
}

/** The first answer brings the cookie, the second changes the session, the third leaves it as it is. */
function answering(
  name: string,
  handle: Handler,
  { method = 'GET', ...sending }: Sending & { method?: string } = {},
): Behaviour {
  return behaviour(name, async (bench) => {
    const user = (await site(bench, handle)).browser();
    const first = await user.send(method, '/answer', sending);
    await bench.settled();
    const second = await user.send(method, '/answer', sending);
    await bench.settled();
    return {
      first,
      second,
      look: await user.send(method, '/look', sending),
      n: (await user.get('/n')).body,
    };
  });
}

export const answers: readonly Behaviour[] = [
  answering('send of text', (_req, res) => res.send('some text'), { alsoShow: ['content-length', 'etag'] }),
  answering('send of bytes', (_req, res) => res.send(Buffer.from('bytes')), { alsoShow: ['content-length', 'etag'] }),
  answering('json', (_req, res) => res.status(201).json({ made: true }), { alsoShow: ['content-length', 'etag'] }),
  answering('sendStatus', (_req, res) => res.sendStatus(403)),
  answering('redirect', (_req, res) => res.redirect(303, '/n')),
  answering('end without anything', (_req, res) => res.end()),
  answering('end with text', (_req, res) => res.end('the end')),
  answering('end with text in an encoding', (_req, res) => res.end('68656c6c6f', 'hex')),
  answering(
    'end with text and its Content-Length',
    (_req, res) => {
      res.setHeader('Content-Length', 7);
      res.end('the end');
    },
    { alsoShow: ['content-length'] },
  ),
  answering('end with bytes that are Uint8Array', (_req, res) => res.end(new Uint8Array([104, 105]))),
  answering('write, write, end', (_req, res) => {
    res.write('one ');
    res.write(Buffer.from('two '));
    res.end('three');
  }),
  answering('write over several turns', async (_req, res) => {
    for (const word of ['one ', 'two ', 'three ']) {
      res.write(word);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    res.end();
  }),
  answering('writeHead and end', (_req, res) => {
    res.writeHead(202, 'Taken', { 'Content-Type': 'text/plain' });
    res.end('taken');
  }),
  answering('writeHead with headers as an array, then write', (_req, res) => {
    res.writeHead(200, ['Content-Type', 'text/plain', 'Cache-Control', 'no-store']);
    res.write('as ');
    res.end('array');
  }),
  answering('flushHeaders, then write', (_req, res) => {
    res.setHeader('Content-Type', 'text/plain');
    res.flushHeaders();
    res.write('flushed ');
    res.end('headers');
  }),
  answering('cork and uncork around writes', (_req, res) => {
    res.cork();
    res.write('corked ');
    res.write('text');
    res.uncork();
    res.end();
  }),
  answering('a stream piped into the answer', (_req, res) => Readable.from(['piped ', 'stream']).pipe(res)),
  answering('a file piped into the answer', (_req, res) => createReadStream(FILE, { end: 20 }).pipe(res)),
  answering('sendFile', (_req, res) => res.sendFile(FILE), { alsoShow: ['content-length'] }),
  answering('sendFile of a part', (_req, res) => res.sendFile(FILE), {
    headers: { Range: 'bytes=0-2' },
    alsoShow: ['content-length'],
  }),
  answering('download', (_req, res) => res.download(FILE, 'licence.txt')),
  answering('a large answer', (_req, res) => res.send('x'.repeat(1_000_000)), { alsoShow: ['content-length'] }),
  answering('a large stream, read with backpressure', (_req, res) => {
    Readable.from(Array.from({ length: 50 }, () => 'x'.repeat(20_000))).pipe(res);
  }),
  answering('HEAD', (_req, res) => res.send('not sent'), { method: 'HEAD', alsoShow: ['content-length', 'etag'] }),
  answering('OPTIONS', (_req, res) => res.set('Allow', 'GET').end(), { method: 'OPTIONS' }),
  answering('204', (_req, res) => res.status(204).end()),
  answering('204 with a body that must not be sent', (_req, res) => res.status(204).send('nothing')),
  answering('304, since the client has it', (_req, res) => res.set('ETag', '"1"').send('some text'), {
    headers: { 'If-None-Match': '"1"' },
    alsoShow: ['etag', 'content-length'],
  }),
  answering('a status message of its own', (_req, res) => {
    res.statusMessage = 'Fine indeed';
    res.send('fine');
  }),
  answering('trailers', (_req, res) => {
    res.setHeader('Trailer', 'X-Sum');
    res.write('with ');
    res.addTrailers({ 'X-Sum': '1' });
    res.end('trailers');
  }),
  answering('early hints before the answer', (_req, res) => {
    res.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' });
    res.send('hinted');
  }),
  answering('a body that the server asks for', (req, res) => req.resume().on('end', () => res.send('continued')), {
    method: 'POST',
    body: { some: 'body' },
    headers: { Expect: '100-continue' },
  }),

  behaviour('the callbacks of write and end are called, and finish once', async (bench) => {
    const events: string[] = [];
    const place = await site(bench, (_req, res) => {
      res.on('finish', () => events.push('finish'));
      res.write('some ', () => events.push('written'));
      res.end('text', () => events.push('ended'));
    });
    const answer = await place.browser().get('/answer');
    await new Promise((resolve) => setTimeout(resolve, 20));
    return { answer, events: events.toSorted() };
  }),

  behaviour('server-sent events arrive as they are sent, and the change is stored with the first', async (bench) => {
    const [seen, checked] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const place = await site(bench, async (_req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
      res.write('data: one\n\n');
      await checked.promise;
      res.write('data: two\n\n');
      res.end();
    });
    const user = place.browser();
    const stream = user.get('/answer', { onChunk: (text) => text.includes('one') && seen.resolve() });
    const arrived = await Promise.race([seen.promise.then(() => true), stream.then(() => false)]);
    checked.resolve();
    const answer = await stream;
    return { arrived, answer, n: (await user.get('/n')).body };
  }),

  behaviour('a change made after the first byte is stored at the end', async (bench) => {
    const place = await site(bench, async (req, res) => {
      res.write('first ');
      await new Promise((resolve) => setTimeout(resolve, 20));
      dataOf(req)['late'] = true;
      res.end('last');
    });
    const user = place.browser();
    const first = await user.get('/answer');
    const second = await user.get('/answer');
    return { first, second, stored: user.sid() === '' ? null : await bench.stored(user.sid()) };
  }),

  behaviour('a session that begins after the first byte gets no cookie', async (bench) => {
    const place = await bench.serve((app) => {
      app.use(bench.session());
      app.get('/', async (req, res) => {
        res.write('first ');
        await new Promise((resolve) => setTimeout(resolve, 20));
        dataOf(req)['late'] = true;
        res.end('last');
      });
    });
    return place.browser().get('/');
  }),

  behaviour('a logout while the answer is being streamed', async (bench) => {
    const place = await bench.serve((app) => {
      app.use(bench.session());
      app.get('/in', (req, res) => {
        dataOf(req)['user'] = 'ann';
        res.send('in');
      });
      app.get('/out', (req, res) => {
        res.write('going ');
        req.session.destroy(() => void res.end('gone'));
      });
    });
    const ann = place.browser();
    await ann.get('/in');
    return { out: await ann.get('/out'), stored: await bench.stored(ann.sid()) };
  }),

  behaviour('a client that leaves in the middle has its change kept', async (bench) => {
    const left = Promise.withResolvers<void>();
    const place = await site(bench, async (req, res) => {
      if (req.query['slow']) await left.promise;
      res.send('answer');
    });
    const user = place.browser();
    await user.get('/answer');
    const controller = new AbortController();
    const call = fetch(`${place.url}/answer?slow=1`, { headers: { Cookie: user.cookie }, signal: controller.signal });
    await new Promise((resolve) => setTimeout(resolve, 50));
    controller.abort();
    await call.catch(() => undefined);
    left.resolve();
    let n: unknown;
    for (let looks = 0; looks < 100 && n !== 2; looks++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      n = (await user.get('/n')).body;
    }
    return { n };
  }),

  behaviour('many requests on one connection, one after another', async (bench) => {
    const place = await site(bench, (_req, res) => res.send('answer'));
    const user = place.browser();
    await user.get('/answer');
    const seen = [];
    for (let i = 0; i < 5; i++) {
      const answer = await fetch(`${place.url}/answer`, { headers: { Cookie: user.cookie } });
      seen.push([answer.status, await answer.text()]);
    }
    return { seen, n: (await user.get('/n')).body };
  }),

  behaviour('an answer to an API client that has no cookies and changes nothing', async (bench) => {
    const place = await site(bench, (_req, res) => res.json({ api: true }));
    return place.browser().get('/look', { alsoShow: ['set-cookie', 'etag', 'content-length'] });
  }),
];
