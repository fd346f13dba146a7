import { createRequire } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';

import type { ELK, ELKConstructorArguments, ElkNode } from 'elkjs/lib/elk-api.js';

// A thread of its own that lays out one graph and ends. Loading elkjs and its first layout take
// about 200 ms of computing, which would otherwise be 200 ms in which no request is served.
const Elk = createRequire(import.meta.url)('elkjs/lib/elk.bundled.js') as new (args?: ELKConstructorArguments) => ELK;
const laidOut = await new Elk({ algorithms: ['layered'] }).layout(workerData as ElkNode);
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
parentPort?.postMessage(laidOut);
