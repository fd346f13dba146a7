import { describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.ts';
import type { TestRedis } from '../support/redis.ts';
import { KINDS, type Kind, startBoard, startPlace } from './adopt-rig.ts';
import { Crowd } from './adopt-crowd.ts';
import { type Answer, Visitor } from './adopt-visitor.ts';

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
    const before = new Visitor(stock, 'ann');
    await before.signUp();
    await before.get('/post');
    await before.post('/post', { text: 'Posted in the old days' });
    expect(await stock.stop()).toBe(0);

    await using redoubt = await startBoard('redoubt', place, { REDOUBT_SESSIONS_ADOPT_REDIS_PREFIX: 'sess:' });
    const ann = before.copy(redoubt);
    const first = await ann.get('/');
    expect(first.body).toContain('<p class="flash info">Posted</p>');
    await place.redis.kill();
    const second = await ann.get('/');
    expect(second).toMatchObject({ status: 200, body: expect.stringContaining('ann <button>Sign out</button>') });
    expect(second.body).toContain('Posted in the old days');
    expect(second.body).not.toContain('flash');
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
