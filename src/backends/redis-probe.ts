import type { Redis } from 'ioredis';

import type { Clock } from '../core/clock.ts';
import { withDeadline } from '../core/deadline.ts';
import { discardClient, openClient } from './redis-client.ts';
import { classifyRedisError } from './redis-errors.ts';
import { listenForRefusal } from './redis-refusal.ts';

/** Who answered: a restart changes `runId`, a failover `replicationId`. */
export interface RedisIdentity {
  readonly runId: string;
  readonly replicationId: string;
  readonly version: string;
}

export interface ProbeResult {
  /** Time of the commands alone, without connecting. */
  readonly latencyMs: number;
}

/** A read-back that differs, or a replica that took a write: Redis answers and cannot be trusted. */
export class ProbeError extends Error {
  override readonly name = 'ReplyError';
}

const CLOSED: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'CONNECTION_CLOSED']);

export interface ProbeOptions {
  readonly url: string;
  /** The key that the probe writes; its own for each instance. */
  readonly key: string;
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly warn?: ((text: string) => void) | undefined;
}

/**
 * Probes Redis on a connection of its own: role, a write with TTL, a read-back. PING lies: it is
 * answered under OOM, READONLY, CLUSTERDOWN and NOPERM, and refused under MISCONF although reads
 * work (FACTS, measured with Redis 7.0.15). The read-back is of two keys, as all services read: a
 * node of Redis Cluster takes single keys well and refuses each command of ours (CROSSSLOT).
 */
export class RedisProbe {
  readonly #options: ProbeOptions;
  #client: Redis | undefined;
  #identity: RedisIdentity | undefined;
  /** The last connection was refused in words before anything was asked. */
  #turnedAway = false;

  constructor(options: ProbeOptions) {
    this.#options = options;
  }

  /** Who answered the last connection's first probe. */
  get identity(): RedisIdentity | undefined {
    return this.#identity;
  }

  /** @throws the driver's error or `ERR_DEADLINE`; the connection is then thrown away */
  async run(signal?: AbortSignal): Promise<ProbeResult> {
    const { deadlineMs, clock } = this.#options;
    const startedAt = clock.now();
    const leftMs = (): number => Math.max(1, deadlineMs - (clock.now() - startedAt));
    const opening = this.#client?.status !== 'ready';
    try {
      // Listening first, a refusal costs a Redis that has no room one connection, not a reset one and this.
      if (this.#turnedAway) await this.#listen(signal);
      const client = await this.#connected(leftMs(), signal);
      const askedAt = clock.now();
      await withDeadline(this.#ask(client), leftMs(), { clock, signal, operation: 'probe' });
      return { latencyMs: clock.now() - askedAt };
    } catch (error) {
      this.discard();
      // A connection that is closed as soon as it is open may have been refused in words.
      if (opening && CLOSED.has(classifyRedisError(error).code)) await this.#listen(signal);
      throw error;
    }
  }

  discard(): void {
    const client = this.#client;
    this.#client = undefined;
    if (client) discardClient(client);
  }

  async #connected(timeoutMs: number, signal?: AbortSignal): Promise<Redis> {
    if (this.#client?.status === 'ready') return this.#client;
    this.discard();
    const { url, clock, warn } = this.#options;
    const client = await openClient({ url, role: 'probe', timeoutMs, clock, signal, warn });
    this.#identity = undefined;
    this.#client = client;
    return client;
  }

  /** @throws what Redis says to a new connection by itself, which is a refusal */
  async #listen(signal?: AbortSignal): Promise<void> {
    const { url } = this.#options;
    if (signal?.aborted || url.startsWith('rediss:')) return;
    const { hostname, port } = new URL(url);
    const line = await listenForRefusal(hostname, Number(port || 6379), signal);
    this.#turnedAway = line !== undefined;
    if (line !== undefined) throw new ProbeError(line);
  }

  async #ask(client: Redis): Promise<void> {
    const nonce = Math.floor(this.#options.random() * 2 ** 52).toString(36);
    const { key } = this.#options;
    const pipeline = client.pipeline().role().set(key, nonce, 'PX', 60_000).mget(key, `${key}:2`);
    if (!this.#identity) pipeline.info('server').info('replication');
    const replies = (await pipeline.exec()) ?? [];
    for (const [error] of replies) if (error) throw error;
    const values = replies.map(([, value]) => value);
    const [role, , found, server, replication] = values;
    if ((role as unknown[])[0] !== 'master') throw new ProbeError('READONLY a replica answered');
    if ((found as unknown[])[0] !== nonce) throw new ProbeError('MASTERDOWN the read-back differs');
    if (server !== undefined) this.#identity = parseIdentity(String(server), String(replication));
  }
}

function parseIdentity(server: string, replication: string): RedisIdentity {
  return {
    runId: field(server, 'run_id'),
    replicationId: field(replication, 'master_replid'),
    version: field(server, 'redis_version'),
  };
}

/** One field of what INFO answers. */
function field(info: string, name: string): string {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
}
