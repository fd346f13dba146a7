/** The embedded PostgreSQL's thread: PGlite and the protocol of embedded-protocol.ts, nothing else. */
import { parentPort, workerData } from 'node:worker_threads';

import { PGlite } from '@electric-sql/pglite';
import { createPgConfig } from '@electric-sql/pglite/node-postgres';
import { Client, type ClientConfig } from 'pg';

import { sqlStateOf } from './postgres-errors.ts';
import type { RawResult, WorkerReply, WorkerRequest, WorkerStart } from './embedded-protocol.ts';

const port = parentPort;
if (!port) throw new TypeError('embedded-worker runs in a worker thread only');

const database = await PGlite.create((workerData as WorkerStart).dir);
// PGlite's own parsers and serialisers differ from node-postgres' (bigint as number, bool from
// booleans only), so node-postgres speaks to it, and leaves every value as text.
const { connection } = createPgConfig(database);
const types = { getTypeParser: () => (value: string) => value };
const client = new Client({ connection, types, user: 'postgres', database: 'postgres' } as ClientConfig);
await client.connect();

let last: Promise<void> = Promise.resolve();
port.on('message', (request: WorkerRequest) => {
  last = last.then(() => (request.type === 'close' ? close() : answer(request)));
});
reply({ type: 'ready' });

async function answer({ id, text, values }: WorkerRequest & { type: 'query' }): Promise<void> {
  try {
    const returned = await client.query({ text, values: [...values], rowMode: 'array' });
    const { fields, rows, rowCount } = [returned].flat().at(-1)!;
    const result: RawResult = {
      fields: fields.map(({ name, dataTypeID }) => ({ name, oid: dataTypeID })),
      rows: rows as RawResult['rows'],
      rowCount: rowCount ?? 0,
    };
    reply({ type: 'result', id, result });
  } catch (error) {
    // Without a SQLSTATE it was not PostgreSQL that refused but PGlite that broke: end, and be started again.
    if (sqlStateOf(error) === undefined) throw error;
    const { message, ...fields } = error as Error & Record<string, unknown>;
    reply({ type: 'error', id, message, fields: { ...fields, message: undefined, stack: undefined } });
  }
}

async function close(): Promise<void> {
  await database.close();
  port?.close();
}

function reply(message: WorkerReply): void {
  port?.postMessage(message);
}
