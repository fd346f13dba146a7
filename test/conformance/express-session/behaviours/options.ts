import type { SessionOptions } from 'express-session';
import session from 'express-session';

import { type Behaviour, type Bench, SECRET, attempt, behaviour, dataOf } from '../behaviour.ts';
import type { Site } from '../behaviour.ts';

const COOKIE = { maxAge: 3_600_000 };

/** An application that reads and counts. */
function counter(bench: Bench, options: Partial<SessionOptions>): Promise<Site> {
  return bench.serve((app) => {
    app.set('trust proxy', 1);
    app.use(bench.session(options));
    app.get('/read', (req, res) => void res.json({ n: dataOf(req)['n'] ?? null }));
    app.post('/count', (req, res) => {
      const data = dataOf(req);
      data['n'] = Number(data['n'] ?? 0) + 1;
      res.json({ n: data['n'] });
    });
    app.post('/same', (req, res) => {
      const data = dataOf(req);
      data['n'] = Number(data['n']);
      res.json({ n: data['n'] });
    });
    app.post('/leave', (req, res) => {
      Object.assign(req, { session: null });
      res.sendStatus(204);
    });
  });
}

const COMBINATIONS = [true, false].flatMap((resave) =>
  [true, false].map((saveUninitialized) => ({ resave, saveUninitialized })),
);

const stores = COMBINATIONS.map(({ resave, saveUninitialized }) =>
  behaviour(
    `resave ${resave}, saveUninitialized ${saveUninitialized}: what is stored, and when a cookie is set`,
    async (bench) => {
      const site = await counter(bench, { resave, saveUninitialized, cookie: COOKIE });
      const [looker, user] = [site.browser(), site.browser()];
      const look = await looker.get('/read');
      const lookAgain = await looker.get('/read');
      const count = await user.post('/count');
      const stored = await bench.stored(user.sid());
      return {
        look,
        lookAgain,
        lookStored: looker.sid() === '' ? 'no cookie' : await bench.stored(looker.sid()),
        count,
        stored,
        read: await user.get('/read'),
        same: await user.post('/same'),
        countAgain: await user.post('/count'),
        storedAgain: await bench.stored(user.sid()),
      };
    },
  ),
);

const rewritten = [true, false].map((resave) =>
  behaviour(`resave ${resave}: a slow request that only reads, overtaken by one that writes`, async (bench) => {
    const [arrived, overtaken] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const site = await bench.serve((app) => {
      app.use(bench.session({ resave }));
      app.post('/count', (req, res) => {
        const data = dataOf(req);
        data['n'] = Number(data['n'] ?? 0) + 1;
        res.json(data['n']);
      });
      app.get('/slow', async (req, res) => {
        arrived.resolve();
        await overtaken.promise;
        res.json(dataOf(req)['n']);
      });
    });
    const ann = site.browser();
    await ann.post('/count');
    const slow = ann.fork().get('/slow');
    await arrived.promise;
    const overtaking = await ann.post('/count');
    overtaken.resolve();
    return { overtaking, slow: await slow, stored: await bench.stored(ann.sid()) };
  }),
);

const refused: Record<string, object> = {
  'a genid that is no function': { genid: 'id' },
  'an unset that is neither keep nor destroy': { unset: 'later' },
  'an empty array of secrets': { secret: [] },
};

export const options: readonly Behaviour[] = [
  ...stores,
  ...rewritten,

  behaviour('resave and saveUninitialized not given', async (bench) => {
    const site = await bench.serve((app) => {
      app.use(bench.bare({ secret: SECRET }));
      app.get('/read', (_req, res) => void res.send('read'));
    });
    const looker = site.browser();
    return { look: await looker.get('/read'), again: await looker.get('/read') };
  }),

  behaviour('an option given as undefined is one that was not given', async (bench) => {
    const undefineds = { name: undefined, key: undefined, genid: undefined, rolling: undefined, unset: undefined };
    const site = await counter(bench, { ...undefineds, cookie: undefined, proxy: undefined } as never);
    const user = site.browser();
    return { count: await user.post('/count'), read: await user.get('/read') };
  }),

  behaviour('rolling: every answer of a session sends its cookie with a new end', async (bench) => {
    const site = await counter(bench, { rolling: true, cookie: COOKIE });
    const user = site.browser();
    return {
      look: await user.get('/read'),
      count: await user.post('/count'),
      read: await user.get('/read'),
      same: await user.post('/same'),
      stored: await bench.stored(user.sid()),
    };
  }),

  behaviour('rolling without maxAge sends the cookie at every answer, without an end', async (bench) => {
    const site = await counter(bench, { rolling: true });
    const user = site.browser();
    return { count: await user.post('/count'), read: await user.get('/read') };
  }),

  behaviour('rolling with saveUninitialized prolongs a session that nobody ever changed', async (bench) => {
    const site = await counter(bench, { rolling: true, saveUninitialized: true, cookie: COOKIE });
    const user = site.browser();
    return { look: await user.get('/read'), again: await user.get('/read') };
  }),

  behaviour(
    'without rolling a cookie with an end is sent anew when the session changed, one without is not',
    async (bench) => {
      const [ending, lasting] = [await counter(bench.apart(), { cookie: COOKIE }), await counter(bench, {})];
      const [a, b] = [ending.browser(), lasting.browser()];
      return {
        ending: [await a.post('/count'), await a.get('/read'), await a.post('/count')],
        lasting: [await b.post('/count'), await b.get('/read'), await b.post('/count')],
      };
    },
  ),

  behaviour('name gives the cookie its name, key is its old name, and name wins', async (bench) => {
    const answers = [];
    for (const names of [{ name: 'sid' }, { key: 'old' }, { name: 'sid', key: 'old' }]) {
      const site = await counter(bench, names as never);
      const user = site.browser();
      answers.push([await user.post('/count'), await user.post('/count')]);
    }
    return answers;
  }),

  behaviour('genid makes the id, from the request if it likes, also at regenerate', async (bench) => {
    let made = 0;
    const unique = Math.random().toString(36).slice(2);
    const site = await bench.serve((app) => {
      app.use(bench.session({ genid: (req) => `${req.method}-${unique}-${(made += 1)}` }));
      app.post('/count', (req, res) => {
        dataOf(req)['n'] = 1;
        res.send(req.sessionID.replace(unique, ''));
      });
      app.post('/regenerate', (req, res) => {
        req.session.regenerate(() => {
          dataOf(req)['n'] = 2;
          res.send(req.session.id.replace(unique, ''));
        });
      });
    });
    const user = site.browser();
    const count = await user.post('/count');
    const regenerate = await user.post('/regenerate');
    return { count, regenerate, stored: await bench.stored(user.sid()) };
  }),

  behaviour('a genid that makes no string is no session that could be stored, and no cookie', async (bench) => {
    const site = await counter(bench, { genid: () => undefined as unknown as string });
    const user = site.browser();
    return { count: await user.post('/count'), read: await user.get('/read') };
  }),

  ...(['destroy', 'keep', undefined] as const).map((unset) =>
    behaviour(`unset ${unset ?? 'not given'}: what req.session = null leaves in the store`, async (bench) => {
      const site = await counter(bench, unset ? { unset } : {});
      const user = site.browser();
      await user.post('/count');
      const leave = await user.post('/leave');
      return { leave, stored: await bench.stored(user.sid()), read: await user.get('/read') };
    }),
  ),

  behaviour('unset destroy for a visitor who never had a session', async (bench) => {
    const site = await counter(bench, { unset: 'destroy' });
    const user = site.browser();
    return { leave: await user.post('/leave'), read: await user.get('/read') };
  }),

  behaviour('of several secrets the first signs and all verify; one that is gone verifies no longer', async (bench) => {
    const [old, fresh] = ['an old secret, long enough to be one', 'a fresh secret, long enough to be one'];
    const user = (await counter(bench, { secret: old })).browser();
    await user.post('/count');
    const rotated = await counter(bench, { secret: [fresh, old] });
    const [cookie, later] = [user.cookie, rotated.browser()];
    const read = await later.get('/read', { cookie });
    const count = await later.post('/count', undefined, { cookie });
    const sites = [await counter(bench, { secret: fresh }), await counter(bench, { secret: old })];
    const known = [];
    for (const site of sites) known.push(await site.browser().get('/read', { cookie }));
    return { read, count, known };
  }),

  behaviour('with rolling a cookie under an old secret is signed anew', async (bench) => {
    const [old, fresh] = ['an old secret, long enough to be one', 'a fresh secret, long enough to be one'];
    const before = (await counter(bench, { secret: old })).browser();
    await before.post('/count');
    const between = (await counter(bench, { secret: [fresh, old], rolling: true })).browser();
    const read = await between.get('/read', { cookie: before.cookie });
    const after = (await counter(bench, { secret: [fresh] })).browser();
    return { read, known: await after.get('/read', { cookie: between.cookie }) };
  }),

  behaviour('a secret may be short, the only one and one that only verifies', async (bench) => {
    const user = (await counter(bench, { secret: 'cat' })).browser();
    const count = await user.post('/count');
    const later = await counter(bench, { secret: ['keyboard cat', 'cat'] });
    return { count, known: await later.browser().get('/read', { cookie: user.cookie }) };
  }),

  behaviour('a store among the options is the one that is used', async (bench) => {
    const store = new session.MemoryStore();
    return { start: attempt(() => bench.session({ store })) };
  }),

  ...Object.entries(refused).map(([what, given]) =>
    behaviour(`${what} is refused at the start`, (bench) => Promise.resolve(attempt(() => bench.session(given)))),
  ),

  ...(
    [
      ['proxy not given, the application trusts its proxy', { trust: true }],
      ['proxy not given, the application trusts nobody', { trust: false }],
      ['proxy true, the application trusts nobody', { proxy: true, trust: false }],
      ['proxy false, the application trusts its proxy', { proxy: false, trust: true }],
    ] as const
  ).map(([what, { trust, ...given }]) =>
    behaviour(`secure cookies with ${what}`, async (bench) => {
      const answers: Record<string, unknown> = {};
      for (const secure of [true, 'auto'] as const) {
        const site = await bench.serve((app) => {
          app.set('trust proxy', trust ? 1 : false);
          app.use(bench.session({ ...given, cookie: { secure } }));
          app.post('/count', (req, res) => {
            dataOf(req)['n'] = 1;
            res.json({ secure: req.session.cookie.secure ?? null });
          });
        });
        answers[`${secure}, plain`] = await site.browser().post('/count');
        answers[`${secure}, https`] = await site
          .browser()
          .post('/count', undefined, { headers: { 'X-Forwarded-Proto': 'https' } });
        answers[`${secure}, http, https`] = await site
          .browser()
          .post('/count', undefined, { headers: { 'X-Forwarded-Proto': 'http, https' } });
      }
      return answers;
    }),
  ),
];
