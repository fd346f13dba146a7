import compression from 'compression';
import flash from 'connect-flash';
import { csrfSync } from 'csrf-sync';
import express, { type ErrorRequestHandler, type Express, type Request, type RequestHandler } from 'express';
import type { Pool } from 'pg';
import type { Server } from 'socket.io';

import { signUp } from './accounts.ts';
import { createLive } from './live.ts';
import { type MailQueue, queueMail, sweepMail } from './mailer.ts';
import { findNotice, latestNotices, postNotice } from './notices.ts';
import { createPassport } from './sign-in.ts';
import { type Page, accountPage, boardPage, errorPage, noticePage, postPage } from './views.ts';

/** What the board is wired to: the one thing in which its two servers differ. */
export interface Wiring {
  readonly pool: Pool;
  readonly io: Server;
  readonly sessions: RequestHandler;
  readonly mail: MailQueue;
  /** Cache-aside: the value under this key, loaded at most once a minute. */
  cached<T>(key: string, load: () => Promise<T>): Promise<T>;
  forget(key: string): Promise<unknown>;
}

/** The pages of the notice board: everybody reads, whoever has an account posts. */
export function addBoard(app: Express, { pool, io, sessions, mail, cached, forget }: Wiring): void {
  const live = createLive(io, sessions);
  const passport = createPassport(pool);
  const { csrfSynchronisedProtection } = csrfSync({ getTokenFromRequest: (req) => req.body?.csrf });

  app.use(sessions);
  app.use(compression({ threshold: 0 }));
  app.use(express.urlencoded());
  app.use(csrfSynchronisedProtection);
  app.use(flash());
  app.use(passport.session());

  app.get('/', async (req, res) => {
    const notices = await cached('notices', () => latestNotices(pool));
    const seen = req.session.seen ?? 0;
    if (req.user) req.session.seen = Math.max(seen, notices[0]?.id ?? 0);
    res.send(boardPage(pageOf(req), notices, req.user ? seen : Infinity));
  });

  app.get('/notices/:id', async (req, res, next) => {
    const id = Number(req.params.id);
    const notice = await cached(`notice:${id}`, () => findNotice(pool, id));
    if (notice) res.send(noticePage(pageOf(req), notice));
    else next();
  });

  app.get('/post', membersOnly, (req, res) => {
    res.send(postPage(pageOf(req)));
  });

  app.post('/post', membersOnly, async (req, res) => {
    const text = String(req.body.text ?? '').trim();
    if (text === '') {
      req.flash('error', 'A notice needs a text');
      return res.redirect('/post');
    }
    const notice = await postNotice(pool, req.user!.name, text);
    await forget('notices');
    live.announce(notice);
    queueMail(mail, notice.id);
    req.flash('info', 'Posted');
    return res.redirect('/');
  });

  app.get('/sign-up', (req, res) => {
    res.send(accountPage(pageOf(req), '/sign-up'));
  });

  app.post('/sign-up', async (req, res, next) => {
    const { username, password } = req.body as { username: string; password: string };
    const account = username && password ? await signUp(pool, username, password) : undefined;
    if (!account) {
      req.flash('error', 'Choose another name');
      return res.redirect('/sign-up');
    }
    return req.login(account, (error) => (error ? next(error) : res.redirect('/')));
  });

  app.get('/sign-in', (req, res) => {
    res.send(accountPage(pageOf(req), '/sign-in'));
  });

  app.post(
    '/sign-in',
    passport.authenticate('local', {
      successReturnToOrRedirect: '/',
      failureRedirect: '/sign-in',
      failureFlash: true,
      keepSessionInfo: true,
    }),
  );

  app.post('/sign-out', (req, res, next) => {
    live.end(req.sessionID);
    req.logout((error) => (error ? next(error) : res.redirect('/')));
  });

  app.use((req, res) => {
    res.status(404).send(errorPage(pageOf(req), 'There is no such page'));
  });

  app.use(((error: { status?: number; message?: string }, _req, res, _next) => {
    console.error(error);
    const status = error.status ?? 500;
    const message = status < 500 ? (error.message ?? '') : 'Please try again';
    res.status(status).send(errorPage({ account: undefined, flash: {}, csrfToken: '' }, message));
  }) satisfies ErrorRequestHandler);

  void sweepMail(mail, pool);
}

const membersOnly: RequestHandler = (req, res, next) => {
  if (req.isAuthenticated()) return next();
  req.session.returnTo = req.originalUrl;
  req.flash('error', 'Please sign in first');
  return res.redirect('/sign-in');
};

/** Takes the messages: each is shown once. */
function pageOf(req: Request): Page {
  return { account: req.user, flash: req.flash(), csrfToken: req.csrfToken?.() ?? '' };
}
