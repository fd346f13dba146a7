import { RedoubtError } from '../core/errors.ts';
import { type Classified, classifyRedisError } from './redis-errors.ts';
import type { RedisControl } from './redis.ts';
import type { RedisLink } from './types.ts';

/** No Redis is configured: everything says so at once, and nothing is ever connected. */
export class NoRedis implements RedisControl {
  readonly engaged = false;
  readonly identity = undefined;
  #closed = false;

  tryGetClient(): undefined {
    return undefined;
  }

  call(): Promise<never> {
    const code = this.#closed ? 'ERR_CLOSED' : 'ERR_REDIS_UNAVAILABLE';
    return Promise.reject(new RedoubtError(code, { reason: 'NOT_CONFIGURED', executed: 'no' }));
  }

  link(): RedisLink {
    return { client: undefined, close: () => undefined, [Symbol.asyncDispose]: () => Promise.resolve() };
  }

  engage(): Promise<never> {
    return this.call();
  }

  disengage(): void {
    // Nothing is ever in use.
  }

  probe(): Promise<never> {
    return this.call();
  }

  classify(error: unknown): Classified {
    return classifyRedisError(error);
  }

  onBroken(): void {
    // Nothing can be lost.
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
