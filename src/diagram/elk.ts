import { Worker } from 'node:worker_threads';

import type { ElkNode } from 'elkjs/lib/elk-api.js';

import { assertPeers } from '../core/peers.ts';

const DEADLINE_MS = 10_000;

/**
 * Lays out one ELK graph in a thread that ends with it: loading elkjs and its first layout compute
 * for about 200 ms, in which the server's own thread goes on serving.
 *
 * @throws {RedoubtError} `ERR_PEER` without elkjs; what ELK threw, or an Error after 10 s: some graphs of hundreds of edges take ELK minutes
 */
export async function runElk(graph: ElkNode): Promise<ElkNode> {
  assertPeers('Drawing needs', ['elkjs']);
  // Compiled, this module and its neighbour are .js files; run from source, .ts.
  const file = import.meta.url.endsWith('.ts') ? './elk-worker.ts' : './elk-worker.js';
  const worker = new Worker(new URL(file, import.meta.url), { workerData: graph });
  // The process may end while a picture is being made; nobody is left to see it.
  worker.unref();
  // Real time, not a Clock: the thread's computing follows no simulated one.
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<ElkNode>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no layout within ${DEADLINE_MS} ms`)), DEADLINE_MS);
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', () => reject(new Error('the layout thread ended without a layout')));
    });
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}
