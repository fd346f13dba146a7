import type { SessionOptions } from 'express-session';

import { type Behaviour, behaviour } from '../behaviour.ts';
import { type Change, HOUR, site } from './cookie-site.ts';

/** A user with a session changes its cookie, alone and together with the content. */
function changing(name: string, options: Partial<SessionOptions>, change: Change): Behaviour {
  return behaviour(name, async (bench) => {
    const place = await site(bench, options, change);
    const [alone, together, first] = [place.browser(), place.browser(), place.browser()];
    await alone.post('/count');
    await together.post('/count');
    return {
      alone: await alone.post('/change'),
      aloneStored: await bench.stored(alone.sid()),
      aloneRead: await alone.get('/read'),
      together: await together.post('/both'),
      togetherStored: await bench.stored(together.sid()),
      togetherRead: await together.get('/read'),
      first: await first.post('/both'),
      firstRead: await first.get('/read'),
    };
  });
}

const passing = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export const cookieChanges: readonly Behaviour[] = [
  changing('a longer maxAge', { cookie: { maxAge: HOUR } }, (cookie) => (cookie.maxAge = 4 * HOUR)),
  changing('a shorter maxAge', { cookie: { maxAge: HOUR } }, (cookie) => (cookie.maxAge = HOUR / 4)),
  changing('maxAge set to null', { cookie: { maxAge: HOUR } }, (cookie) => (cookie.maxAge = null as never)),
  changing('maxAge given to a session that had none', {}, (cookie) => (cookie.maxAge = HOUR)),
  changing('expires set to a date', { cookie: { maxAge: HOUR } }, (cookie) => {
    cookie.expires = new Date(Date.now() + 2 * HOUR);
  }),
  changing('expires set to false, as old guides have it', { cookie: { maxAge: HOUR } }, (cookie) => {
    cookie.expires = false as never;
  }),
  changing('a longer maxAge with rolling', { rolling: true, cookie: { maxAge: HOUR } }, (cookie) => {
    cookie.maxAge = 4 * HOUR;
  }),
  changing('a longer maxAge with resave', { resave: true, cookie: { maxAge: HOUR } }, (cookie) => {
    cookie.maxAge = 4 * HOUR;
  }),
  changing('sameSite, path and httpOnly changed by a handler', { cookie: { maxAge: HOUR } }, (cookie) => {
    Object.assign(cookie, { sameSite: 'strict', path: '/app', httpOnly: false });
  }),
  changing('the cookie replaced by secure: true on a plain connection', { cookie: { maxAge: HOUR } }, (cookie) => {
    cookie.secure = true;
  }),

  behaviour('a maxAge that is text is refused where it is set', async (bench) => {
    const place = await site(bench, {}, (cookie) => (cookie.maxAge = '1h' as never));
    const user = place.browser();
    await user.post('/count');
    const { status } = await user.post('/change');
    return { status, read: await user.get('/read') };
  }),

  behaviour('requests do not wear the life of a session away', async (bench) => {
    const place = await site(bench, { cookie: { maxAge: HOUR } });
    const user = place.browser();
    await user.post('/count');
    for (let i = 0; i < 5; i++) {
      await passing(20);
      await user.get('/read');
      await user.post('/count');
    }
    return { stored: await bench.stored(user.sid()), read: await user.get('/read') };
  }),

  behaviour(
    'a session ends when its time is over, is prolonged by use and ended early by a shorter maxAge or none',
    async (bench) => {
      const over = async (): Promise<unknown> => {
        const own = bench.apart();
        const place = await site(own, { cookie: { maxAge: 2_000 } });
        const user = place.browser();
        await user.post('/count');
        const [cookie, sid] = [user.cookie, user.sid()];
        const before = await user.get('/read');
        await passing(3_100);
        const after = await user.get('/read', { cookie });
        const stored = await own.stored(sid);
        await user.post('/count', undefined, { cookie });
        return { before, after, stored, renewed: user.sid() !== sid, read: await user.get('/read') };
      };
      const used = async (): Promise<unknown> => {
        const user = (await site(bench.apart(), { cookie: { maxAge: 2_000 } })).browser();
        await user.post('/count');
        const { cookie } = user;
        const seen = [];
        for (let i = 0; i < 3; i++) {
          await passing(1_000);
          seen.push((await user.get('/read', { cookie })).body);
        }
        return seen;
      };
      const shortened = async (path: string, maxAge: number): Promise<unknown> => {
        const place = await site(bench.apart(), { cookie: { maxAge: HOUR } }, (cookie) => (cookie.maxAge = maxAge));
        const user = place.browser();
        await user.post('/count');
        const { cookie } = user;
        await user.post(path);
        await passing(2_100);
        return (await place.browser().get('/read', { cookie })).body;
      };
      const [ended, prolonged, alone, together, zero] = await Promise.all([
        over(),
        used(),
        shortened('/change', 1_000),
        shortened('/both', 1_000),
        shortened('/both', 0),
      ]);
      return { ended, prolonged, shortened: { alone, together, zero } };
    },
  ),
];
