import { EventEmitter } from 'node:events';

type Command = 'subscribe' | 'psubscribe' | 'unsubscribe' | 'punsubscribe';

export interface SubscriberOptions {
  /** Told after the record has changed. */
  readonly changed: (command: Command, names: readonly string[]) => void;
  /** Told when a listener throws or rejects. */
  readonly failed: (error: unknown) => void;
}

/**
 * The stock adapter's `subClient`: records what is subscribed to and hands on what arrives. It lives
 * as long as its adapter, whatever becomes of the Redis client behind it.
 */
export class Subscriber extends EventEmitter {
  readonly channels = new Set<string>();
  readonly patterns = new Set<string>();
  /** Messages for which this answers true are dropped. */
  ignore: (channel: Buffer, message: Buffer) => boolean = () => false;
  readonly #options: SubscriberOptions;

  constructor(options: SubscriberOptions) {
    super();
    this.#options = options;
  }

  subscribe(names: string | readonly string[]): void {
    this.#record('subscribe', names, (name) => this.channels.add(name));
  }

  psubscribe(names: string | readonly string[]): void {
    this.#record('psubscribe', names, (name) => this.patterns.add(name));
  }

  unsubscribe(names: string | readonly string[]): void {
    this.#record('unsubscribe', names, (name) => this.channels.delete(name));
  }

  punsubscribe(names: string | readonly string[]): void {
    this.#record('punsubscribe', names, (name) => this.patterns.delete(name));
  }

  /**
   * Hands a message to the adapter. What goes wrong there ends here: the adapter's listeners are
   * called from within the Redis client, where a throw would break the connection for all.
   */
  deliver(event: 'messageBuffer', channel: Buffer, message: Buffer): void;
  deliver(event: 'pmessageBuffer', pattern: string, channel: Buffer, message: Buffer): void;
  deliver(event: string, ...args: unknown[]): void {
    const { failed } = this.#options;
    if (event === 'messageBuffer' && this.ignore(args[0] as Buffer, args[1] as Buffer)) return;
    for (const listener of this.listeners(event)) {
      try {
        const handled: unknown = listener(...args);
        if (handled instanceof Promise) handled.catch(failed);
      } catch (error) {
        failed(error);
      }
    }
  }

  #record(command: Command, names: string | readonly string[], change: (name: string) => void): void {
    const list = typeof names === 'string' ? [names] : names;
    list.forEach(change);
    this.#options.changed(command, list);
  }
}
