import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { TestProject } from 'vitest/node';

import { LOOPBACK } from './ports.ts';
import { type PostgresInstallation, preparePostgres } from './postgres-binaries.ts';
import { launchPostgres, type TestPostgres } from './postgres-server.ts';

/** What a test file learns about the PostgreSQL of the run. */
export interface SharedPostgres {
  readonly url: string;
  readonly installation: PostgresInstallation;
}

declare module 'vitest' {
  interface ProvidedContext {
    /** Asked once by each test file that needs PostgreSQL. */
    postgresBroker: string;
  }
}

/**
 * Offers one PostgreSQL to the whole run. It is started by the first test that asks, over HTTP since tests
 * run in other processes, so that a run which needs none pays nothing.
 *
 * @returns the teardown
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  let starting: Promise<{ server: TestPostgres; shared: SharedPostgres }> | undefined;
  const broker = createServer((_request, response) => {
    starting ??= start();
    starting.then(
      ({ shared }) => response.end(JSON.stringify(shared)),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  await new Promise<void>((resolve, reject) => {
    broker.once('error', reject);
    broker.listen({ port: 0, host: LOOPBACK }, resolve);
  });
  project.provide('postgresBroker', `http://${LOOPBACK}:${(broker.address() as AddressInfo).port}/`);

  return async () => {
    broker.closeAllConnections();
    broker.close();
    const started = await starting?.catch(() => undefined);
    await started?.server[Symbol.asyncDispose]();
  };
}

async function start(): Promise<{ server: TestPostgres; shared: SharedPostgres }> {
  const installation = await preparePostgres();
  const server = await launchPostgres(installation);
  return { server, shared: { url: server.url, installation } };
}
