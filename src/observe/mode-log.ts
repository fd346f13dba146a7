import type { Mode, ServiceName } from '../core/mode.ts';
import type { Logger } from './log.ts';

/**
 * Logs where each service works: one line for each change of backend, with the reason and what it
 * means for users; the first line of a service that starts where it should says nothing new and is left out.
 */
export class ModeLog {
  readonly #log: Logger;
  readonly #told = new Map<ServiceName, Mode['backend']>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @param notice - the service's own sentence on what is less than it should be */
  tell(mode: Mode, notice: string | undefined): void {
    const { service, backend, preferred, reason } = mode;
    const from = this.#told.get(service);
    if (from === backend) return;
    this.#told.set(service, backend);
    const facts = { service, ...(from === undefined ? {} : { from }), to: backend, reason: reason.code };
    if (backend === preferred) {
      if (from !== undefined) this.#log.info(facts, `${service}: back on ${backend}`);
      return;
    }
    const meaning = notice === undefined ? '' : ` ${notice}`;
    this.#log.warn(facts, `${service}: on ${backend} instead of ${preferred}. ${reason.message}.${meaning}`);
  }
}
