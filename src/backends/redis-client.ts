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
  /** Told in a sentence of what ioredis would print. */
  readonly warn?: ((text: string) => void) | undefined;
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
  const { url, role, timeoutMs, clock, signal, overrides, warn } = options;
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
  if (warn) hearWarnings(client, warn);
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

/** What Redis says to a password that it does not want, and what that means. */
const WARNINGS: readonly (readonly [RegExp, string])[] = [
  [/no password is set|without any password configured/, 'Redis asks for no password, but one is configured'],
  [/wrong number of arguments for 'auth'/i, 'Redis is older than version 6 and knows no users, but one is configured'],
];

/**
 * ioredis prints these refusals to the console, at each connection, and goes on. So they are taken out of its sight:
 * the two commands of its handshake that meet them answer as if they had passed.
 */
function hearWarnings(client: Redis, warn: (text: string) => void): void {
  const commands = client as unknown as Record<'auth' | 'hello', (...args: unknown[]) => Promise<unknown>>;
  for (const name of ['auth', 'hello'] as const) {
    const send = commands[name].bind(client);
    commands[name] = async (...args) => {
      try {
        return await send(...args);
      } catch (error) {
        const [, meaning] = WARNINGS.find(([pattern]) => pattern.test((error as Error).message)) ?? [];
        if (meaning === undefined) throw error;
        warn(meaning);
        return undefined;
      }
    };
  }
}

/** Its socket, which ioredis does not show. */
function streamOf(client: Redis): Pick<Socket, 'destroy' | 'unref'> | undefined {
  return (client as unknown as { stream?: Socket }).stream;
}
