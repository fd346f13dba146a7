import { type Socket, connect } from 'node:net';

import { OwnedProcess, waitUntilUp } from './children.ts';
import { LOOPBACK, freePort, tryConnect } from './ports.ts';

/** A connection attempt on loopback that takes this long is not answered at all. */
const SILENCE_MS = 250;

/** Far more than the backlog below can hold. */
const MAX_FILLERS = 64;

// Listens, then blocks its event loop for ever, so that nothing is accepted and the backlog stays full.
const LISTENER = `
  require('node:net').createServer().listen({ port: +process.argv[1], host: '${LOOPBACK}', backlog: 1 }, () =>
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));`;

/** A port of 127.0.0.1 on which connection attempts are never answered. */
export interface SynHole extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
}

/**
 * Makes a SYN hole: a listener whose backlog is full, so that Linux drops each further SYN.
 *
 * @throws {Error} where the system answers all the same
 */
export async function unanswered(): Promise<SynHole> {
  const port = await freePort();
  const listener = new OwnedProcess(process.execPath, ['-e', LISTENER, `${port}`]);
  const fillers: Socket[] = [];
  const close = async (): Promise<void> => {
    for (const filler of fillers) filler.destroy();
    await listener.end('SIGKILL');
  };
  try {
    await waitUntilUp('the listener of the SYN hole', listener, () => tryConnect(port), 10_000);
    // Two in a row: one lost SYN alone could be an accident.
    for (let silent = 0; silent < 2;) {
      if (fillers.length > MAX_FILLERS) throw new Error('the backlog never filled: this system answers every SYN');
      const filler = connect({ port, host: LOOPBACK });
      fillers.push(filler);
      silent = (await isAnswered(filler)) ? 0 : silent + 1;
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { port, url: `redis://${LOOPBACK}:${port}`, [Symbol.asyncDispose]: close };
}

function isAnswered(socket: Socket): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      // The attempt must not go on knocking, or it would take the first place that gets free.
      socket.destroy();
      resolve(false);
    }, SILENCE_MS);
    socket.once('error', reject);
    socket.once('connect', () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}
