// How this instance hears that a key has changed, while Redis is in use.
//
// One connection of its own (RESP2, since the driver drops RESP3's pushes) asks Redis to report every change of a key
// with the cache's prefix to itself: CLIENT TRACKING in broadcast mode, redirected to its own id. So there is one
// connection to lose, and with it everything that memory has is in doubt. Where tracking is refused (rights, a proxy,
// an old server), writes are published on a channel instead, by the script that makes them; the report says which.
//
//   lease    Each beat sends a PING on that connection. Its answer comes behind every report of what was executed
//            before it, so it proves that nothing before the PING is missing. Memory answers for `leaseMs` from when
//            the PING was sent, by the monotonic clock: a connection that has fallen silent, or a process that was
//            paused, stops answering by itself, and a moment later hears what it has missed or finds it broken.
//   broken   A connection that breaks, or whose PING is not answered for `SILENT_MS`, ends the generation and is
//            opened again.
//   run id   Reports count only while they come from the Redis that the requests go to.

import type { Redis } from 'ioredis';

import type { RedisBackend, RedisLink } from '../../backends/types.ts';
import type { Clock, Timer } from '../../core/clock.ts';
import { runIdOf } from './redis-tier.ts';

const INVALIDATE = '__redis__:invalidate';

/** A PING that is out for longer says that the connection is broken. */
const SILENT_MS = 1000;

/** By what changes are heard of; `none`: by nothing, so memory answers nothing while Redis can be asked. */
export type Hearing = 'tracking' | 'published' | 'none';

export interface TrackerOptions {
  readonly redis: RedisBackend;
  readonly clock: Clock;
  /** Of every key of the cache in Redis. */
  readonly prefix: string;
  /** Where writers tell of changes. */
  readonly channel: string;
  /** This instance, so that it can leave out what it has published itself. */
  readonly sender: string;
  readonly hearing: 'auto' | Hearing;
  readonly beatMs: number;
  readonly leaseMs: number;
  /** Redis' names of keys that have changed. */
  readonly onChanged: (redisKeys: readonly string[]) => void;
  /** Every key may have changed: Redis was flushed, or the connection is new or lost. */
  readonly onDoubt: () => void;
  /** What is known now holds until then, in monotonic milliseconds. */
  readonly onHeard: (until: number) => void;
}

/** Hears of changes; the protocol stands at the top of this file. */
export class Tracker {
  readonly #options: TrackerOptions;
  readonly #link: RedisLink;
  #hearing: Hearing = 'none';
  #runId = '';
  #requestsRunId = '';
  #heardUntil = Number.NEGATIVE_INFINITY;
  #timer: Timer;

  constructor(options: TrackerOptions) {
    this.#options = options;
    this.#link = options.redis.link({
      role: 'subscriber',
      options: { protocol: 2 },
      onReady: (client) => this.#arm(client),
      onLost: () => this.#onLost(),
    });
  }

  get hearing(): Hearing {
    return this.#hearing;
  }

  /** Until when what was heard holds. */
  get heardUntil(): number {
    return this.#follows ? this.#heardUntil : Number.NEGATIVE_INFINITY;
  }

  /** A requests connection has told who answers it. */
  follow(runId: string): void {
    if (runId === this.#requestsRunId) return;
    this.#requestsRunId = runId;
    this.#options.onDoubt();
    // This one still hangs on the old server.
    if (!this.#follows) this.#link.client?.disconnect();
  }

  close(): void {
    this.#options.clock.clearTimeout(this.#timer);
    this.#link.close();
  }

  get #follows(): boolean {
    return this.#runId === '' || this.#requestsRunId === '' || this.#runId === this.#requestsRunId;
  }

  async #arm(client: Redis): Promise<void> {
    const runId = await runIdOf(client);
    client.on('messageBuffer', (channel: Buffer, message: unknown) => this.#onMessage(String(channel), message));
    const hearing = await this.#choose(client);
    this.#runId = runId;
    this.#hearing = hearing;
    this.#options.onDoubt();
    if (hearing !== 'none') void this.#beat(client);
  }

  async #choose(client: Redis): Promise<Hearing> {
    const { hearing, channel } = this.#options;
    const tracks = hearing !== 'published' && hearing !== 'none' && (await this.#track(client));
    if (tracks) return 'tracking';
    const hears = hearing !== 'none' && (await allowed(() => client.subscribe(channel)));
    return hears ? 'published' : 'none';
  }

  async #track(client: Redis): Promise<boolean> {
    const { prefix } = this.#options;
    return allowed(async () => {
      const id = await client.client('ID');
      await client.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', String(id), 'BCAST', 'PREFIX', prefix);
      await client.subscribe(INVALIDATE);
    });
  }

  #onMessage(channel: string, message: unknown): void {
    const { onChanged, onDoubt, sender, channel: ours } = this.#options;
    if (channel === INVALIDATE) {
      if (Array.isArray(message)) onChanged(message.map(String));
      else onDoubt();
    } else if (channel === ours) {
      const [from, ...keys] = JSON.parse(String(message)) as string[];
      if (from !== sender) onChanged(keys);
    }
  }

  #onLost(): void {
    this.#options.clock.clearTimeout(this.#timer);
    this.#heardUntil = Number.NEGATIVE_INFINITY;
    this.#hearing = 'none';
    this.#options.onDoubt();
  }

  async #beat(client: Redis): Promise<void> {
    const { clock, beatMs, leaseMs, onHeard } = this.#options;
    const sentAt = clock.now();
    const silent = clock.setTimeout(() => client.disconnect(), SILENT_MS);
    this.#timer = silent;
    try {
      await client.ping();
    } catch {
      // The link notices by itself that its client is broken.
      return clock.clearTimeout(silent);
    }
    if (this.#timer !== silent) return;
    clock.clearTimeout(silent);
    this.#heardUntil = sentAt + leaseMs;
    if (this.#follows) onHeard(this.#heardUntil);
    this.#timer = clock.setTimeout(() => void this.#beat(client), beatMs);
  }
}

/** Whether the server lets us; a connection that breaks is another matter. */
async function allowed(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof Error && error.name === 'ReplyError') return false;
    throw error;
  }
}
