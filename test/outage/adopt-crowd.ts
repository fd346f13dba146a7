import { setTimeout as delay } from 'node:timers/promises';

import { eventually } from '../support/eventually.ts';
import type { Board } from './adopt-rig.ts';
import { type Answer, type Listener, Visitor, stateOf } from './adopt-visitor.ts';

/** The board shows twenty notices; this many of a crowd's own are looked for. */
const NEWEST = 10;
const LEAVING = 12;

interface Member {
  readonly visitor: Visitor;
  readonly listener: Listener;
  /** How many notices of this crowd there were before the socket. */
  readonly since: number;
}

/** What is wrong with a page, told by whoever got it. */
class Complaint extends Error {}
/** No answer in time: what comes after it would be as late. */
class DeadPage extends Complaint {}

/**
 * The visitors of one board. What they do in a round is the same on every board and in every weather, and so is what
 * they complain of: dead pages, errors, being signed out, messages lost or shown twice, old lists, broken sockets.
 */
export class Crowd implements Disposable {
  readonly #board: Board;
  readonly #name: string;
  readonly #members: Member[] = [];
  /** Who will sign out, one in each round. */
  readonly #leaving: Member[] = [];
  /** Cookies of those who have signed out, as somebody else kept them. */
  readonly #ended: Visitor[] = [];
  readonly #posted: string[] = [];
  readonly #stranger: Visitor;
  #arrivals = 0;

  private constructor(board: Board, name: string) {
    this.#board = board;
    this.#name = name;
    this.#stranger = new Visitor(board, `${name}-stranger`);
  }

  /** @param name - the beginning of everybody's name: one board may have several crowds */
  static async gather(board: Board, name: string): Promise<Crowd> {
    const crowd = new Crowd(board, name);
    for (const member of ['ann', 'bob']) crowd.#members.push(await join(board, `${name}-${member}`));
    for (let n = 0; n < LEAVING; n++) crowd.#leaving.push(await join(board, `${name}-leaving-${n}`));
    return crowd;
  }

  /** One round, and more until `forMs` are over; all complaints. */
  async rounds(forMs = 0): Promise<readonly string[]> {
    const end = performance.now() + forMs;
    const complaints: string[] = [];
    do {
      complaints.push(...(await this.#round()));
    } while (performance.now() < end);
    if (!this.#board.running) complaints.push(`The board has ended: ${this.#board.log.slice(-500)}`);
    return complaints;
  }

  [Symbol.dispose](): void {
    for (const { listener } of [...this.#members, ...this.#leaving]) listener[Symbol.dispose]();
  }

  async #round(): Promise<readonly string[]> {
    const steps = [
      ...this.#members.map(
        ({ visitor }) =>
          () =>
            this.#use(visitor),
      ),
      () => this.#passBy(),
      () => this.#leave(),
      ...this.#ended.map((visitor) => () => this.#staysOut(visitor)),
      () => this.#arrive(),
      ...this.#members.map((member) => () => this.#hears(member)),
    ];
    const complaints: string[] = [];
    for (const step of steps) {
      try {
        await step();
      } catch (error) {
        if (!(error instanceof Complaint)) throw error;
        complaints.push(error.message);
        if (error instanceof DeadPage) break;
      }
    }
    return complaints;
  }

  async #use(visitor: Visitor): Promise<void> {
    const list = page(visitor, '/', await visitor.get('/'));
    for (const text of this.#posted.slice(-NEWEST)) {
      if (!list.includes(text)) complain(visitor, `does not find ${text} in the list`);
    }
    const text = `Notice ${this.#posted.length + 1} by ${visitor.name}.`;
    page(visitor, '/post', await visitor.get('/post'));
    redirect(visitor, '/', 'POST /post', await visitor.post('/post', { text }));
    this.#posted.push(text);
    const after = page(visitor, '/', await visitor.get('/'));
    if (after.split('Posted').length !== 2) complain(visitor, 'is not told once that the notice is posted');
    if (!after.includes(text)) complain(visitor, 'does not find the own notice in the list');
    if (page(visitor, '/', await visitor.get('/')).includes('Posted')) complain(visitor, 'is told twice of the notice');

    // Eight tabs at once, each of which takes the message that waits.
    redirect(visitor, '/post', 'POST /post', await visitor.post('/post', { text: '' }));
    const tabs = await Promise.all(
      ['/', '/post', '/', '/post', '/', '/post', '/', '/post'].map((to) => visitor.get(to)),
    );
    const pages = tabs.map((answer, index) => page(visitor, `tab ${index + 1}`, answer));
    if (!pages.some((body) => body.includes('needs a text'))) complain(visitor, 'is not told what was wrong');
    if (page(visitor, '/', await visitor.get('/')).includes('needs a text')) complain(visitor, 'is told for ever');
  }

  /** Somebody without an account opens eight tabs, each of which leaves a message and the address to return to. */
  async #passBy(): Promise<void> {
    const stranger = this.#stranger;
    answered(stranger, '/', 200, await stranger.get('/'));
    const tabs = await Promise.all(Array.from({ length: 8 }, () => stranger.get('/post')));
    for (const [index, answer] of tabs.entries()) redirect(stranger, '/sign-in', `tab ${index + 1}`, answer);
    const { body } = answered(stranger, '/sign-in', 200, await stranger.get('/sign-in'));
    if (!body.includes('Please sign in first')) complain(stranger, 'is not told to sign in');
  }

  async #leave(): Promise<void> {
    const leaving = this.#leaving.shift();
    if (!leaving) return;
    const { visitor, listener } = leaving;
    page(visitor, '/post', await visitor.get('/post'));
    const copy = visitor.copy();
    redirect(visitor, '/', 'POST /sign-out', await visitor.post('/sign-out'));
    this.#ended.push(copy);
    for (let waited = 0; listener.disconnects.length === 0 && waited < 2_000; waited += 20) await delay(20);
    if (listener.disconnects.join() !== 'io server disconnect') complain(visitor, 'is out, but the socket is not');
  }

  async #staysOut(visitor: Visitor): Promise<void> {
    const answer = answered(visitor, '/', 200, await visitor.copy().get('/'));
    if (stateOf(visitor, answer) === 'signed in') complain(visitor, 'has signed out and is in again');
  }

  async #arrive(): Promise<void> {
    this.#arrivals += 1;
    const name = `${this.#name}-new-${this.#arrivals}`;
    const member = await join(this.#board, name, this.#posted.length).catch((error: Error) => {
      throw new DeadPage(error.message);
    });
    this.#members.push(member);
    await this.#use(member.visitor);
  }

  async #hears({ visitor, listener, since }: Member): Promise<void> {
    if (listener.disconnects.length > 0) complain(visitor, `lost the socket: ${listener.disconnects.join()}`);
    const due = this.#posted.slice(since);
    const all = (): boolean => due.every((text) => listener.heard.includes(text));
    await eventually(all, { withinMs: 2_000 }).catch(() => complain(visitor, 'did not hear of every notice'));
    if (new Set(listener.heard).size < listener.heard.length) complain(visitor, 'heard of a notice twice');
  }
}

async function join(board: Board, name: string, since = 0): Promise<Member> {
  const visitor = new Visitor(board, name);
  await visitor.signUp();
  return { visitor, listener: await visitor.listen(), since };
}

/** A page of somebody who is signed in; its text. */
function page(visitor: Visitor, what: string, answer: Answer): string {
  if (answer.headers['location'] === '/sign-in') complain(visitor, `is asked to sign in at ${what}`);
  answered(visitor, what, 200, answer);
  if (stateOf(visitor, answer) !== 'signed in') complain(visitor, `is signed out at ${what}`);
  return answer.body;
}

function redirect(visitor: Visitor, to: string, what: string, answer: Answer): void {
  const { location = '' } = answered(visitor, what, 302, answer).headers;
  if (location !== to) complain(visitor, `is sent to ${location} by ${what}`);
}

function answered(visitor: Visitor, what: string, status: number, answer: Answer): Answer {
  if (answer.status === 0) throw new DeadPage(`${visitor.name} waits in vain for ${what}: ${answer.body}`);
  if (answer.status !== status) complain(visitor, `gets ${answer.status} for ${what}`);
  return answer;
}

function complain(visitor: Visitor, what: string): never {
  throw new Complaint(`${visitor.name} ${what}`);
}
