/**
 * Redoubt's sessions against connect-redis and connect-pg-simple, through express-session's own store interface,
 * in one run: sealed, each acknowledged write in a PostgreSQL with fsync on. Each store is in a process of its own
 * and they take turns in short rounds, so that what the machine does meanwhile hits all alike; a ratio is made
 * within its round, and the median of them counts.
 *
 * In one process, as this bench once was, the others paid for connect-redis: its client sets a timer of five seconds
 * for each command, which is collected or fires in somebody else's round.
 * `node sessions.ts [rounds] [milliseconds of a round]`; npm ci in bench/ first.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

import type { Request, Work } from './session-contender.ts';
import { openRedoubt, startSessionServers } from './session-stores.ts';

const rounds = Number(process.argv[2] ?? 7);
const roundMs = Number(process.argv[3] ?? 400);
const CALLERS = [20, 100];
const WORKS: readonly Work[] = ['read', 'read + touch', 'write'];
const NAMES = ['connect-redis', 'redoubt', 'connect-pg-simple'] as const;
/** Longest wait for an answer of a contender, beyond its round. */
const ANSWER_MS = 60_000;

type Contenders = Readonly<Record<string, ChildProcess>>;

await using servers = await startSessionServers();
const { redis, postgres, databaseUrl } = servers;
const rows: Record<string, string | number>[] = [];
let written: readonly (readonly [string, number])[] = [];
{
  await using stack = new AsyncDisposableStack();
  const contenders: Record<string, ChildProcess> = {};
  for (const name of NAMES) {
    const args = [name, redis.url, name === 'redoubt' ? databaseUrl : postgres.url, `${Math.max(...CALLERS)}`];
    const child = fork(new URL('session-contender.ts', import.meta.url), args);
    stack.defer(() => end(child));
    contenders[name] = child;
    await answerOf(child, name);
  }
  for (const callers of CALLERS) {
    for (const work of WORKS) rows.push(await compare(contenders, callers, work));
  }
  written = (await ask(contenders, 'redoubt', { kind: 'written' })) as typeof written;
}
console.table(rows);
console.log(`median of ${rounds} interleaved rounds of ${roundMs} ms; ratios to connect-redis in the same round`);
console.log(await proveDurable());

async function compare(contenders: Contenders, callers: number, work: Work): Promise<Record<string, string | number>> {
  const rates: Record<string, number[]> = {};
  const order: string[] = [...NAMES];
  // The first round warms up and does not count.
  for (let round = 0; round <= rounds; round += 1) {
    for (const name of order) {
      const rate = await ask(contenders, name, { kind: 'round', work, callers, ms: roundMs });
      if (round > 0) (rates[name] ??= []).push(rate as number);
    }
    order.push(order.shift()!);
  }
  const base = rates['connect-redis'] ?? [];
  const ratio = (name: string): number => hundredth(median((rates[name] ?? []).map((rate, i) => rate / base[i]!)));
  const spread = (rates['redoubt'] ?? []).map((rate, i) => hundredth(rate / base[i]!)).toSorted((a, b) => a - b);
  return {
    callers,
    what: work,
    'connect-redis/s': Math.round(median(base)),
    'redoubt/s': Math.round(median(rates['redoubt'] ?? [])),
    redoubt: ratio('redoubt'),
    'from … to': `${spread[0]} … ${spread.at(-1)}`,
    'connect-pg-simple': ratio('connect-pg-simple'),
  };
}

async function ask(contenders: Contenders, name: string, request: Request): Promise<unknown> {
  const child = contenders[name]!;
  const answer = answerOf(child, name);
  child.send(request);
  return await answer;
}

async function answerOf(child: ChildProcess, name: string): Promise<unknown> {
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, AbortSignal.timeout(roundMs + ANSWER_MS)]);
  try {
    const ended = once(child, 'exit', { signal }).then(([code]) => {
      throw new Error(`${name} has ended with ${code}`);
    });
    const [answer] = await Promise.race([once(child, 'message', { signal }), ended]);
    return answer;
  } finally {
    over.abort();
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

/** After a crash of PostgreSQL and the loss of Redis: is each session what was last acknowledged? */
async function proveDurable(): Promise<string> {
  await redis.kill();
  await postgres.stop();
  await postgres.start();
  await using again = await openRedoubt(redis.url, databaseUrl, ['postgres']);
  let missing = 0;
  for (const [sid, n] of written) {
    const found = await new Promise<{ n?: number } | null | undefined>((resolve, reject) => {
      again.store.get(sid, (error, session) => (error ? reject(error as Error) : resolve(session as { n?: number })));
    });
    if (found?.n !== n) missing += 1;
  }
  return `acknowledged writes missing after Redis was lost and PostgreSQL crashed: ${missing} of ${written.length}`;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

function hundredth(value: number): number {
  return Math.round(value * 100) / 100;
}
