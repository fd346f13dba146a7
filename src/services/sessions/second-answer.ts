// An answer whose session could not be saved is taken back, and the application's error handler gives another one on the
// same object. Whoever was at work on the first one goes on, though: a timer, a loop, a stream, a compressor. So the
// answer listens only to those who were called for the second one, in whatever turn of the loop they act.

import { AsyncLocalStorage } from 'node:async_hooks';
import type { ServerResponse } from 'node:http';

import type { RedoubtError } from '../../core/errors.ts';
import { PROBLEM_TYPE, problemOf } from '../../core/problem.ts';

/** Longest wait for the application's own answer; an error handler that loads a page for it is done long before. */
const OWN_ANSWER_MS = 2000;

const METHODS = [
  'write',
  'end',
  'writeHead',
  'flushHeaders',
  'setHeader',
  'setHeaders',
  'appendHeader',
  'removeHeader',
  'addTrailers',
  'writeContinue',
  'writeProcessing',
  'writeEarlyHints',
  '_send',
] as const;
const SETTABLE = ['statusCode', 'statusMessage'] as const;

type Method = (...args: unknown[]) => unknown;
type Next = (error: unknown) => void;

const callers = new AsyncLocalStorage<SecondAnswer>();
/** Answers of this kind that are not done; without one nobody is asked who calls. */
let open = 0;

/**
 * Lets the application answer once more, by `next(error)`; where nobody does, the answer is the error itself.
 *
 * @param res - an answer of which nothing has been said
 * @param next - a router's; where it is another callback, the error is answered at once
 */
export function giveSecondAnswer(res: ServerResponse, error: RedoubtError, next: Next): void {
  const answer = new SecondAnswer(res, error);
  if (isRouter(next, res)) answer.ask(next);
  else answer.give();
}

/** Tells the application of an error that comes too late for an answer. */
export function tellOfError(res: ServerResponse, error: RedoubtError, next: Next): void {
  if (isRouter(next, res)) next(error);
}

/**
 * Whether it may be called once more. Express' own, which it also puts on the request, so that one wrapped by a tracer is
 * known too, or Connect's; what wraps a middleware into a promise, or Fastify, is made for one call.
 */
function isRouter(next: Next, { req }: ServerResponse): boolean {
  return next.name === 'next' || typeof (req as { next?: unknown }).next === 'function';
}

class SecondAnswer {
  readonly #res: ServerResponse;
  readonly #error: RedoubtError;
  readonly #timer: NodeJS.Timeout;
  #over = false;

  constructor(res: ServerResponse, error: RedoubtError) {
    this.#res = res;
    this.#error = error;
    open += 1;
    this.#timer = setTimeout(() => this.give(), OWN_ANSWER_MS);
    res.once('finish', () => clearTimeout(this.#timer));
    res.once('close', () => {
      clearTimeout(this.#timer);
      open -= 1;
      if (open === 0) callers.disable();
    });
    this.#guard();
  }

  ask(next: Next): void {
    try {
      callers.run(this, next, this.#error);
    } catch {
      // It is told of the error that it was called for; what it threw instead is its own, and nobody waits for it.
      this.give();
    }
  }

  /** Answers with the error, unless an answer has begun. */
  give(): void {
    const res = this.#res;
    if (this.#over || res.destroyed) return;
    callers.run(this, () => {
      if (res.writableEnded) return;
      if (res.headersSent) return void res.destroy();
      res.statusCode = this.#error.status;
      res.setHeader('Content-Type', PROBLEM_TYPE);
      res.end(JSON.stringify(problemOf(this.#error)));
    });
    this.#over = true;
  }

  #guard(): void {
    const res = this.#res;
    for (const name of METHODS) {
      const method = Reflect.get(res, name) as Method;
      Reflect.set(res, name, (...args: unknown[]): unknown => {
        if (this.#isCalled()) return method.apply(res, args);
        const done = args.at(-1);
        if (typeof done === 'function') process.nextTick(done as Method, this.#error);
        return name === 'write' || name === '_send' ? false : res;
      });
    }
    for (const name of SETTABLE) this.#guardProperty(name);
    for (const name of ['headersSent', 'writableEnded'] as const) {
      const real = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(outgoingOf(res)) as object, name)?.get;
      const get = (): unknown => !this.#isCalled() || real?.call(res);
      Object.defineProperty(res, name, { configurable: true, get });
    }
  }

  #guardProperty(name: (typeof SETTABLE)[number]): void {
    const res = this.#res;
    let value: unknown = res[name];
    Object.defineProperty(res, name, {
      configurable: true,
      enumerable: true,
      get: () => value,
      set: (next: unknown) => {
        if (this.#isCalled()) value = next;
      },
    });
  }

  #isCalled(): boolean {
    return !this.#over && callers.getStore() === this;
  }
}

/** The object on whose prototype Node keeps what an answer says of itself. */
function outgoingOf(res: object): object {
  let object = res;
  while (!Object.hasOwn(Object.getPrototypeOf(object) as object, 'headersSent')) {
    object = Object.getPrototypeOf(object) as object;
  }
  return object;
}
