import type { Logger } from '../observe/log.ts';
import { traceOf } from './trace.ts';

/** Why the process should stop. */
export type StopCause = 'SIGINT' | 'SIGTERM' | 'error';

/** What is used of `process`. */
interface StoppableProcess {
  on(event: string, listener: (argument: unknown) => void): unknown;
  off(event: string, listener: (argument: unknown) => void): unknown;
  exit(code: number): void;
}

const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;

export interface StopRequest extends Disposable {
  /** Resolves at the first signal or at an error that nobody caught. */
  readonly requested: Promise<StopCause>;
}

/**
 * Waits for the reason to stop. A second signal ends the process at once, with 128 and its number,
 * as a shell would report it.
 */
export function waitForStop(target: StoppableProcess, log: Logger): StopRequest {
  const { promise, resolve } = Promise.withResolvers<StopCause>();
  let stopping = false;
  const listeners: [string, (argument: unknown) => void][] = [];
  const listen = (event: string, listener: (argument: unknown) => void): void => {
    target.on(event, listener);
    listeners.push([event, listener]);
  };
  for (const [signal, number] of Object.entries(SIGNALS)) {
    listen(signal, () => {
      if (stopping) return target.exit(128 + number);
      stopping = true;
      log.info({ signal }, 'stopping; a second signal stops at once');
      resolve(signal as StopCause);
    });
  }
  // After this nothing is known about the process' state: it stops in order, but it stops.
  listen('uncaughtException', (error) => {
    log.error({ err: error, trace: traceOf(error) }, 'an error that nobody caught; stopping');
    stopping = true;
    resolve('error');
  });
  return {
    requested: promise,
    [Symbol.dispose]: () => {
      for (const [event, listener] of listeners) target.off(event, listener);
    },
  };
}
