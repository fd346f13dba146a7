import cookieParser from 'cookie-parser';
import type { RequestHandler } from 'express';
import type { SessionOptions } from 'express-session';

import { type Behaviour, SECRET, behaviour, dataOf } from '../behaviour.ts';
import { HOUR, site } from './cookie-site.ts';

/** What the first cookie looks like under these options. */
function looking(name: string, cookies: () => readonly SessionOptions['cookie'][]): Behaviour {
  return behaviour(name, async (bench) => {
    const seen = [];
    for (const cookie of cookies()) {
      const user = (await site(bench, { cookie })).browser();
      const secure = await user.post('/count', undefined, { headers: { 'X-Forwarded-Proto': 'https' } });
      seen.push({ secure: secure.cookies, stored: user.sid() === '' ? null : await bench.stored(user.sid()) });
    }
    return seen;
  });
}

const noted: RequestHandler = (req, res) => {
  dataOf(req)['n'] = 1;
  res.send('noted');
};

export const cookies: readonly Behaviour[] = [
  looking('a cookie without options ends with the browser, is HttpOnly and has no SameSite', () => [undefined, {}]),
  looking('maxAge and expires give the cookie its end', () => [
    { maxAge: HOUR },
    { expires: new Date(Date.now() + 2 * HOUR) },
    { maxAge: HOUR, expires: new Date(Date.now() + 2 * HOUR) },
    { expires: null },
  ]),
  looking('sameSite in each of its forms', () => [
    { sameSite: true },
    { sameSite: false },
    { sameSite: 'lax' },
    { sameSite: 'strict' },
    { sameSite: 'none', secure: true },
    { sameSite: 'auto' } as never,
  ]),
  looking('httpOnly, domain, path, priority and partitioned', () => [
    { httpOnly: false },
    { domain: 'example.com' },
    { priority: 'high' } as never,
    { partitioned: true, secure: true } as never,
  ]),
  looking('a function makes the options from the request', () => [
    (req) => ({ maxAge: HOUR, path: '/', secure: req.secure, sameSite: req.secure ? 'none' : 'lax' }),
    () => ({}),
  ]),
  looking('an option of the cookie that is undefined or null', () => [
    { maxAge: undefined, path: undefined, httpOnly: undefined, sameSite: undefined } as never,
    { maxAge: null, domain: null } as never,
  ]),

  behaviour('a request outside the path of the cookie has no session', async (bench) => {
    const place = await bench.serve((app) => {
      app.use(bench.session({ cookie: { path: '/admin' } }));
      app.use((req, res) => {
        if (req.session) dataOf(req)['n'] = 1;
        res.json({ session: typeof req.session, id: typeof req.sessionID });
      });
    });
    const user = place.browser();
    return { outside: await user.get('/shop'), inside: await user.get('/admin/users'), near: await user.get('/adm') };
  }),

  behaviour('a function for the cookie decides by request whether there is a session', async (bench) => {
    const place = await bench.serve((app) => {
      app.use(bench.session({ cookie: (req) => ({ path: req.query['admin'] ? '/admin' : '/' }) }));
      app.use((req, res) => {
        if (req.session) dataOf(req)['n'] = 1;
        res.json({ session: typeof req.session });
      });
    });
    const user = place.browser();
    return { all: await user.get('/shop'), admin: await user.get('/shop?admin=1') };
  }),

  behaviour('cookies that the application sets go out beside the one of the session, in order', async (bench) => {
    const place = await bench.serve((app) => {
      app.use(bench.session());
      app.get('/one', (req, res) => {
        dataOf(req)['n'] = 1;
        res.cookie('theme', 'dark').cookie('lang', 'de', { maxAge: HOUR }).send('one');
      });
      app.get('/raw', (req, res) => {
        dataOf(req)['n'] = 2;
        res.setHeader('Set-Cookie', 'a=1');
        res.send('raw');
      });
      app.get('/head', (req, res) => {
        dataOf(req)['n'] = 3;
        res.writeHead(200, { 'Set-Cookie': ['a=1', 'b=2'], 'X-One': '1' });
        res.end('head');
      });
      app.get('/append', (req, res) => {
        dataOf(req)['n'] = 4;
        res.append('Set-Cookie', 'a=1').append('Set-Cookie', 'b=2');
        res.send('append');
      });
    });
    const seen: Record<string, unknown> = {};
    for (const path of ['/one', '/raw', '/head', '/append']) seen[path] = await place.browser().get(path);
    return seen;
  }),

  behaviour('a cookie that was tampered with, is unsigned or belongs to somebody else opens nothing', async (bench) => {
    const place = await site(bench, {});
    const user = place.browser();
    await user.post('/count');
    const sid = user.sid();
    const [signed, read] = [user.cookie, (cookie: string) => place.browser().get('/read', { cookie })];
    return {
      right: await read(signed),
      signature: await read(`${signed.slice(0, -4)}AAAA`),
      id: await read(signed.replace('s%3A', 's%3AX')),
      unsigned: await read(`connect.sid=${sid}`),
      empty: await read('connect.sid='),
      half: await read('connect.sid=s%3A'),
      nonsense: await read('connect.sid=%E0%A4%A; x'),
      other: await read(`other=${signed.split('=')[1]}`),
      amongOthers: await read(`theme=dark; ${signed}; lang=de`),
      first: await read(`${signed}; connect.sid=s%3Aother.signature`),
      second: await read(`connect.sid=s%3Aother.signature; ${signed}`),
    };
  }),

  behaviour('a well signed cookie of a session that never was gets a new session under a new id', async (bench) => {
    const elsewhere = await site(bench, { genid: () => 'an-id-of-another-time' });
    const stranger = elsewhere.browser();
    await stranger.post('/count');
    const { cookie } = stranger;
    await new Promise((resolve) => bench.store.destroy('an-id-of-another-time', resolve));
    const place = await site(bench, {});
    const user = place.browser();
    const read = await user.get('/read', { cookie });
    const count = await user.post('/count', undefined, { cookie });
    return { read, count, adopted: user.sid() === 'an-id-of-another-time' };
  }),

  behaviour('cookie-parser before the sessions changes nothing', async (bench) => {
    const place = await bench.serve((app) => {
      app.use(cookieParser(SECRET), bench.session());
      app.post('/note', noted);
      app.get('/read', (req, res) => {
        res.json({
          n: dataOf(req)['n'] ?? null,
          plain: Object.keys(req.cookies),
          signed: Object.keys(req.signedCookies),
        });
      });
    });
    const user = place.browser();
    return { note: await user.post('/note'), read: await user.get('/read') };
  }),
];
