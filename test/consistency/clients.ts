import { setTimeout as delay } from 'node:timers/promises';

import { seededRandom, seedFor } from '../../src/core/random.ts';
import type { Completion, OpKind, Recorder, Seen } from './history.ts';
import type { Instances } from './instances.ts';

/** How the clients behave. */
export interface Workload {
  readonly seed: number;
  readonly clients: number;
  /** Requests that one session may have under way at once: 1 leaves only faults to cause trouble, 2 adds races. */
  readonly tabs: number;
}

/** Longest wait for an answer; past it the outcome is unknown. */
const REQUEST_DEADLINE_MS = 3_000;
/** Finished sessions that are looked at again now and then; of more, the oldest are left alone. */
const PAST_MAX = 400;
const PATHS = {
  login: ['POST', '/demo/session/login'],
  visit: ['POST', '/demo/session/visit'],
  logout: ['POST', '/demo/session/logout'],
  read: ['GET', '/demo/session'],
} as const satisfies Record<OpKind, readonly [string, string]>;

interface ClientSession {
  readonly session: number;
  readonly cookie: string;
}

/**
 * Clients without stickiness: each logs in, visits and reads in one or more tabs, mostly logs out, asks again
 * afterwards, and now and then comes back to a session of long ago. Each request goes to any instance.
 *
 * @param signal - no operation begins after it is aborted
 * @returns when the operations under way have ended; the function reads the latest 400 sessions once more
 */
export async function runClients(
  target: Instances,
  recorder: Recorder,
  workload: Workload,
  signal: AbortSignal,
): Promise<() => Promise<void>> {
  const past: ClientSession[] = [];
  const create = (name: string): Client =>
    new Client(target, recorder, { ...workload, seed: seedFor(workload.seed, name) }, past, signal);
  await Promise.all(Array.from({ length: workload.clients }, (_, i) => create(`client ${i}`).live()));
  return async () => {
    const last = create('last');
    for (const session of past) await last.ask('read', session);
  };
}

class Client {
  readonly #target: Instances;
  readonly #recorder: Recorder;
  readonly #random: () => number;
  readonly #tabs: number;
  readonly #past: ClientSession[];
  readonly #signal: AbortSignal;

  constructor(target: Instances, recorder: Recorder, workload: Workload, past: ClientSession[], signal: AbortSignal) {
    this.#target = target;
    this.#recorder = recorder;
    this.#random = seededRandom(workload.seed);
    this.#tabs = workload.tabs;
    this.#past = past;
    this.#signal = signal;
  }

  async live(): Promise<void> {
    while (!this.#stopped) {
      const session = await this.#login();
      await this.#think();
      if (!session) continue;
      await Promise.all(Array.from({ length: this.#tabs }, (_, tab) => this.#browse(session, tab === 0)));
      for (let i = this.#draw(1, 3); i > 0 && !this.#stopped; i -= 1) {
        await this.ask('read', session);
        await this.#think();
      }
      this.#past.push(session);
      if (this.#past.length > PAST_MAX) this.#past.shift();
      for (let i = this.#draw(0, 3); i > 0 && !this.#stopped; i -= 1) await this.#comeBack();
    }
  }

  ask(kind: Exclude<OpKind, 'login'>, { session, cookie }: ClientSession): Promise<Completion> {
    return this.#operate(kind, session, { headers: { cookie } });
  }

  get #stopped(): boolean {
    return this.#signal.aborted || this.#recorder.full;
  }

  async #login(): Promise<ClientSession | undefined> {
    const session = this.#recorder.newSession();
    let cookie = '';
    const { outcome } = await this.#operate(
      'login',
      session,
      { body: JSON.stringify({ user: `user ${session}` }), headers: { 'content-type': 'application/json' } },
      (answer) => (cookie = (answer.headers.getSetCookie()[0] ?? '').split(';')[0] ?? ''),
    );
    return outcome === 'ok' && cookie !== '' ? { session, cookie } : undefined;
  }

  /** One tab's use of a session; the first tab may end it under the others' feet. */
  async #browse(session: ClientSession, mayLogOut: boolean): Promise<void> {
    for (let i = this.#draw(2, 8); i > 0 && !this.#stopped; i -= 1) {
      await this.ask(this.#random() < 0.65 ? 'visit' : 'read', session);
      await this.#think();
    }
    if (mayLogOut && !this.#stopped && this.#random() < 0.7) await this.ask('logout', session);
  }

  async #comeBack(): Promise<void> {
    const session = this.#past[this.#draw(0, this.#past.length - 1)];
    if (session) await this.ask(this.#random() < 0.3 ? 'visit' : 'read', session);
    await this.#think();
  }

  #operate(kind: OpKind, session: number, init: RequestInit, look?: (answer: Response) => void): Promise<Completion> {
    const instance = this.#draw(0, this.#target.all.length - 1);
    const { server } = this.#target.all[instance]!;
    const [method, path] = PATHS[kind];
    return this.#recorder.run({ session, kind, instance }, async () => {
      try {
        const signal = AbortSignal.timeout(REQUEST_DEADLINE_MS);
        const answer = await server.fetch(path, { method, ...init, signal });
        const body = await answer.text();
        look?.(answer);
        return completionOf(kind, answer.status, body);
      } catch {
        // Reset, refused, cut off in the middle or too late: what became of it is unknown, and that is the record.
        return { outcome: 'unknown', mayHaveHappened: true, status: 0 };
      }
    });
  }

  #draw(from: number, to: number): number {
    return from + Math.floor(this.#random() * (to - from + 1));
  }

  async #think(): Promise<void> {
    await delay(20 + this.#random() * 100, undefined, { signal: this.#signal }).catch(() => undefined);
  }
}

/** What an answer of the demo application says. */
function completionOf(kind: OpKind, status: number, body: string): Completion {
  if (status === 401 && kind !== 'login') return { outcome: 'ok', mayHaveHappened: false, seen: 'gone', status };
  if (status === 204 && kind === 'logout') return { outcome: 'ok', mayHaveHappened: false, status };
  if (status === 200 && kind !== 'logout') {
    return { outcome: 'ok', mayHaveHappened: false, seen: visitsOf(body), status };
  }
  // A conflict was decided before anything was written. Behind a 503 a write may have met its deadline only.
  if (status === 409) return { outcome: 'refused', mayHaveHappened: false, status };
  return { outcome: status === 503 ? 'refused' : 'unknown', mayHaveHappened: true, status };
}

function visitsOf(body: string): Seen {
  return (JSON.parse(body) as { visits: number }).visits;
}
