import type { Express, Request, RequestHandler } from 'express';
import type { SessionOptions, Store } from 'express-session';

import type { Browser, Labels } from './browser.ts';

/** Plain data: what users and applications see of a behaviour. */
export type Observation = unknown;

/** A server of one behaviour, gone at its end. */
export interface Site {
  readonly url: string;
  /** A new visitor. */
  browser(): Browser;
}

/** What a behaviour is given: one contender's sessions, and servers to use them in. */
export interface Bench {
  /** The contender's middleware, with `BASE` under the options. */
  session(options?: Partial<SessionOptions>): RequestHandler;
  /** The same with exactly these options. */
  bare(options?: Partial<SessionOptions>): RequestHandler;
  /** The contender's store, as an application holds it. */
  readonly store: Store;
  /** What the store holds under an id, `null` for nothing. */
  stored(sid: string): Promise<Observation>;
  serve(build: (app: Express) => void): Promise<Site>;
  /** The same without Express. */
  serveRaw(handle: (req: Request, res: Parameters<RequestHandler>[1]) => void): Promise<Site>;
  readonly labels: Labels;
  /** Waits where an answer may be complete before its session is saved, which Redoubt's never is. */
  settled(): Promise<unknown>;
  /** The same on a store of its own: two middlewares on one store share the cookie options of the later one. */
  apart(): Bench;
}

/** One promise of express-session, in a sentence, and how to see whether it is kept. */
export interface Behaviour {
  readonly name: string;
  readonly run: (bench: Bench) => Promise<Observation>;
}

export const SECRET = 'a secret of the matrix, long enough to be one';

/** Given to every middleware unless a behaviour says otherwise. */
export const BASE = { secret: SECRET, resave: false, saveUninitialized: false } as const;

export const behaviour = (name: string, run: Behaviour['run']): Behaviour => ({ name, run });

/** The session as what an application makes of it. */
export function dataOf(req: { readonly session: unknown }): Record<string, unknown> {
  return req.session as Record<string, unknown>;
}

/** The application's own keys. */
export function contentOf(data: object | null | undefined): Record<string, unknown> {
  return Object.fromEntries(Object.entries(data ?? {}).filter(([key]) => key !== 'cookie'));
}

/** A call with a callback: `done`, or the error's name and message. */
export function outcome(work: (done: (error?: unknown, value?: unknown) => void) => void): Promise<unknown> {
  return new Promise((resolve) => {
    const done = (error?: unknown, value?: unknown): void => resolve(error ? failure(error) : { done: value ?? null });
    try {
      work(done);
    } catch (error) {
      resolve({ threw: failure(error) });
    }
  });
}

/** An error as far as it must be the same for every store. */
export function failure(error: unknown): { readonly failed: string } {
  const { name, code, message } = error as Error & { code?: string };
  return { failed: code ?? `${name}: ${message}` };
}

/** What building a middleware comes to: an application that starts, or one that is told. */
export function attempt(work: () => unknown): 'starts' | { readonly failed: string } {
  try {
    work();
    return 'starts';
  } catch (error) {
    return failure(error);
  }
}

/** Lets go of all who wait once `count` of them do. */
export class Gate {
  readonly #count: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#count = count;
  }

  pass(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length >= this.#count) for (const go of this.#waiting.splice(0)) go();
    });
  }
}
