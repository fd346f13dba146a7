import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';

/** Every server of the test kit listens here and nowhere else. */
export const LOOPBACK = '127.0.0.1';

const LOWEST = 12_000;

/**
 * A port of 127.0.0.1 on which nothing listens.
 *
 * It lies below the range from which the system takes the ports of outgoing connections. From inside
 * that range a client that keeps knocking at a server that is down can be given that very port and
 * connect to itself, and the server could not come back.
 */
export async function freePort(): Promise<number> {
  const highest = ephemeralStart() - 1;
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = LOWEST + Math.floor(Math.random() * (highest - LOWEST));
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port found between ${LOWEST} and ${highest}`);
}

/** Resolves as soon as something accepts connections on `port`; rejects with the reason where nothing does. */
export function tryConnect(port: number, timeoutMs = 1_000): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: LOOPBACK });
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
  });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: LOOPBACK, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

function ephemeralStart(): number {
  try {
    const start = Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/)[0]);
    return start > LOWEST + 1_000 ? start : 32_768;
  } catch {
    // Not Linux: the range that most systems use starts far above.
    return 32_768;
  }
}
