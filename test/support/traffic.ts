import { type Socket, io } from 'socket.io-client';

import { eventually } from './eventually.ts';
import { type LoadSummary, startLoad } from './load.ts';

/** What is sent at a server, all of it bounded. */
export interface TrafficStart {
  readonly url: string;
  /** Default 300. */
  readonly ratePerSecond?: number;
  /** Sockets that stay in one room and hear what is said there once a second; default 50. */
  readonly sockets?: number;
  /** Users with a session each; default 40. */
  readonly users?: number;
  /** Requests after which it stops by itself; default 60,000. */
  readonly maxRequests?: number;
}

interface TrafficSummary {
  readonly load: LoadSummary<number>;
  /** Answers ≥ 500 and requests without an answer. */
  readonly failed: number;
  readonly disconnects: number;
  /** Sessions that answered 401 although their user had logged in. */
  readonly loggedOut: number;
  /** Acknowledged visits that a later answer no longer counted. */
  readonly lostUpdates: number;
  /** Messages that a socket of the same instance did not hear, and those it heard twice. */
  readonly unheard: number;
  readonly doubled: number;
}

const ROOM = 'traffic';

/**
 * Logs users in, connects sockets, and sends cache and demo session requests in a fixed order and
 * pace until stopped. Each user visits one at a time, so that an acknowledged visit which is not
 * counted later is a lost update and not a race.
 */
export async function startTraffic(start: TrafficStart) {
  const { url, ratePerSecond = 300, maxRequests = 60_000 } = start;
  const users = await Promise.all(Array.from({ length: start.users ?? 40 }, (_, i) => login(url, `user${i}`)));
  const sockets = Array.from({ length: start.sockets ?? 50 }, () =>
    io(url, { transports: ['websocket'], reconnection: false, forceNew: true }),
  );
  const seen = { disconnects: 0, said: 0, heard: new Map<string, number>() };
  for (const socket of sockets) listen(socket, seen);
  await eventually(() => sockets.every(({ connected }) => connected), { what: 'sockets connected' });
  await Promise.all(sockets.map((socket) => socket.emitWithAck('join', { room: ROOM })));
  const talking = setInterval(() => {
    const id = `m${seen.said}`;
    seen.said += 1;
    seen.heard.set(id, 0);
    sockets[0]?.emit('say', { room: ROOM, id, text: 'hello' }, () => undefined);
  }, 1000);

  const problems = { loggedOut: 0, lostUpdates: 0 };
  const load = startLoad<number>({
    ratePerSecond,
    maxRequests,
    request: (index) => request(url, users, index, problems),
    failed: (status) => status >= 500,
  });

  return {
    peek: () => load.peek(),
    stop: async (): Promise<TrafficSummary> => {
      const summary = await load.stop();
      clearInterval(talking);
      await new Promise((resolve) => setTimeout(resolve, 300));
      const { disconnects } = seen;
      for (const socket of sockets) socket.removeAllListeners().disconnect();
      const others = sockets.length - 1;
      const heard = [...seen.heard.values()];
      return {
        load: summary,
        failed: summary.failures,
        disconnects,
        ...problems,
        unheard: heard.reduce((sum, count) => sum + Math.max(0, others - count), 0),
        doubled: heard.reduce((sum, count) => sum + Math.max(0, count - others), 0),
      };
    },
  };
}

interface TrafficUser {
  cookie: string;
  busy: boolean;
  visits: number;
}

async function login(url: string, user: string): Promise<TrafficUser> {
  const answer = await fetch(`${url}/demo/session/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user }),
  });
  if (!answer.ok) throw new Error(`login answered ${answer.status}`);
  return { cookie: (answer.headers.getSetCookie()[0] ?? '').split(';')[0] ?? '', busy: false, visits: 0 };
}

function listen(socket: Socket, seen: { disconnects: number; readonly heard: Map<string, number> }): void {
  socket.on('disconnect', () => (seen.disconnects += 1));
  socket.on('said', ({ id }: { id: string }) => {
    const count = seen.heard.get(id);
    if (count !== undefined) seen.heard.set(id, count + 1);
  });
}

async function request(
  url: string,
  users: readonly TrafficUser[],
  index: number,
  problems: { loggedOut: number; lostUpdates: number },
): Promise<number> {
  const signal = AbortSignal.timeout(20_000);
  const key = `${url}/v1/cache/key${index % 200}`;
  if (index % 3 === 0) return drain(await fetch(key, { method: 'PUT', body: `value ${index}`, signal }));
  const user = users[index % users.length] as TrafficUser;
  if (index % 3 === 1 || user.busy) return drain(await fetch(key, { signal }));
  user.busy = true;
  try {
    const answer = await fetch(`${url}/demo/session/visit`, {
      method: 'POST',
      headers: { cookie: user.cookie },
      signal,
    });
    if (answer.status === 401) problems.loggedOut += 1;
    if (!answer.ok) return drain(answer);
    const { visits } = (await answer.json()) as { visits: number };
    if (visits <= user.visits) problems.lostUpdates += 1;
    user.visits = visits;
    return answer.status;
  } finally {
    user.busy = false;
  }
}

/** The body is read, so that the connection can be used again. */
async function drain(answer: Response): Promise<number> {
  await answer.arrayBuffer();
  return answer.status;
}
