import { seededRandom } from '../src/core/random.ts';
import { type Load, startLoad } from '../test/support/load.ts';
import { type Seen, type Tally, Visitor, emptyTally } from './session-visitor.ts';

const USERS = 200;
/** They log in, visit and log out, over and over. */
const CHURNERS = 10;
const RATE = 300;
const CHURN_SHARE = 0.05;
const VISIT_SHARE = 0.4;
/** Visitors at work at once, before and after the load. */
const ABREAST = 20;

/** One request; times on `performance.now()`'s scale. */
export interface SessionSample extends Seen {
  readonly startedMs: number;
  readonly latencyMs: number;
}

/**
 * 200 users who are logged in, a few who come and go, and those who leave on {@link leave}: 300 requests/s, each to
 * one of `urls` at random. Right after each logout another instance is asked whether it knows; alone, the same one.
 */
export class SessionTraffic implements AsyncDisposable {
  readonly samples: SessionSample[] = [];
  /** Requests that were due while every user was still waiting for an answer. */
  shed = 0;
  readonly #urls: readonly string[];
  readonly #random: () => number;
  readonly #users: Visitor[];
  readonly #churners: Visitor[];
  readonly #leavers: Visitor[];
  readonly #ghost: Visitor;
  readonly #idle: Visitor[] = [];
  readonly #ended: string[] = [];
  readonly #tally = emptyTally();
  readonly #asides = new Set<Promise<unknown>>();
  #load: Load<void> | undefined;

  constructor(urls: readonly string[], leavers: number, seed: number) {
    this.#urls = urls;
    this.#random = seededRandom(seed);
    const create = (name: string, count: number): Visitor[] =>
      Array.from({ length: count }, (_, i) => new Visitor(`${name}${i}`, () => this.#tally));
    this.#users = create('user', USERS);
    this.#churners = create('churner', CHURNERS);
    this.#leavers = create('leaver', leavers);
    [this.#ghost] = create('ghost', 1) as [Visitor];
  }

  /** What was wrong so far. */
  get tally(): Tally {
    return { ...this.#tally };
  }

  /** Logs everybody in, so that each session is in use before anything breaks, and begins to send. */
  async start(): Promise<void> {
    await abreast([...this.#users, ...this.#leavers], async (visitor) => {
      for (const act of ['login', 'visit', 'read'] as const) await this.#ask(visitor, act);
    });
    this.#idle.push(...this.#users);
    this.#load = startLoad({ ratePerSecond: RATE, maxRequests: 60_000, request: () => this.#send() });
  }

  /** The next of those who leave logs out; resolves when it and the question after it are answered. */
  leave(): Promise<void> {
    const leaver = this.#leavers.pop();
    return leaver ? this.#track(this.#logOut(leaver)) : Promise.resolve();
  }

  /** Asks every instance for every session that was ended so far. */
  async lookBack(): Promise<void> {
    await Promise.all(this.#asides);
    await abreast(this.#ended.slice(), async (cookie) => {
      for (const url of this.#urls) await this.#record(() => this.#ghost.haunt(url, cookie));
    });
  }

  /** Sends no more, waits for what is under way, then reads every session once more at every instance. */
  async stop(): Promise<void> {
    await this.#load?.stop(12_000);
    await abreast(this.#users, async (user) => {
      for (const url of this.#urls) if (user.isIn) await this.#record(() => user.act('read', url));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#load?.stop(0);
    for (const visitor of [...this.#users, ...this.#churners, ...this.#leavers, this.#ghost]) visitor.close();
  }

  async #send(): Promise<void> {
    const draw = this.#random();
    const pool = draw < CHURN_SHARE && this.#churners.length > 0 ? this.#churners : this.#idle;
    const visitor = pool.shift();
    if (!visitor) {
      this.shed += 1;
      return;
    }
    try {
      if (!visitor.isIn) await this.#ask(visitor, 'login');
      else if (pool === this.#idle) await this.#ask(visitor, draw < CHURN_SHARE + VISIT_SHARE ? 'visit' : 'read');
      else if (draw < CHURN_SHARE / 2) await this.#ask(visitor, 'visit');
      else await this.#logOut(visitor);
    } finally {
      pool.push(visitor);
    }
  }

  async #logOut(visitor: Visitor): Promise<void> {
    const url = this.#draw(this.#urls);
    const { cookie } = visitor;
    const { status } = await this.#record(() => visitor.act('logout', url));
    if (status !== 204) return;
    this.#ended.push(cookie);
    const others = this.#urls.filter((other) => other !== url);
    await this.#record(() => visitor.haunt(others.length > 0 ? this.#draw(others) : url, cookie));
  }

  #ask(visitor: Visitor, act: 'login' | 'read' | 'visit'): Promise<Seen> {
    return this.#record(() => visitor.act(act, this.#draw(this.#urls)));
  }

  async #record(work: () => Promise<Seen>): Promise<Seen> {
    const startedMs = performance.now();
    const seen = await work();
    this.samples.push({ ...seen, startedMs, latencyMs: performance.now() - startedMs });
    return seen;
  }

  async #track(work: Promise<void>): Promise<void> {
    this.#asides.add(work);
    await work.finally(() => this.#asides.delete(work));
  }

  #draw<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)]!;
  }
}

async function abreast<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: ABREAST }, async () => {
      for (const item of rest) await work(item);
    }),
  );
}
