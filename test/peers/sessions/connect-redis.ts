/** A store in the shape of connect-redis': its methods answer with promises. */
import type { SessionData, Store } from 'express-session';

import { newStore } from './redoubt.ts';

type Callback = (error?: unknown, value?: unknown) => void;

export class RedisStore {
  readonly client: unknown;
  readonly #store: Store = newStore();

  constructor({ client }: { readonly client: unknown }) {
    this.client = client;
  }

  get(sid: string): Promise<unknown> {
    return call((done) => this.#store.get(sid, done));
  }

  set(sid: string, data: SessionData): Promise<unknown> {
    return call((done) => this.#store.set(sid, data, done));
  }

  touch(sid: string, data: SessionData): Promise<unknown> {
    return call((done) => this.#store.touch?.(sid, data, done));
  }

  destroy(sid: string): Promise<unknown> {
    return call((done) => this.#store.destroy(sid, done));
  }

  length(): Promise<unknown> {
    return call((done) => this.#store.length?.(done));
  }

  clear(): Promise<unknown> {
    return call((done) => this.#store.clear?.(done));
  }

  async all(): Promise<unknown> {
    const found = await call((done) => this.#store.all?.(done));
    return Object.entries(found as Record<string, SessionData>).map(([id, data]) => ({ ...data, id }));
  }

  async ids(): Promise<unknown> {
    return ((await this.all()) as { id: string }[]).map(({ id }) => id);
  }
}

function call(work: (done: Callback) => unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    work((error, value) => (error ? reject(error as Error) : resolve(value)));
  });
}
