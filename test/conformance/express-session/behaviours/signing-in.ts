import flash from 'connect-flash';
import { csrfSync } from 'csrf-sync';
import express, { type Express, type RequestHandler } from 'express';
import { Passport, type PassportStatic } from 'passport';
import { Strategy } from 'passport-local';

import { type Behaviour, type Bench, behaviour, dataOf } from '../behaviour.ts';

/** Whatever else in this repository declares a user to be. */
const userOf = (id: string): Express.User => ({ id }) as unknown as Express.User;

/** Passport as its guide has it; the password is `secret`. */
function passport(): PassportStatic {
  const made = new Passport() as unknown as PassportStatic;
  made.serializeUser<string>((user, done) => done(null, String((user as { id: unknown }).id)));
  made.deserializeUser<string>((id, done) => done(null, userOf(id)));
  made.use(
    new Strategy((name, password, done) =>
      password === 'secret' ? done(null, userOf(name)) : done(null, false, { message: 'Wrong password' }),
    ),
  );
  return made;
}

function withPassport(bench: Bench, build: (app: Express, auth: PassportStatic) => void): ReturnType<Bench['serve']> {
  return bench.serve((app) => {
    const auth = passport();
    app.use(express.json(), bench.session({ cookie: { maxAge: 3_600_000 } }), flash(), auth.session());
    app.get('/me', (req, res) => void res.json({ user: req.user ?? null, content: Object.keys(dataOf(req)) }));
    app.post('/logout', (req, res, next) => req.logout((error) => (error ? next(error) : res.redirect('/me'))));
    app.post('/note', (req, res) => {
      dataOf(req)['note'] = 'from before';
      res.sendStatus(204);
    });
    build(app, auth);
  });
}

const ok: RequestHandler = (req, res) => void res.json({ user: req.user });
const RIGHT = { username: 'ann', password: 'secret' };
const WRONG = { username: 'ann', password: 'guess' };

export const signingIn: readonly Behaviour[] = [
  behaviour('passport signs a user in, knows them at later requests and signs them out', async (bench) => {
    const site = await withPassport(bench, (app, auth) => app.post('/login', auth.authenticate('local'), ok));
    const ann = site.browser();
    return {
      stranger: await ann.get('/me'),
      login: await ann.post('/login', RIGHT),
      known: await ann.get('/me'),
      logout: await ann.post('/logout'),
      gone: await ann.get('/me'),
    };
  }),

  behaviour('passport gives the session a new id at login and ends the one from before', async (bench) => {
    const site = await withPassport(bench, (app, auth) => app.post('/login', auth.authenticate('local'), ok));
    const ann = site.browser();
    await ann.post('/note');
    const [before, old] = [ann.sid(), ann.cookie];
    const login = await ann.post('/login', RIGHT);
    return {
      login,
      changed: ann.sid() !== before,
      after: await ann.get('/me'),
      old: await site.browser().get('/me', { cookie: old }),
      oldStored: await bench.stored(before),
    };
  }),

  behaviour('passport keeps what the session had where keepSessionInfo asks for it', async (bench) => {
    const site = await withPassport(bench, (app, auth) => {
      app.post('/login', auth.authenticate('local', { keepSessionInfo: true }), ok);
    });
    const ann = site.browser();
    await ann.post('/note');
    return { login: await ann.post('/login', RIGHT), me: await ann.get('/me') };
  }),

  behaviour('passport refuses a wrong password with 401 and sets no cookie', async (bench) => {
    const site = await withPassport(bench, (app, auth) => app.post('/login', auth.authenticate('local'), ok));
    const ann = site.browser();
    return { login: await ann.post('/login', WRONG), me: await ann.get('/me') };
  }),

  behaviour(
    'passport leaves a flash message for the page that it redirects to, and it is shown once',
    async (bench) => {
      const site = await withPassport(bench, (app, auth) => {
        app.post('/login', auth.authenticate('local', { failureRedirect: '/login', failureFlash: true }), ok);
        app.get('/login', (req, res) => void res.json(req.flash('error')));
      });
      const ann = site.browser();
      return {
        refused: await ann.post('/login', WRONG),
        shown: await ann.get('/login'),
        again: await ann.get('/login'),
      };
    },
  ),

  behaviour('passport brings a user back to where they wanted to go before they signed in', async (bench) => {
    const site = await withPassport(bench, (app, auth) => {
      app.get('/private', (req, res) => {
        if (req.isAuthenticated()) return void res.send('secret page');
        dataOf(req)['returnTo'] = req.originalUrl;
        return res.redirect('/login');
      });
      app.post('/login', auth.authenticate('local', { successReturnToOrRedirect: '/', keepSessionInfo: true }));
    });
    const ann = site.browser();
    return {
      sentAway: await ann.get('/private?page=2'),
      login: await ann.post('/login', RIGHT),
      back: await ann.get('/private?page=2'),
      me: await ann.get('/me'),
    };
  }),

  behaviour('flash messages of several kinds in one request are all shown at the next, then gone', async (bench) => {
    const site = await bench.serve((app) => {
      app.use(bench.session(), flash());
      app.post('/save', (req, res) => {
        req.flash('info', 'Saved');
        req.flash('info', 'Mailed');
        req.flash('warn', 'Late');
        res.redirect('/');
      });
      app.get('/', (req, res) => void res.json(req.flash()));
    });
    const ann = site.browser();
    const save = await ann.post('/save');
    return { save, first: await ann.get('/'), second: await ann.get('/') };
  }),

  behaviour('a csrf token is taken with its session alone, and ends with it', async (bench) => {
    const { generateToken, csrfSynchronisedProtection, invalidCsrfTokenError } = csrfSync();
    const site = await bench.serve((app) => {
      app.use(bench.session());
      app.get('/form', (req, res) => void res.send(generateToken(req)));
      app.use(csrfSynchronisedProtection);
      app.post('/pay', (_req, res) => void res.send('paid'));
      app.post('/logout', (req, res) => req.session.destroy(() => void res.sendStatus(204)));
      app.use(((error: Error, _req, res, _next) => {
        res.status(error === invalidCsrfTokenError ? 403 : 500).send('refused');
      }) satisfies express.ErrorRequestHandler);
    });
    const [ann, bea] = [site.browser(), site.browser()];
    const token = String((await ann.get('/form')).body);
    await bea.get('/form');
    const send = (who: typeof ann, path: string): ReturnType<typeof ann.post> =>
      who.post(path, undefined, { headers: { 'x-csrf-token': token } });
    return {
      without: await ann.post('/pay'),
      right: await send(ann, '/pay'),
      again: await send(ann, '/pay'),
      ofAnother: await send(bea, '/pay'),
      logout: await send(ann, '/logout'),
      after: await send(ann, '/pay'),
    };
  }),

  behaviour('a login by hand: regenerate, save, redirect', async (bench) => {
    const site = await bench.serve((app) => {
      app.use(bench.session());
      app.post('/login', (req, res, next) => {
        req.session.regenerate((error: unknown) => {
          if (error) return next(error);
          dataOf(req)['user'] = 'ann';
          return req.session.save((failed: unknown) => (failed ? next(failed) : res.redirect('/me')));
        });
      });
      app.get('/me', (req, res) => void res.json(dataOf(req)['user'] ?? null));
    });
    const ann = site.browser();
    const first = await ann.post('/login');
    const firstSid = ann.sid();
    const me = await ann.get('/me');
    const second = await ann.post('/login');
    return { first, me, second, ids: new Set([firstSid, ann.sid()]).size, old: await bench.stored(firstSid) };
  }),

  behaviour('a logout by destroy and clearCookie leaves nothing, and the old cookie opens nothing', async (bench) => {
    const site = await bench.serve((app) => {
      app.use(bench.session());
      app.post('/login', (req, res) => {
        dataOf(req)['user'] = 'ann';
        res.sendStatus(204);
      });
      app.post('/logout', (req, res) => {
        req.session.destroy(() => {
          res.clearCookie('connect.sid').json({ session: typeof req.session, id: typeof req.sessionID });
        });
      });
      app.get('/me', (req, res) => void res.json(dataOf(req)['user'] ?? null));
    });
    const ann = site.browser();
    await ann.post('/login');
    const [old, sid] = [ann.cookie, ann.sid()];
    const logout = await ann.post('/logout');
    return {
      logout,
      jar: [...ann.jar.keys()],
      replayed: await ann.get('/me', { cookie: old }),
      stored: await bench.stored(sid),
      again: await ann.post('/login', undefined, { cookie: old }),
    };
  }),

  behaviour('a first destroy ends the session, a second one of the same request does no harm', async (bench) => {
    const site = await bench.serve((app) => {
      app.use(bench.session());
      app.post('/login', (req, res) => {
        dataOf(req)['user'] = 'ann';
        res.sendStatus(204);
      });
      app.post('/logout', (req, res) => {
        const { session } = req;
        session.destroy((first: unknown) => {
          session.destroy((second: unknown) => void res.json([first ?? null, second ?? null]));
        });
      });
    });
    const ann = site.browser();
    await ann.post('/login');
    return { logout: await ann.post('/logout'), stored: await bench.stored(ann.sid()) };
  }),
];
