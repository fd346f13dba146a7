import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { RedoubtError } from '../core/errors.ts';

/**
 * Listens, and says where.
 *
 * @param port - 0 for any free one
 * @returns the URL to visit: a wildcard address is shown as localhost's
 * @throws {RedoubtError} `ERR_LISTEN` when the address is in use or not ours
 */
export async function listen(http: Server, host: string, port: number): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      const message = `${host}:${port} ${error.code === 'EADDRINUSE' ? 'is in use' : `(${error.code})`}`;
      reject(new RedoubtError('ERR_LISTEN', { message }, { cause: error }));
    };
    http.once('error', onError);
    http.listen(port, host, () => {
      http.off('error', onError);
      resolve();
    });
  });
  return urlOf(host, (http.address() as AddressInfo).port);
}

/** The URL of a host as it stands in the configuration. */
export function urlOf(host: string, port: number): string {
  if (host === '0.0.0.0' || host === '::' || host === '') return `http://127.0.0.1:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
