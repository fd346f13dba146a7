import type { Redis } from 'ioredis';

import type { RedisBackend } from '../../backends/types.ts';

interface Message {
  readonly channel: string;
  readonly message: string | Buffer;
}

/** Messages that may wait for Redis at once; past it they are dropped and counted. */
const MAX_WAITING = 10_000;

/**
 * Sends messages to Redis in the order in which they came, all of one turn in one call: a burst
 * costs one round trip, and takes one place in the ramp after a recovery.
 *
 * `push` never throws, rejects or waits. What cannot be sent is counted and gone: a message is worth
 * nothing to clients seconds later without the ones before it.
 */
export class PublishQueue {
  readonly counters = { published: 0, publishFailures: 0, droppedPublishes: 0 };
  /** Whether messages are sent; while false they are dropped and counted. */
  open = false;
  readonly #redis: RedisBackend;
  readonly #deadlineMs: number;
  #waiting: Message[] = [];
  #inFlight = 0;

  constructor(redis: RedisBackend, deadlineMs: number) {
    this.#redis = redis;
    this.#deadlineMs = deadlineMs;
  }

  /** All messages that did not reach Redis. */
  get lost(): number {
    return this.counters.publishFailures + this.counters.droppedPublishes;
  }

  push(channel: string, message: string | Buffer): void {
    if (!this.open || this.#waiting.length + this.#inFlight >= MAX_WAITING) return this.drop();
    this.#waiting.push({ channel, message });
    if (this.#waiting.length === 1) queueMicrotask(() => this.#flush());
  }

  /** Counts a message that is not even tried. */
  drop(): void {
    this.counters.droppedPublishes += 1;
  }

  #flush(): void {
    const batch = this.#waiting;
    this.#waiting = [];
    if (!this.open) {
      this.counters.droppedPublishes += batch.length;
      return;
    }
    this.#inFlight += batch.length;
    void this.#send(batch).finally(() => {
      this.#inFlight -= batch.length;
    });
  }

  async #send(batch: readonly Message[]): Promise<void> {
    let accepted = 0;
    try {
      await this.#redis.call(
        async (client) => {
          accepted = await publishAll(client, batch);
        },
        { deadlineMs: this.#deadlineMs },
      );
    } catch {
      // The backend has told the detector, whose machine decides what follows.
    }
    this.counters.published += accepted;
    this.counters.publishFailures += batch.length - accepted;
  }
}

/** @returns how many Redis took @throws Redis' error when it took none */
async function publishAll(client: Redis, batch: readonly Message[]): Promise<number> {
  const [only] = batch;
  if (only && batch.length === 1) {
    await client.publish(only.channel, only.message);
    return 1;
  }
  const pipeline = client.pipeline();
  for (const { channel, message } of batch) pipeline.publish(channel, message);
  const replies = (await pipeline.exec()) ?? [];
  const failed = replies.filter(([error]) => error);
  if (failed.length === replies.length) throw failed[0]?.[0] ?? new Error('no reply');
  return replies.length - failed.length;
}
