import type { Socket } from 'node:net';

import type { Redis, RedisOptions } from 'ioredis';

import type { Clock } from '../core/clock.ts';
import { withDeadline } from '../core/deadline.ts';
import { loadRedisDriver } from './drivers.ts';
import type { RedisRole } from './types.ts';

/** What a connection attempt needs. */
export interface OpenOptions {
  readonly url: string;
  readonly role: RedisRole;
  /** Bound of the whole attempt, handshake included: ioredis' own covers TCP only. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  readonly overrides?: RedisOptions | undefined;
}

/**
 * Opens one ioredis client that never reconnects by itself: a client that breaks is thrown away
 * and the backend decides when to open another, so no command waits in a queue for a server that
 * may not come back, and none is sent twice.
 *
 * It does not keep the process alive, unless it waits for jobs: whoever awaits a command does, by its deadline.
 *
 * @returns a client that is ready for commands
 * @throws the driver's error that says why, not ioredis' general "Connection is closed"
 */
export async function openClient(options: OpenOptions): Promise<Redis> {
  const { url, role, timeoutMs, clock, signal, overrides } = options;
  const Client = await loadRedisDriver();
  const client = new Client(url, {
    lazyConnect: true,
    connectionName: `redoubt-${role}`,
    connectTimeout: timeoutMs,
    retryStrategy: null,
    enableOfflineQueue: false,
    // A client that never connected would keep the process alive for so long; we destroy the socket ourselves.
    disconnectTimeout: 0,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // The probe asks Redis itself whether it is loading; ioredis' check would poll it in silence.
    enableReadyCheck: false,
    ...overrides,
  });
  let cause: unknown;
  // Without a listener ioredis prints to the console; the last error says why connect() failed.
  client.on('error', (error: unknown) => {
    cause = error;
  });
  try {
    await withDeadline(client.connect(), timeoutMs, { clock, signal, operation: `connect ${role}` });
    if (role !== 'blocking') streamOf(client)?.unref();
    return client;
  } catch (error) {
    discardClient(client);
    throw cause ?? error;
  }
}

/**
 * Throws a client away at once: its socket is destroyed, not ended, since a frozen server never
 * answers a FIN. Commands in flight reject with "Connection is closed".
 */
export function discardClient(client: Redis): void {
  // Read before disconnect(), which lets go of it.
  const stream = streamOf(client);
  client.disconnect();
  stream?.destroy();
}

/** Its socket, which ioredis does not show. */
function streamOf(client: Redis): Pick<Socket, 'destroy' | 'unref'> | undefined {
  return (client as unknown as { stream?: Socket }).stream;
}
