import type { ErrorRequestHandler } from 'express';

import { type Behaviour, behaviour, dataOf } from '../behaviour.ts';

type Put = (data: Record<string, unknown>) => unknown;

/** What comes back at the next request of what a handler put into the session. */
function keeping(
  name: string,
  put: Put,
  show: (data: Record<string, unknown>) => unknown = (data) => data['value'] ?? null,
): Behaviour {
  return behaviour(`${name} in a session`, async (bench) => {
    const place = await bench.serve((app) => {
      app.use(bench.session());
      app.get('/put', (req, res) => {
        put(dataOf(req));
        res.send('put');
      });
      app.get('/show', (req, res) => void res.json({ shown: show(dataOf(req)) ?? null }));
    });
    const user = place.browser();
    return { put: await user.get('/put'), shown: await user.get('/show') };
  });
}

/** A session that cannot be stored, new and changed: somebody must be told, and everything goes on. */
function unstorable(name: string, put: Put): Behaviour {
  return behaviour(`${name} in a session cannot be stored`, async (bench) => {
    let told = 0;
    const place = await bench.serve((app) => {
      app.use(bench.session());
      app.get('/good', (req, res) => {
        dataOf(req)['good'] = true;
        res.send('good');
      });
      app.get('/bad', (req, res) => {
        put(dataOf(req));
        res.send('bad');
      });
      app.get('/stream', (req, res) => {
        put(dataOf(req));
        res.write('bad ');
        res.end('stream');
      });
      app.get('/show', (req, res) => void res.json(Object.keys(dataOf(req)).toSorted()));
      app.use(((_error, _req, res, next) => {
        told += 1;
        if (res.headersSent) return next(_error);
        return void res.status(500).send('told');
      }) satisfies ErrorRequestHandler);
    });
    const [fresh, user, streamer] = [place.browser(), place.browser(), place.browser()];
    await user.get('/good');
    await streamer.get('/good');
    const sending = { deadlineMs: 1_000 };
    const asked = [fresh.get('/bad', sending), user.get('/bad', sending), streamer.get('/stream', sending)];
    const [first, changed, streamed] = await Promise.all(asked);
    return { first, changed, streamed, shown: await user.get('/show'), told };
  });
}

function nested(depth: number): unknown {
  let value: unknown = 'the bottom';
  for (let i = 0; i < depth; i++) value = { value };
  return value;
}

export const values: readonly Behaviour[] = [
  keeping('dates, undefined, functions and what has a toJSON', (data) => {
    data['value'] = [new Date(0), undefined, () => 1, { toJSON: () => 'as json' }, Number.NaN, Infinity];
  }),
  keeping('nested objects changed in place', (data) => {
    data['value'] ??= { list: [] };
    (data['value'] as { list: number[] }).list.push(1);
  }),
  keeping('text of every kind', (data) => {
    data['value'] = 'ünïcödé 😀 \u2028 \\ " \n \ud800';
  }),
  keeping('a NUL character', (data) => {
    data['value'] = 'a\u0000b';
  }),
  keeping(
    'a megabyte',
    (data) => (data['value'] = 'x'.repeat(1_000_000)),
    (data) => String(data['value']).length,
  ),
  keeping(
    'a hundred levels of nesting',
    (data) => (data['value'] = nested(100)),
    (data) => JSON.stringify(data['value']).length,
  ),
  keeping(
    'null, false, zero and empty text',
    (data) => {
      Object.assign(data, { value: [null, false, 0, ''], zero: 0 });
    },
    (data) => [data['value'], data['zero']],
  ),
  keeping(
    'keys that are numbers, empty or have dots and spaces',
    (data) => {
      Object.assign(data, { 1: 'one', '': 'empty', 'a.b': 'dot', 'a b': 'space', $: 'dollar' });
    },
    (data) => [data['1'], data[''], data['a.b'], data['a b'], data['$']],
  ),
  keeping(
    'a key named like a method of sessions',
    (data) => {
      Object.assign(data, { value: 1, toJSON: undefined });
      Object.assign(data, { valueOf: 2 });
    },
    (data) => [data['value'], typeof data['valueOf'], typeof data['toJSON']],
  ),
  keeping('the names id and req', (data) => {
    try {
      data['id'] = 'mine';
    } catch {
      data['value'] = 'id is read-only';
    }
  }),
  keeping(
    'keys constructor, hasOwnProperty and toString',
    (data) => {
      Object.assign(data, { constructor: 'mine', hasOwnProperty: 'mine', toString: 'mine', value: 1 });
    },
    (data) => [data['value'], typeof data['constructor'], typeof data['hasOwnProperty']],
  ),
  keeping(
    'a key __proto__, as a body parser may bring it',
    (data) => {
      Object.defineProperty(data, '__proto__', {
        value: { admin: true },
        enumerable: true,
        configurable: true,
        writable: true,
      });
      data['value'] = 1;
    },
    (data) => [data['value'], data['admin'] ?? null, Object.hasOwn(data, '__proto__')],
  ),
  keeping(
    'a nested key __proto__',
    (data) => (data['value'] = JSON.parse('{"__proto__": {"admin": true}, "a": 1}')),
    (data) => {
      const value = data['value'] as Record<string, unknown>;
      return [value['a'], value['admin'] ?? null, Object.hasOwn(value, '__proto__')];
    },
  ),
  keeping('an instance of a class', (data) => {
    data['value'] = new (class Point {
      x = 1;
      get y(): number {
        return 2;
      }
    })();
  }),
  keeping('a Map, a Set and a Buffer', (data) => {
    data['value'] = [new Map([[1, 2]]), new Set([1]), Buffer.from('hi')];
  }),

  behaviour('a key that is deleted is gone, one set to undefined too', async (bench) => {
    const place = await bench.serve((app) => {
      app.use(bench.session());
      app.get('/put', (req, res) => {
        Object.assign(dataOf(req), { a: 1, b: 2, c: 3 });
        res.send('put');
      });
      app.get('/remove', (req, res) => {
        delete dataOf(req)['a'];
        dataOf(req)['b'] = undefined;
        res.send('removed');
      });
      app.get('/show', (req, res) => void res.json(Object.keys(dataOf(req)).toSorted()));
    });
    const user = place.browser();
    await user.get('/put');
    return { removed: await user.get('/remove'), shown: await user.get('/show') };
  }),

  behaviour('an order of keys is kept', async (bench) => {
    const place = await bench.serve((app) => {
      app.use(bench.session());
      app.get('/put', (req, res) => {
        Object.assign(dataOf(req), { z: 1, a: 2, m: 3 });
        res.send('put');
      });
      app.get('/show', (req, res) => void res.json(Object.keys(dataOf(req)).filter((key) => key !== 'cookie')));
    });
    const user = place.browser();
    await user.get('/put');
    return user.get('/show');
  }),

  unstorable('a cycle', (data) => (data['self'] = data)),
  unstorable('a BigInt', (data) => (data['big'] = 1n)),
  unstorable('a getter or toJSON that throws', (data) => {
    data['bad'] = {
      toJSON: () => {
        throw new Error('no JSON');
      },
    };
  }),
  unstorable('a depth that no stack holds', (data) => (data['deep'] = nested(20_000))),
];
