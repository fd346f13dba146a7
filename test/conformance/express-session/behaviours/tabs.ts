import flash from 'connect-flash';
import type { Express } from 'express';

import { type Behaviour, type Bench, Gate, type Site, behaviour, dataOf, failure } from '../behaviour.ts';
import type { Answer, Browser } from '../browser.ts';

const TABS = 8;

/** A site whose slow handlers let each other begin before any of them ends. */
function site(bench: Bench, build: (app: Express, together: Gate) => void): Promise<Site> {
  return bench.serve((app) => {
    app.use(bench.session());
    app.post('/begin', (req, res) => {
      Object.assign(dataOf(req), { user: 'ann', n: 0 });
      res.sendStatus(204);
    });
    app.get('/read', (req, res) => void res.json({ user: dataOf(req)['user'] ?? null }));
    build(app, new Gate(TABS));
  });
}

async function signedIn(place: Site): Promise<Browser> {
  const ann = place.browser();
  await ann.post('/begin');
  return ann;
}

function inTabs(ann: Browser, path: (tab: number) => string): Promise<Answer[]> {
  return Promise.all(Array.from({ length: TABS }, (_, tab) => ann.fork().post(path(tab))));
}

const statuses = (answers: readonly Answer[]): number[] => answers.map(({ status }) => status).toSorted();

async function content(bench: Bench, sid: string): Promise<Record<string, unknown> | null> {
  return (await bench.stored(sid)) as Record<string, unknown> | null;
}

/** One request that has read the session and waits, while another one does something to it. */
function overtaken(
  name: string,
  overtake: (ann: Browser) => Promise<Answer>,
  slowly: (data: Record<string, unknown>) => void,
): Behaviour {
  return behaviour(name, async (bench) => {
    const [arrived, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const place = await site(bench, (app) => {
      app.post('/slow', async (req, res) => {
        arrived.resolve();
        await released.promise;
        slowly(dataOf(req));
        res.send('slow');
      });
      app.post('/logout', (req, res) => req.session.destroy(() => void res.send('gone')));
      app.post('/login', (req, res) => {
        req.session.regenerate(() => {
          dataOf(req)['user'] = 'bea';
          res.send('somebody else');
        });
      });
      app.post('/other', (req, res) => {
        dataOf(req)['other'] = 1;
        res.send('other');
      });
    });
    const ann = await signedIn(place);
    const [old, sid] = [ann.cookie, ann.sid()];
    const slow = ann.fork().post('/slow');
    await arrived.promise;
    const overtaking = await overtake(ann);
    released.resolve();
    const answered = await slow;
    return {
      overtaking,
      slow: answered,
      stored: await content(bench, sid),
      old: await place.browser().get('/read', { cookie: old }),
      now: await ann.get('/read'),
    };
  });
}

const count = (data: Record<string, unknown>): void => void (data['n'] = Number(data['n']) + 1);

export const tabs: readonly Behaviour[] = [
  behaviour('eight requests of one session change a key each: every one is answered, what is kept', async (bench) => {
    const place = await site(bench, (app, together) => {
      app.post('/key/:tab', async (req, res) => {
        await together.pass();
        dataOf(req)[`key${req.params.tab}`] = true;
        res.sendStatus(204);
      });
    });
    const ann = await signedIn(place);
    const answers = await inTabs(ann, (tab) => `/key/${tab}`);
    const kept = Object.keys((await content(bench, ann.sid())) ?? {}).filter((key) => key.startsWith('key'));
    return { statuses: statuses(answers), kept: kept.length, read: await ann.get('/read') };
  }),

  behaviour(
    'eight requests of one session set the same key: every one is answered, one of them wins',
    async (bench) => {
      const place = await site(bench, (app, together) => {
        app.post('/seen/:tab', async (req, res) => {
          await together.pass();
          dataOf(req)['seen'] = req.params.tab;
          res.sendStatus(204);
        });
      });
      const ann = await signedIn(place);
      const answers = await inTabs(ann, (tab) => `/seen/${tab}`);
      const { seen } = (await content(bench, ann.sid())) ?? {};
      return { statuses: statuses(answers), oneOfThem: Number(seen) >= 0 && Number(seen) < TABS };
    },
  ),

  behaviour('eight requests of one session count: every one is answered, the count is one of theirs', async (bench) => {
    const place = await site(bench, (app, together) => {
      app.post('/count', async (req, res) => {
        await together.pass();
        count(dataOf(req));
        res.json(dataOf(req)['n']);
      });
    });
    const ann = await signedIn(place);
    const answers = await inTabs(ann, () => '/count');
    return {
      statuses: statuses(answers),
      told: answers.map(({ body }) => body),
      n: (await content(bench, ann.sid()))?.['n'],
    };
  }),

  behaviour(
    'eight requests of one session count without waiting for each other: every one is answered',
    async (bench) => {
      const place = await site(bench, (app) => {
        app.post('/count', (req, res) => {
          count(dataOf(req));
          res.sendStatus(204);
        });
      });
      const ann = await signedIn(place);
      const answers = await inTabs(ann, () => '/count');
      const n = Number((await content(bench, ann.sid()))?.['n']);
      return { statuses: statuses(answers), plausible: n >= 1 && n <= TABS };
    },
  ),

  behaviour('eight requests read one flash message: whoever sees it, it is gone afterwards', async (bench) => {
    const place = await bench.serve((app) => {
      const together = new Gate(TABS);
      app.use(bench.session(), flash());
      app.post('/begin', (req, res) => {
        req.flash('info', 'Saved');
        res.sendStatus(204);
      });
      app.post('/show', async (req, res) => {
        await together.pass();
        res.json(req.flash('info'));
      });
      app.get('/read', (req, res) => void res.json(req.flash('info')));
    });
    const ann = await signedIn(place);
    const answers = await inTabs(ann, () => '/show');
    return { answers, after: await ann.get('/read') };
  }),

  behaviour('eight first visits at once are eight sessions', async (bench) => {
    const place = await site(bench, (app, together) => {
      app.post('/visit', async (req, res) => {
        await together.pass();
        dataOf(req)['visits'] = 1;
        res.sendStatus(204);
      });
    });
    const visitors = Array.from({ length: TABS }, () => place.browser());
    const answers = await Promise.all(visitors.map((visitor) => visitor.post('/visit')));
    const stored = await Promise.all(visitors.map((visitor) => content(bench, visitor.sid())));
    return {
      statuses: statuses(answers),
      sessions: new Set(visitors.map((visitor) => visitor.sid())).size,
      visits: stored.map((data) => data?.['visits'] ?? null),
    };
  }),

  behaviour('eight logins at once in one session: eight new sessions, the old one is gone', async (bench) => {
    const place = await site(bench, (app, together) => {
      app.post('/login', async (req, res) => {
        await together.pass();
        req.session.regenerate((error: unknown) => {
          if (error) return void res.status(500).json(failure(error));
          dataOf(req)['user'] = 'bea';
          return void res.sendStatus(204);
        });
      });
    });
    const ann = await signedIn(place);
    const forks = Array.from({ length: TABS }, () => ann.fork());
    const answers = await Promise.all(forks.map((tab) => tab.post('/login')));
    const users = await Promise.all(forks.map(async (tab) => (await content(bench, tab.sid()))?.['user'] ?? null));
    return {
      statuses: statuses(answers),
      sessions: new Set(forks.map((tab) => tab.sid())).size,
      users,
      old: await content(bench, ann.sid()),
    };
  }),

  behaviour('eight logouts at once of one session: every one is answered, the session is gone', async (bench) => {
    const place = await site(bench, (app, together) => {
      app.post('/logout', async (req, res) => {
        await together.pass();
        req.session.destroy((error: unknown) => void (error ? res.sendStatus(500) : res.sendStatus(204)));
      });
    });
    const ann = await signedIn(place);
    const answers = await inTabs(ann, () => '/logout');
    return { statuses: statuses(answers), stored: await content(bench, ann.sid()), read: await ann.get('/read') };
  }),

  overtaken('a logout during a slow request that changes the session', (ann) => ann.post('/logout'), count),
  overtaken(
    'a logout during a slow request that only reads',
    (ann) => ann.post('/logout'),
    () => undefined,
  ),
  overtaken('a login during a slow request that changes the old session', (ann) => ann.post('/login'), count),
  overtaken(
    'another change during a slow request that only reads',
    (ann) => ann.post('/other'),
    () => undefined,
  ),
  overtaken('another change during a slow request that changes another key', (ann) => ann.post('/other'), count),
  overtaken(
    'another change during a slow request that removes a key',
    (ann) => ann.post('/other'),
    (data) => {
      delete data['user'];
    },
  ),

  behaviour('a page and what it loads: one request signs in while seven read', async (bench) => {
    const place = await site(bench, (app, together) => {
      app.post('/load/:tab', async (req, res) => {
        await together.pass();
        if (req.params.tab === '0') dataOf(req)['user'] = 'bea';
        res.json({ user: dataOf(req)['user'] });
      });
    });
    const ann = await signedIn(place);
    const answers = await inTabs(ann, (tab) => `/load/${tab}`);
    return { answers: answers.map(({ status, body }) => ({ status, body })), read: await ann.get('/read') };
  }),
];
