import type { SessionData } from 'express-session';

import { type Behaviour, type Bench, behaviour, contentOf, dataOf, outcome } from '../behaviour.ts';

const HOUR = 3_600_000;
const cookie = { originalMaxAge: HOUR, expires: new Date(Date.now() + HOUR), httpOnly: true, path: '/' };
const unique = (): string => `direct-${Math.random().toString(36).slice(2)}`;
const asSession = (data: object): SessionData => data as SessionData;

/** Calls of the store itself, as an application makes them. */
function directly(bench: Bench): {
  get: (sid: string) => Promise<unknown>;
  set: (sid: string, data: object) => Promise<unknown>;
  destroy: (sid: string) => Promise<unknown>;
  touch: (sid: string, data: object) => Promise<unknown>;
  length: () => Promise<unknown>;
} {
  const { store } = bench;
  return {
    get: (sid) => outcome((done) => store.get(sid, (error, data) => done(error, data && contentOf(data)))),
    set: (sid, data) => outcome((done) => store.set(sid, asSession(data), (error) => done(error))),
    destroy: (sid) => outcome((done) => store.destroy(sid, (error) => done(error))),
    touch: (sid, data) => outcome((done) => store.touch?.(sid, asSession(data), () => done())),
    length: () => outcome((done) => (store.length ? store.length(done) : done(new Error('there is no length')))),
  };
}

export const store: readonly Behaviour[] = [
  behaviour('set, get, touch and destroy of the store itself', async (bench) => {
    const { get, set, destroy, touch } = directly(bench);
    const sid = unique();
    return {
      unknown: await get(sid),
      touchUnknown: await touch(sid, { cookie, a: 0 }),
      set: await set(sid, { cookie, a: 1 }),
      got: await get(sid),
      again: await set(sid, { cookie, b: 2 }),
      gotAgain: await get(sid),
      touch: await touch(sid, { cookie, c: 3 }),
      touched: await get(sid),
      destroy: await destroy(sid),
      gone: await get(sid),
      destroyUnknown: await destroy(unique()),
    };
  }),

  behaviour('set after destroy of the store itself', async (bench) => {
    const { get, set, destroy } = directly(bench);
    const sid = unique();
    await set(sid, { cookie, a: 1 });
    await destroy(sid);
    return { set: await set(sid, { cookie, a: 2 }), got: await get(sid) };
  }),

  behaviour('calls of the store without a callback', async (bench) => {
    const { get } = directly(bench);
    const sid = unique();
    const seen = async (isThere: boolean): Promise<unknown> => {
      // Nobody says when it is done.
      for (let looks = 0; looks < 100; looks++) {
        const { done } = (await get(sid)) as { done?: unknown };
        if (Boolean(done) === isThere) break;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return get(sid);
    };
    bench.store.set(sid, asSession({ cookie, a: 1 }));
    const set = await seen(true);
    bench.store.touch?.(sid, asSession({ cookie, a: 1 }));
    bench.store.destroy(sid);
    return { set, destroyed: await seen(false) };
  }),

  behaviour('what is stored is what there was at the call, not what it becomes', async (bench) => {
    const { get } = directly(bench);
    const sid = unique();
    const data = { cookie, list: [1] };
    const done = outcome((callback) => bench.store.set(sid, asSession(data), (error) => callback(error)));
    data.list.push(2);
    await done;
    return get(sid);
  }),

  behaviour('two reads give two objects', async (bench) => {
    const { get, set } = directly(bench);
    const sid = unique();
    await set(sid, { cookie, list: [1] });
    const read = (): Promise<{ list: number[] }> =>
      new Promise((resolve) => bench.store.get(sid, (_error, data) => resolve(data as unknown as { list: number[] })));
    const [one, two] = [await read(), await read()];
    one.list.push(2);
    return { apart: one !== two, two: two.list, stored: await get(sid) };
  }),

  behaviour('load gives a session with its methods', async (bench) => {
    const { set } = directly(bench);
    const sid = unique();
    await set(sid, { cookie, a: 1 });
    const loaded = await new Promise<Record<string, unknown>>((resolve, reject) => {
      bench.store.load(sid, (error: unknown, data?: SessionData) =>
        error ? reject(error as Error) : resolve(data as never),
      );
    });
    const expires = (loaded['cookie'] as { expires: unknown }).expires;
    const unknown = await outcome((done) =>
      bench.store.load(unique(), (error: unknown, data?: unknown) => done(error, data)),
    );
    return {
      a: loaded['a'],
      id: loaded['id'] === sid,
      save: typeof loaded['save'],
      date: expires instanceof Date,
      unknown,
    };
  }),

  behaviour('a session without a cookie is stored', async (bench) => {
    const { get, set } = directly(bench);
    const sid = unique();
    return { set: await set(sid, { a: 1 }), got: await get(sid) };
  }),

  behaviour('a session without a cookie under a presented id', async (bench) => {
    const { set } = directly(bench);
    const place = await bench.serve((app) => {
      app.use(bench.session());
      app.get('/fill', (req, res) => {
        dataOf(req)['a'] = 1;
        res.send('filled');
      });
      app.get('/show', (req, res) => void res.json(contentOf(req.session)));
    });
    const user = place.browser();
    await user.get('/fill');
    await set(user.sid(), { b: 2 });
    const show = await user.get('/show');
    return { status: show.status };
  }),

  behaviour('length counts sessions', async (bench) => {
    const { set, destroy, length } = directly(bench);
    const count = async (): Promise<number | unknown> => {
      const counted = (await length()) as { done?: number };
      return typeof counted.done === 'number' ? counted.done : counted;
    };
    const before = await count();
    const sids = [unique(), unique(), unique()];
    for (const sid of sids) await set(sid, { cookie, a: 1 });
    const more = await count();
    await destroy(sids[0]!);
    const less = await count();
    return typeof before === 'number' ? { more: Number(more) - before, less: Number(less) - before } : { before };
  }),

  behaviour('all lists sessions', async (bench) => {
    const { set } = directly(bench);
    const sid = unique();
    await set(sid, { cookie, a: 'all' });
    return outcome((done) => {
      if (!bench.store.all) return done(new Error('there is no all'));
      return bench.store.all((error, sessions) => {
        const found = Object.values((sessions ?? {}) as Record<string, SessionData>).map(
          (data) => contentOf(data)['a'],
        );
        done(error, found.includes('all'));
      });
    });
  }),

  behaviour('clear ends all sessions', async (bench) => {
    const { get, set } = directly(bench);
    const sid = unique();
    await set(sid, { cookie, a: 1 });
    const clear = await outcome((done) =>
      bench.store.clear ? bench.store.clear((error) => done(error)) : done(new Error('there is no clear')),
    );
    return { clear, got: await get(sid) };
  }),
];
