import type { Request, Response } from 'express';

import { type Behaviour, behaviour, contentOf, dataOf, failure, outcome } from '../behaviour.ts';
import type { Sending } from '../browser.ts';

/** Two requests of one user: the first fills the session, the second is the one looked at. */
function using(name: string, use: (req: Request, res: Response) => unknown, sending: Sending = {}): Behaviour {
  return behaviour(name, async (bench) => {
    const place = await bench.serve((app) => {
      app.use(bench.session({ cookie: { maxAge: 3_600_000 } }));
      app.get('/fill', (req, res) => {
        Object.assign(dataOf(req), { a: 1, b: 2 });
        res.send('filled');
      });
      app.get('/use', use);
      app.get('/show', (req, res) => void res.json(contentOf(req.session)));
    });
    const [known, fresh] = [place.browser(), place.browser()];
    await known.get('/fill');
    const sid = known.sid();
    const answers = [await known.get('/use', sending), await fresh.get('/use', sending)];
    await bench.settled();
    return {
      known: answers[0],
      sameId: known.sid() === sid,
      stored: await bench.stored(sid),
      show: await known.get('/show'),
      fresh: answers[1],
      freshShow: await fresh.get('/show'),
    };
  });
}

const call = (work: (done: (error?: unknown) => void) => void): Promise<unknown> => outcome(work);

export const methods: readonly Behaviour[] = [
  using('save with a callback, then an answer', async (req, res) => {
    dataOf(req)['a'] = 'saved';
    res.json(await call((done) => req.session.save(done)));
  }),
  using('save without a callback', (req, res) => {
    dataOf(req)['a'] = 'saved';
    req.session.save();
    res.send('done');
  }),
  using('save, then another change before the answer', async (req, res) => {
    dataOf(req)['a'] = 'saved';
    await call((done) => req.session.save(done));
    dataOf(req)['b'] = 'later';
    res.send('done');
  }),
  using('save twice at once', async (req, res) => {
    dataOf(req)['a'] = 'twice';
    res.json(await Promise.all([call((done) => req.session.save(done)), call((done) => req.session.save(done))]));
  }),
  using('reload throws away what was not saved', async (req, res) => {
    const before = req.session;
    dataOf(req)['a'] = 'not saved';
    const reload = await call((done) => before.reload(done));
    res.json({ reload, a: dataOf(req)['a'] ?? null, other: req.session !== before });
  }),
  using('a change after reload is stored', async (req, res) => {
    const reload = await call((done) => req.session.reload(done));
    dataOf(req)['a'] = 'after';
    res.json({ reload });
  }),
  using('regenerate leaves an empty session under a new id', async (req, res) => {
    const before = req.sessionID;
    const regenerate = await call((done) => req.session.regenerate(done));
    const state = {
      content: contentOf(req.session),
      renewed: req.sessionID !== before,
      same: req.session.id === req.sessionID,
    };
    dataOf(req)['c'] = 3;
    res.json({ regenerate, ...state });
  }),
  using('regenerate without anything put into the new session', async (req, res) => {
    res.json(await call((done) => req.session.regenerate(done)));
  }),
  using('regenerate twice in one request', async (req, res) => {
    const first = await call((done) => req.session.regenerate(done));
    const second = await call((done) => req.session.regenerate(done));
    dataOf(req)['c'] = 3;
    res.json([first, second]);
  }),
  using('destroy takes the session away at once', async (req, res) => {
    const { session } = req;
    const destroy = call((done) => session.destroy(done));
    const during = typeof req.session;
    res.json({ destroy: await destroy, during, after: typeof req.session });
  }),
  using('destroy without waiting for it', (req, res) => {
    req.session.destroy(() => undefined);
    res.send('done');
  }),
  using('save after destroy', async (req, res) => {
    const { session } = req;
    await call((done) => session.destroy(done));
    res.json(await call((done) => session.save(done)));
  }),
  using(
    'reload after destroy',
    async (req, res) => {
      const { session } = req;
      await call((done) => session.destroy(done));
      res.json(await call((done) => session.reload(done)));
    },
    { deadlineMs: 1_000 },
  ),
  using('touch and resetMaxAge by hand', (req, res) => {
    const { session } = req;
    res.json([session.touch() === session, session.resetMaxAge() === session, session.id === req.sessionID]);
  }),
  using('methods do not show among the keys of a session', (req, res) => {
    res.json({ keys: Object.keys(req.session), json: Object.keys(JSON.parse(JSON.stringify(req.session)) as object) });
  }),
  using('the id and the request of a session cannot be replaced', (req, res) => {
    const before = req.session.id;
    try {
      Object.assign(req.session, { id: 'mine' });
      res.json('replaced');
    } catch (error) {
      res.json({ ...failure(error), same: req.session.id === before, req: Reflect.get(req.session, 'req') === req });
    }
  }),
  using('the store of a request loads, reads and writes sessions', async (req, res) => {
    const { sessionStore: store } = req;
    const get = await outcome((done) =>
      store.get(req.sessionID, (error, data) => done(error, data && contentOf(data))),
    );
    const kinds = ['get', 'set', 'destroy', 'touch', 'load', 'regenerate', 'createSession', 'on'].map(
      (name) => typeof Reflect.get(store, name),
    );
    res.json({ get, kinds });
  }),
  using(
    'a session object replaced by another one',
    (req, res) => {
      const { session } = req;
      Object.assign(req, {
        session: Object.assign(Object.create(Object.getPrototypeOf(session) as object) as object, { a: 'other' }),
      });
      res.send('replaced');
    },
    { deadlineMs: 1_000 },
  ),
];
