import { Agent, request } from 'node:http';

/** Longest wait for an answer; past it there was none. */
const DEADLINE_MS = 10_000;

/** What a visitor does. */
export type Act = 'login' | 'read' | 'visit' | 'logout' | 'ghost';

/** One request as it was seen; status 0 is no answer at all. */
export interface Seen {
  readonly act: Act;
  readonly status: number;
  /** The problem's code, or the socket's. */
  readonly code: string;
}

/** What is counted while visitors are at work; a plain object, so that a phase is the difference of two copies. */
export interface Tally {
  /** Answers ≥ 500. */
  failed: number;
  /** Neither an answer nor an end within ten seconds. */
  unanswered: number;
  /** 409: a visitor has one request at a time, so there is nobody to be in conflict with. */
  conflicts: number;
  /** 401 for somebody who has not logged out. */
  loggedOut: number;
  /** Visits that were acknowledged and that a later answer no longer counted. */
  lost: number;
  /** Visits that nobody made, or that were refused with 409 and counted all the same. */
  invented: number;
  /** Acknowledged logouts. */
  logouts: number;
  /** Logouts after which the cookie was still good, at whichever instance was asked. */
  undone: number;
}

export const emptyTally = (): Tally => ({
  failed: 0,
  unanswered: 0,
  conflicts: 0,
  loggedOut: 0,
  lost: 0,
  invented: 0,
  logouts: 0,
  undone: 0,
});

const ROUTES = {
  login: ['POST', '/demo/session/login'],
  visit: ['POST', '/demo/session/visit'],
  logout: ['POST', '/demo/session/logout'],
  read: ['GET', '/demo/session'],
  ghost: ['GET', '/demo/session'],
} as const satisfies Record<Act, readonly [string, string]>;

interface Answer {
  readonly status: number;
  readonly cookie: string | undefined;
  readonly body: string;
}

/**
 * Somebody with a browser of their own, who asks one thing at a time and knows what the answer must be. A visit
 * that was not acknowledged may be counted by the next answer or not; both are right.
 */
export class Visitor {
  readonly #name: string;
  readonly #tally: () => Tally;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #cookie = '';
  #isIn = false;
  #least = 0;
  #most = 0;

  /** @param tally - asked at each answer, so that the phase that is on when it arrives is charged */
  constructor(name: string, tally: () => Tally) {
    this.#name = name;
    this.#tally = tally;
  }

  /** The cookie of the session, for asking again after its end. */
  get cookie(): string {
    return this.#cookie;
  }

  /** Whether it is logged in, as far as it was told. */
  get isIn(): boolean {
    return this.#isIn;
  }

  /** Does it at the server of `url` and charges what is wrong with the answer. */
  async act(act: Exclude<Act, 'ghost'>, url: string): Promise<Seen> {
    const body = act === 'login' ? JSON.stringify({ user: this.#name }) : undefined;
    const answer = await this.#send(act, url, this.#cookie, body);
    const tally = this.#tally();
    if (act === 'login' && answer.status === 200) {
      this.#cookie = answer.cookie ?? '';
      this.#isIn = true;
      this.#least = this.#most = 0;
    } else if (act === 'logout' && answer.status === 204) {
      this.#isIn = false;
      tally.logouts += 1;
    } else if (answer.status === 200) {
      this.#count(act, (JSON.parse(answer.body) as { visits: number }).visits);
    } else {
      if (answer.status === 401) {
        this.#isIn = false;
        tally.loggedOut += 1;
      }
      if (answer.status === 409) tally.conflicts += 1;
      // A refusal for a conflict was decided before anything was written; behind any other the write may be done.
      if (act === 'visit' && answer.status !== 409) this.#most += 1;
    }
    return this.#charge(act, answer);
  }

  /** After a logout: is its cookie still good there? */
  async haunt(url: string, cookie: string): Promise<Seen> {
    const answer = await this.#send('ghost', url, cookie);
    if (answer.status === 200) this.#tally().undone += 1;
    return this.#charge('ghost', answer);
  }

  close(): void {
    this.#agent.destroy();
  }

  #count(act: Act, shown: number): void {
    const made = act === 'visit' ? 1 : 0;
    const tally = this.#tally();
    tally.lost += Math.max(0, this.#least + made - shown);
    tally.invented += Math.max(0, shown - this.#most - made);
    this.#least = this.#most = shown;
  }

  #charge(act: Act, { status, body }: Answer): Seen {
    const tally = this.#tally();
    if (status === 0) tally.unanswered += 1;
    if (status >= 500) tally.failed += 1;
    return { act, status, code: status === 0 ? body : status >= 400 ? codeOf(body) : '' };
  }

  #send(act: Act, url: string, cookie: string, body?: string): Promise<Answer> {
    const [method, path] = ROUTES[act];
    return new Promise((resolve) => {
      const headers = { cookie, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
      const gone = (error: NodeJS.ErrnoException): void =>
        resolve({ status: 0, cookie: undefined, body: error.code ?? error.message });
      const sent = request(`${url}${path}`, { method, headers, agent: this.#agent }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        answer.once('error', gone);
        answer.once('end', () => {
          clearTimeout(timer);
          const set = answer.headers['set-cookie']?.[0]?.split(';')[0];
          resolve({ status: answer.statusCode ?? 0, cookie: set, body: text });
        });
      });
      const timer = setTimeout(() => sent.destroy(new Error('no answer in time')), DEADLINE_MS);
      sent.once('error', gone);
      sent.once('close', () => clearTimeout(timer));
      sent.end(body);
    });
  }
}

function codeOf(body: string): string {
  try {
    return String((JSON.parse(body) as { code?: unknown }).code ?? '');
  } catch {
    return 'no JSON';
  }
}
