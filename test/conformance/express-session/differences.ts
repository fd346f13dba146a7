import type { Changes } from './changes.ts';
import type { ContenderName } from './contenders.ts';

/** Something that contenders do otherwise than express-session with its MemoryStore. */
export interface Difference {
  /** Why, as docs/compatibility.md says it. */
  readonly reason: string;
  readonly contenders: readonly ContenderName[];
  /** What is seen instead, by the name of the behaviour. */
  readonly seen: Readonly<Record<string, Changes>>;
}

const PEERS = ['connect-redis', 'connect-pg-simple'] as const;
const WITHOUT_POSTGRES = ['Redoubt: PostgreSQL stopped', 'Redoubt: memory, as the last resort'] as const;
const REDOUBT = [
  'Redoubt: Redis and PostgreSQL',
  'Redoubt: Redis killed',
  'Redoubt: Redis frozen',
  'Redoubt: PostgreSQL alone',
  'Redoubt: Redis alone',
  ...WITHOUT_POSTGRES,
] as const;

const NO_STORE = { 'cache-control': 'no-store', 'content-type': 'text/html; charset=utf-8' };
/** The application's error handler answered. */
const told = (...answers: readonly string[]): Changes =>
  Object.assign(
    {},
    ...answers.map((answer) => ({
      [`${answer}.status`]: 500,
      [`${answer}.ending`]: null,
      [`${answer}.headers`]: NO_STORE,
      [`${answer}.body`]: 'told',
    })),
  ) as Changes;

/** Every known difference; one that no longer occurs fails the matrix, and so does one that docs/compatibility.md lacks. */
export const DIFFERENCES: readonly Difference[] = [
  {
    reason: 'Changes of parallel requests are joined key by key, so that none is lost.',
    contenders: REDOUBT,
    seen: {
      'resave true: a slow request that only reads, overtaken by one that writes': { 'stored.n': 2 },
      'eight requests of one session change a key each: every one is answered, what is kept': { kept: 8 },
      'another change during a slow request that changes another key': { 'stored.other': 1 },
      'another change during a slow request that removes a key': { 'stored.other': 1 },
    },
  },
  {
    reason: 'A logout, and the login that regenerates, beat every slower request of the same session.',
    contenders: REDOUBT,
    seen: {
      'a logout during a slow request that changes the session': {
        stored: null,
        'old.body.user': null,
        'now.body.user': null,
      },
      'a login during a slow request that changes the old session': { stored: null, 'old.body.user': null },
      'save after destroy': {
        stored: null,
        'show.body.a': null,
        'show.body.b': null,
        'fresh.body.done': null,
        'fresh.body.failed': 'ERR_SESSION_CONFLICT',
      },
      'set after destroy of the store itself': {
        'set.done': null,
        'set.failed': 'ERR_SESSION_CONFLICT',
        'got.done': null,
      },
    },
  },
  {
    reason: 'An answer is finished for everybody at `end()`; what a handler writes later goes nowhere.',
    contenders: REDOUBT,
    seen: {
      'after end the answer says that it is finished': { 'notes.1.ended': true, 'notes.3.ended': true },
      'after send the answer says that it is finished': { 'notes.0.ended': true, 'notes.1.ended': true },
      'next after send goes on to the last handler, and the answer stays': {
        'notes.0.passedOn.ended': true,
        'notes.1.passedOn.ended': true,
      },
      'a write after end goes nowhere': { 'first.body': 'first', 'second.body': 'first' },
      'a handler that goes on writing for a while after end': {
        'first.body': 'first last',
        'second.body': 'first last',
      },
    },
  },
  {
    reason:
      'A session that cannot be stored goes to the error handler; express-session leaves the request hanging or cuts it.',
    contenders: REDOUBT,
    seen: {
      'a cycle in a session cannot be stored': told('first', 'changed', 'streamed'),
      'a BigInt in a session cannot be stored': told('first', 'changed', 'streamed'),
      'a getter or toJSON that throws in a session cannot be stored': told('first', 'changed', 'streamed'),
      'a depth that no stack holds in a session cannot be stored': told('first', 'changed', 'streamed'),
      'a session object replaced by another one': {
        'known.status': 500,
        'known.ending': null,
        'known.headers': { 'cache-control': 'no-store', 'content-type': 'text/html; charset=utf-8' },
        'known.body':
          "Express' page of an error: RedoubtError: The session cannot be stored: Cannot read properties of undefined (reading &#39;originalMaxAge&#39;)",
        'fresh.status': 500,
        'fresh.ending': null,
        'fresh.headers': { 'cache-control': 'no-store', 'content-type': 'text/html; charset=utf-8' },
        'fresh.body':
          "Express' page of an error: RedoubtError: The session cannot be stored: Cannot read properties of undefined (reading &#39;originalMaxAge&#39;)",
      },
    },
  },
  {
    reason: 'A key `__proto__` is refused; JSON would bring it back as something else, or not at all.',
    contenders: REDOUBT,
    seen: {
      'a key __proto__, as a body parser may bring it in a session': {
        'put.status': 500,
        'put.headers.cache-control': 'no-store',
        'put.cookies': null,
        'put.body':
          "Express' page of an error: RedoubtError: The session cannot be stored: a key of the session is named __proto__",
        'shown.body.shown.0': null,
      },
    },
  },
  {
    reason: '`resave` and `saveUninitialized` are false unless they are given.',
    contenders: REDOUBT,
    seen: {
      'resave and saveUninitialized not given': { 'look.cookies': null },
    },
  },
  {
    reason: 'A `store` among the options is refused by name: Redoubt is the store.',
    contenders: REDOUBT,
    seen: {
      'a store among the options is the one that is used': { start: { failed: 'ERR_SESSION_OPTION' } },
    },
  },
  {
    reason: '`all` and `clear` are refused with `ERR_SESSION_METHOD`: ids are stored as hashes.',
    contenders: REDOUBT,
    seen: {
      'all lists sessions': { done: null, failed: 'ERR_SESSION_METHOD' },
      'clear ends all sessions': { 'clear.done': null, 'clear.failed': 'ERR_SESSION_METHOD', 'got.done': { a: 1 } },
    },
  },
  {
    reason:
      'Each middleware keeps cookie options of its own; two of express-session on one store share those of the later one.',
    contenders: REDOUBT,
    seen: {
      'two session middlewares for two parts of a site keep two sessions': {
        '1.cookies.0': 'admin=sid2; Path=/admin; HttpOnly',
      },
    },
  },
  {
    reason: '`reload()` of a session that was ended calls back; express-session ends the process.',
    contenders: REDOUBT,
    seen: {
      'reload after destroy': {
        seen: null,
        processEndedBy: null,
        known: {
          status: 200,
          headers: { 'content-type': 'application/json; charset=utf-8' },
          body: { failed: 'Error: failed to load session' },
        },
        sameId: true,
        stored: null,
        show: { status: 200, headers: { 'content-type': 'application/json; charset=utf-8' }, body: {} },
        fresh: {
          status: 200,
          headers: { 'content-type': 'application/json; charset=utf-8' },
          body: { failed: 'Error: failed to load session' },
        },
        freshShow: { status: 200, headers: { 'content-type': 'application/json; charset=utf-8' }, body: {} },
      },
    },
  },
  {
    reason: '`length` is counted by PostgreSQL; without one it is refused with `ERR_SESSION_METHOD`.',
    contenders: ['Redoubt: Redis alone'],
    seen: {
      'length counts sessions': { more: null, less: null, before: { failed: 'ERR_SESSION_METHOD' } },
    },
  },
  {
    reason:
      'While PostgreSQL cannot be asked, an id that nobody else knows is answered 503 with `Retry-After`, never with a new session.',
    contenders: WITHOUT_POSTGRES,
    seen: {
      'a session ends when its time is over, is prolonged by use and ended early by a shorter maxAge or none': {
        'ended.after.status': 503,
        'ended.after.headers.content-type': 'text/html; charset=utf-8',
        'ended.after.headers.retry-after': '2',
        'ended.after.body':
          "Express' page of an error: RedoubtError: The session cannot be looked up: neither Redis nor PostgreSQL answers",
        'ended.stored': { failed: 'ERR_SESSION_UNKNOWN' },
        'ended.renewed': false,
        'ended.read.status': 503,
        'ended.read.headers.content-type': 'text/html; charset=utf-8',
        'ended.read.headers.retry-after': '2',
        'ended.read.body':
          "Express' page of an error: RedoubtError: The session cannot be looked up: neither Redis nor PostgreSQL answers",
        'shortened.alone':
          "Express' page of an error: RedoubtError: The session cannot be looked up: neither Redis nor PostgreSQL answers",
        'shortened.together':
          "Express' page of an error: RedoubtError: The session cannot be looked up: neither Redis nor PostgreSQL answers",
        'shortened.zero':
          "Express' page of an error: RedoubtError: The session cannot be looked up: neither Redis nor PostgreSQL answers",
      },
      'reload throws away what was not saved': { 'fresh.body.reload.failed': 'ERR_SESSION_UNKNOWN' },
      'a change after reload is stored': { 'fresh.body.reload.failed': 'ERR_SESSION_UNKNOWN' },
      'the store of a request loads, reads and writes sessions': {
        'fresh.body.get.done': null,
        'fresh.body.get.failed': 'ERR_SESSION_UNKNOWN',
      },
      'set, get, touch and destroy of the store itself': {
        'unknown.done': null,
        'unknown.failed': 'ERR_SESSION_UNKNOWN',
      },
      'load gives a session with its methods': { 'unknown.done': null, 'unknown.failed': 'ERR_SESSION_UNKNOWN' },
      'length counts sessions': { more: null, less: null, before: { failed: 'ERR_SESSION_UNKNOWN' } },
    },
  },
  {
    reason:
      'These stores do not store a change of the cookie alone: their `touch` moves the expiry of the record only.',
    contenders: PEERS,
    seen: {
      'a longer maxAge': {
        'aloneStored.cookie.expires': '+3600s',
        'aloneStored.cookie.originalMaxAge': 3600000,
        'aloneRead.body.life': 3600,
      },
      'a shorter maxAge': {
        'aloneStored.cookie.expires': '+3600s',
        'aloneStored.cookie.originalMaxAge': 3600000,
        'aloneRead.body.life': 3600,
      },
      'maxAge set to null': {
        'aloneStored.cookie.expires': '+3600s',
        'aloneStored.cookie.originalMaxAge': 3600000,
        'aloneRead.body.life': 3600,
      },
      'maxAge given to a session that had none': {
        'aloneStored.cookie.expires': null,
        'aloneStored.cookie.originalMaxAge': null,
        'aloneRead.body.life': null,
      },
      'expires set to a date': {
        'aloneStored.cookie.expires': '+3600s',
        'aloneStored.cookie.originalMaxAge': 3600000,
        'aloneRead.body.life': 3600,
      },
      'expires set to false, as old guides have it': {
        'aloneStored.cookie.expires': '+3600s',
        'aloneStored.cookie.originalMaxAge': 3600000,
        'aloneRead.body.life': 3600,
      },
      'a longer maxAge with rolling': {
        'aloneStored.cookie.expires': '+3600s',
        'aloneStored.cookie.originalMaxAge': 3600000,
        'aloneRead.cookies.0': 'connect.sid=sid1; Path=/; Expires=+3600s; HttpOnly',
        'aloneRead.body.life': 3600,
      },
      'sameSite, path and httpOnly changed by a handler': {
        'aloneStored.cookie.httpOnly': true,
        'aloneStored.cookie.path': '/',
        'aloneStored.cookie.sameSite': null,
      },
      'the cookie replaced by secure: true on a plain connection': { 'aloneStored.cookie.secure': null },
    },
  },
  {
    reason:
      'Where a save takes longer than a turn of the event loop, an error behind `send()` costs the client the last byte.',
    contenders: PEERS,
    seen: {
      'a second send is told that headers are sent, as is the error handler': {
        'first.body': 'firs',
        'first.ending': 'cut',
        'second.body': 'firs',
        'second.ending': 'cut',
      },
      'next with an error after send goes to the error handler, and the answer stays': {
        'first.body': 'firs',
        'first.ending': 'cut',
        'second.body': 'firs',
        'second.ending': 'cut',
      },
      'a throw after send goes to the error handler, and the answer stays': {
        'first.body': 'firs',
        'first.ending': 'cut',
        'second.body': 'firs',
        'second.ending': 'cut',
      },
      'an async throw after send goes to the error handler, and the answer stays': {
        'first.body': 'firs',
        'first.ending': 'cut',
        'second.body': 'firs',
        'second.ending': 'cut',
      },
    },
  },
  {
    reason: 'connect-pg-simple makes its text after its first wait, of what the session is then.',
    contenders: ['connect-pg-simple'],
    seen: {
      'what is stored is what there was at the call, not what it becomes': { 'done.list.1': 2 },
    },
  },
  {
    reason: 'connect-pg-simple has no `length`, `all` and `clear`.',
    contenders: ['connect-pg-simple'],
    seen: {
      'length counts sessions': { more: null, less: null, before: { failed: 'Error: there is no length' } },
      'all lists sessions': { done: null, failed: 'Error: there is no all' },
      'clear ends all sessions': {
        'clear.done': null,
        'clear.failed': 'Error: there is no clear',
        'got.done': { a: 1 },
      },
    },
  },
];
