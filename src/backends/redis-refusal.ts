import { connect } from 'node:net';

/** How long a server that refuses is given to say so. */
const LISTEN_MS = 100;

/**
 * Listens to what Redis says by itself to a new connection. It speaks unasked only to refuse
 * (`-ERR max number of clients reached`, `-DENIED …`), and closes; a client that writes first, as
 * ioredis does, gets a reset and loses that line.
 *
 * @returns the line without its `-`, or `undefined` where it says nothing
 */
export function listenForRefusal(host: string, port: number, signal?: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const done = (line?: string): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', give);
      socket.destroy();
      resolve(line);
    };
    const give = (): void => done();
    const timer = setTimeout(give, LISTEN_MS);
    signal?.addEventListener('abort', give, { once: true });
    socket.once('data', (chunk) => {
      const [line = ''] = chunk.toString('latin1').split('\r\n');
      done(line.startsWith('-') ? line.slice(1) : undefined);
    });
    // What is wrong with this connection was wrong with the one before it, and is reported from there.
    socket.once('error', give);
    socket.once('close', give);
  });
}
