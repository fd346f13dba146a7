import { setTimeout as delay } from 'node:timers/promises';

/** How long `eventually` waits, and how often it looks. */
export interface EventuallyOptions {
  /** Default 5,000 ms. */
  readonly withinMs?: number;
  /** Default 10 ms. */
  readonly everyMs?: number;
  /** Named in the error: what was waited for. */
  readonly what?: string;
}

type Look<T> = { readonly done: true; readonly value: T } | { readonly done: false; readonly cause: unknown };

/**
 * Polls `fn` until it neither throws nor answers `false`, `null`, `0` or `''`; `undefined` is fine, so that a
 * block of `expect`s serves as well as a condition.
 *
 * @returns what `fn` answered
 * @throws {Error} past the deadline, with the last error or answer in it; also when a call of `fn` hangs that long
 */
export async function eventually<T>(fn: () => T | Promise<T>, options: EventuallyOptions = {}): Promise<T> {
  const { withinMs = 5_000, everyMs = 10, what = 'the condition' } = options;
  const endMs = performance.now() + withinMs;
  for (let looks = 1; ; looks++) {
    const seen = await within(look(fn), Math.max(endMs - performance.now(), everyMs));
    if (seen.done) return seen.value;
    if (performance.now() >= endMs) {
      const times = `${looks} look${looks === 1 ? '' : 's'} within ${withinMs} ms`;
      throw new Error(`${what} did not come true in ${times}; last: ${describe(seen.cause)}`, { cause: seen.cause });
    }
    await delay(everyMs);
  }
}

async function look<T>(fn: () => T | Promise<T>): Promise<Look<T>> {
  try {
    const value = await fn();
    return value || value === undefined ? { done: true, value } : { done: false, cause: value };
  } catch (cause) {
    return { done: false, cause };
  }
}

async function within<T>(looking: Promise<Look<T>>, ms: number): Promise<Look<T>> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<Look<T>>((resolve) => {
    timer = setTimeout(() => resolve({ done: false, cause: new Error('a call that did not settle') }), ms);
  });
  try {
    return await Promise.race([looking, expired]);
  } finally {
    clearTimeout(timer);
  }
}

function describe(cause: unknown): string {
  return cause instanceof Error ? cause.message : JSON.stringify(cause);
}
