import { describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.ts';
import type { TestRedis } from '../support/redis.ts';
import { KINDS, type Kind, startBoard, startPlace } from './adopt-rig.ts';
import { Crowd } from './adopt-crowd.ts';
import { type Answer, Visitor, stateOf } from './adopt-visitor.ts';

const OUTAGE_MS = 4_000;
const RETURN_MS = 3_000;

interface Fault {
  readonly what: string;
  begin(redis: TestRedis): unknown;
  end(redis: TestRedis): unknown;
  /** What the stock application's visitors still complain of when Redis is back; nothing where it only waited. */
  readonly leaves?: string;
}

const FAULTS: readonly Fault[] = [
  { what: 'frozen', begin: (redis) => redis.freeze(), end: (redis) => redis.thaw() },
  {
    what: 'killed, to come back empty',
    begin: (redis) => redis.kill(),
    end: (redis) => redis.restart({ empty: true }),
    leaves: 'is signed out',
  },
  {
    what: 'killed, to come back with old data',
    begin: (redis) => redis.kill(),
    end: (redis) => redis.restart(),
    leaves: 'has signed out and is in again',
  },
];

describe('examples/adopt', () => {
  it('answers as the stock application does while Redis is healthy', async () => {
    const [stock = [], redoubt = []] = await Promise.all(KINDS.map(tour));
    expect(redoubt.length).toBeGreaterThan(20);
    for (const [index, answer] of redoubt.entries()) expect(answer, `answer ${index + 1}`).toEqual(stock[index]);
  });

  it.each(FAULTS)('serves every page while Redis is $what, as the stock application does not', async (fault) => {
    const [stock, redoubt] = await Promise.all(KINDS.map((kind) => goThrough(kind, fault)));
    expect(redoubt).toEqual({ before: [], during: [], returning: [], after: [], afresh: [] });
    // The checks can fail: they do for the application as it was, which works before and afterwards.
    expect(stock).toMatchObject({ before: [], afresh: [] });
    expect(stock?.during.join('\n')).toContain('waits in vain');
    expect(stock?.after.join('\n')).toContain(fault.leaves ?? '');
  });

  it('keeps those signed in who were so at the stock application, also when Redis dies right afterwards', async () => {
    await using place = await startPlace();
    await using stock = await startBoard('stock', place);
    const ann = new Visitor(stock, 'ann');
    await ann.signUp();
    await ann.get('/post');
    await ann.post('/post', { text: 'Posted in the old days' });
    expect(await stock.stop()).toBe(0);

    const env = { REDOUBT_SESSIONS_ADOPT_REDIS_PREFIX: 'sess:' };
    await using redoubt = await startBoard('redoubt', place, { env });
    ann.board = redoubt;
    expect((await ann.get('/')).body).toContain('<p class="flash info">Posted</p>');
    await place.redis.kill();
    const page = await ann.get('/');
    expect(stateOf(ann, page)).toBe('signed in');
    expect(page.body).toContain('Posted in the old days');
    expect(page.body).not.toContain('flash');
  });

  it('starts while Redis is away, as the stock application does not', async () => {
    await using place = await startPlace();
    await place.redis.kill();
    await expect(startBoard('stock', place, { deadlineMs: 3_000 })).rejects.toThrow('did not answer');
    await using redoubt = await startBoard('redoubt', place, { until: 'serving' });
    const ann = new Visitor(redoubt, 'ann');
    await ann.signUp();
    await place.redis.restart();
    await eventually(() => redoubt.isWell(), { withinMs: 15_000, everyMs: 100 });
    expect(stateOf(ann, await ann.get('/'))).toBe('signed in');
  });

  it('lets visitors go from instance to instance while Redis is frozen', async () => {
    await using place = await startPlace();
    await using here = await startBoard('redoubt', place);
    await using there = await startBoard('redoubt', place);
    const [ann, bob] = [new Visitor(here, 'ann'), new Visitor(there, 'bob')];
    await ann.signUp();
    await bob.signUp();
    place.redis.freeze();

    const texts = Array.from({ length: 5 }, (_, n) => `Notice ${n} from here and there.`);
    for (const text of texts) {
      ann.board = there;
      await ann.get('/post');
      ann.board = here;
      expect(await ann.post('/post', { text })).toMatchObject({ status: 302, headers: { location: '/' } });
      ann.board = there;
      expect((await ann.get('/')).body).toContain('Posted');
      ann.board = here;
      const again = await ann.get('/');
      expect(again.body).not.toContain('Posted');
      expect(again.body).toContain(text);
      // Between instances the cache is coherent in the end: in an outage by way of PostgreSQL.
      bob.board = there;
      await eventually(async () => (await bob.get('/')).body.includes(text), { withinMs: 3_000, everyMs: 50 });
    }
    const bobsCookie = bob.copy();
    await bob.get('/post');
    bob.board = here;
    expect((await bob.post('/sign-out')).status).toBe(302);
    expect(stateOf(bob, await bobsCookie.get('/'))).toBe('signed out');

    place.redis.thaw();
    for (const board of [here, there]) {
      await eventually(() => board.isWell(), { withinMs: 15_000, everyMs: 100 });
      ann.board = bobsCookie.board = board;
      const page = await ann.get('/');
      expect(stateOf(ann, page)).toBe('signed in');
      for (const text of texts) expect(page.body).toContain(text);
      expect(stateOf(bob, await bobsCookie.get('/'))).toBe('signed out');
    }
  });
});

/** What the visitors of one board complain of, in the order of what happens to its Redis. */
async function goThrough(kind: Kind, { begin, end }: Fault) {
  await using place = await startPlace();
  await using board = await startBoard(kind, place);
  using crowd = await Crowd.gather(board, 'old');
  // The old data of the Redis that comes back with it.
  await place.redis.client().save();
  const before = await crowd.rounds();

  await begin(place.redis);
  const during = await crowd.rounds(OUTAGE_MS);
  await end(place.redis);
  const returning = await crowd.rounds(RETURN_MS);

  await eventually(() => board.isWell(), { withinMs: 15_000, everyMs: 100, what: `a healthy ${kind} board` });
  const after = await crowd.rounds();
  using others = await Crowd.gather(board, 'others');
  const afresh = await others.rounds();
  const notices = await place.notices();
  const mailed = async (): Promise<void> => expect(await place.notices('mailed')).toEqual(notices);
  await eventually(mailed, { withinMs: 15_000, everyMs: 100, what: 'a mail of each notice' });
  return { before, during, returning, after, afresh };
}

/** Everything that the board can do, once. */
async function tour(kind: Kind): Promise<Answer[]> {
  await using place = await startPlace();
  await using board = await startBoard(kind, place);
  const ann = new Visitor(board, 'ann');
  const answers: Answer[] = [];
  const get = async (path: string, headers = {}): Promise<void> => void answers.push(await ann.get(path, headers));
  const post = async (path: string, fields = {}): Promise<void> => void answers.push(await ann.post(path, fields));

  await get('/');
  await get('/post');
  await get('/sign-in');
  await get('/sign-up');
  await post('/sign-up', { username: 'ann', password: 'secret' });
  await get('/');
  using socket = await ann.listen();
  using poller = await ann.listen(['polling']);
  await get('/post');
  await post('/post', { text: ' ' });
  await get('/post');
  await post('/post', { text: 'Bring <cake>' });
  await get('/');
  await get('/');
  await post('/post', { text: 'forged', csrf: 'none' });
  await get('/notices/1');
  await get('/notices/2');
  await get('/nowhere', { 'accept-encoding': 'identity' });
  await eventually(() => socket.heard.length === 1 && poller.heard.length === 1);
  await post('/sign-out');
  await eventually(() => socket.disconnects.length === 1 && poller.disconnects.length === 1);
  await get('/');
  await get('/post');
  await get('/sign-in');
  await post('/sign-in', { username: 'ann', password: 'wrong' });
  await get('/sign-in');
  await post('/sign-in', { username: 'ann', password: 'secret' });
  await get('/post');
  await eventually(async () => (await place.notices('mailed')).length === 1);
  expect(await board.stop()).toBe(0);
  return answers;
}
