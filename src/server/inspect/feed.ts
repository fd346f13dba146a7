import type { Clock, Timer } from '../../core/clock.ts';
import { RedoubtError } from '../../core/errors.ts';
import type { Logger } from '../../observe/log.ts';
import type { Machines, Transition } from '../../runtime/types.ts';
import type { HealthReport } from '../../services/health/types.ts';
import {
  type HealthEvent,
  type Numbered,
  type SnapshotEvent,
  type TransitionEvent,
  viewMachine,
  viewServices,
} from './events.ts';

const MAX_STREAMS = 50;
/** A reader that leaves this many bytes unread is dropped; its page connects again by itself. */
const MAX_UNREAD_BYTES = 256 * 1024;
const MAX_REMEMBERED = 200;
const SHOWN_AT_FIRST = 40;
const TICK_MS = 1000;
const TICKS_PER_HEARTBEAT = 15;
const RETRY_MS = 1000;

/** The part of an HTTP response that a stream is written to. */
export interface Sink {
  readonly writableLength: number;
  write(chunk: string): unknown;
  end(): unknown;
  destroy(): unknown;
}

export interface FeedOptions {
  readonly machines: Machines;
  /** Built from memory, without I/O; called once a second while somebody watches. */
  readonly health: () => HealthReport;
  /** What `SnapshotEvent.page` says. */
  readonly page: string;
  readonly log: Logger;
  readonly clock: Clock;
}

/**
 * The event stream of `/inspect` (Server-Sent Events, HTML Living Standard 9.2): a `snapshot`
 * first, a `transition` at each one, `health` once a second, and a comment as heartbeat every 15 s.
 *
 * It keeps the last 200 transitions, so that a stream resumed after an id gets what it missed.
 * Nobody can make it grow: streams, memory and what a slow reader leaves unread are bounded, and
 * its timer runs only while somebody watches.
 */
export class Feed {
  readonly #options: FeedOptions;
  readonly #sinks = new Set<Sink>();
  readonly #remembered: Numbered[] = [];
  readonly #unsubscribe: () => void;
  // Ids of another process mean nothing here.
  readonly #boot: string;
  #sequence = 0;
  #timer: Timer | undefined;
  #ticks = 0;
  #closed = false;

  constructor(options: FeedOptions) {
    const { machines, clock } = options;
    this.#options = options;
    this.#boot = clock.wallNow().toString(36);
    const earlier = machines.all.flatMap((machine) => machine.history).toSorted((a, b) => a.at - b.at);
    for (const transition of earlier) this.#remember(transition);
    this.#unsubscribe = machines.on('transition', (transition) => this.#follow(this.#remember(transition)));
  }

  /** Streams open now. */
  get size(): number {
    return this.#sinks.size;
  }

  /** Throws what `open` would throw, so that it can be answered before the stream's headers are. */
  assertOpen(): void {
    if (this.#closed) throw new RedoubtError('ERR_CLOSED');
    if (this.#sinks.size < MAX_STREAMS) return;
    throw new RedoubtError('ERR_BACKPRESSURE', {
      message: 'too many readers of /inspect/events',
      bound: MAX_STREAMS,
      retryAfterMs: 5000,
    });
  }

  /**
   * Starts a stream; `leave` must be called when its connection is gone.
   *
   * @param after - id of the last transition the reader has; unknown or too old ones start afresh
   * @throws {RedoubtError} `ERR_BACKPRESSURE` beyond 50 streams, `ERR_CLOSED` after `close`
   */
  open(sink: Sink, after?: string): void {
    this.assertOpen();
    const missed = this.#after(after);
    const snapshot: SnapshotEvent = {
      ...this.#health(),
      page: this.#options.page,
      resumed: missed !== undefined,
      transitions: missed ? [] : this.#remembered.slice(-SHOWN_AT_FIRST),
    };
    this.#sinks.add(sink);
    this.#write(sink, `retry: ${RETRY_MS}\n${message('snapshot', snapshot, this.#remembered.at(-1)?.id)}`);
    for (const transition of missed ?? []) this.#write(sink, this.#message(transition));
    this.#timer ??= this.#options.clock.setTimeout(() => this.#tick(), TICK_MS);
  }

  /** Forgets a stream whose connection is gone. */
  leave(sink: Sink): void {
    this.#sinks.delete(sink);
    if (this.#sinks.size === 0) this.#rest();
  }

  /** Ends all streams, so that the server's close waits for none of them. */
  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    this.#rest();
    for (const sink of this.#sinks) sink.end();
    this.#sinks.clear();
  }

  #rest(): void {
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #remember(transition: Transition): Numbered {
    this.#sequence += 1;
    const numbered = { ...transition, id: `${this.#boot}-${this.#sequence}` };
    this.#remembered.push(numbered);
    if (this.#remembered.length > MAX_REMEMBERED) this.#remembered.shift();
    return numbered;
  }

  /** What came after `id`; `undefined` where that cannot be told. */
  #after(id: string | undefined): readonly Numbered[] | undefined {
    const index = this.#remembered.findIndex((transition) => transition.id === id);
    return index < 0 ? undefined : this.#remembered.slice(index + 1);
  }

  #follow(transition: Numbered): void {
    this.#broadcast(this.#message(transition));
  }

  #message(transition: Numbered): string {
    const machine = viewMachine(this.#options.machines.get(transition.machine));
    return message('transition', { transition, machine } satisfies TransitionEvent, transition.id);
  }

  #tick(): void {
    this.#ticks += 1;
    this.#timer = this.#options.clock.setTimeout(() => this.#tick(), TICK_MS);
    if (this.#ticks % TICKS_PER_HEARTBEAT === 0) this.#broadcast(': heartbeat\n\n');
    try {
      this.#broadcast(message('health', this.#health()));
    } catch (error) {
      this.#options.log.error({ err: error }, 'The health report for /inspect could not be made');
    }
  }

  #health(): HealthEvent {
    const { machines, health, clock } = this.#options;
    const report = health();
    const { status, summary } = report;
    return {
      now: clock.wallNow(),
      status,
      summary,
      machines: machines.all.map(viewMachine),
      services: viewServices(report),
    };
  }

  #broadcast(text: string): void {
    for (const sink of this.#sinks) this.#write(sink, text);
  }

  #write(sink: Sink, text: string): void {
    if (sink.writableLength <= MAX_UNREAD_BYTES) {
      sink.write(text);
      return;
    }
    this.leave(sink);
    sink.destroy();
    this.#options.log.debug({ unreadBytes: sink.writableLength }, 'A slow reader of /inspect/events was dropped');
  }
}

function message(event: string, data: object, id?: string): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
