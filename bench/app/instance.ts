/** One whole application in a process of its own, started by app.ts: tells its port, and ends with its parent. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

import { APPS, type AppName, createApp } from './apps.ts';

const [name = '', redisUrl = '', databaseUrl = '', library = ''] = process.argv.slice(2);
const open = APPS[name as AppName] as (typeof APPS)[AppName] | undefined;
if (!open || !process.send) throw new Error('instance.ts is started by app.ts');
const server = createApp(await open(redisUrl, databaseUrl, library)).listen(0, '127.0.0.1');
// While the others have their turn, connections are kept.
server.keepAliveTimeout = 0;
await once(server, 'listening');
process.on('disconnect', () => process.exit());
process.send((server.address() as AddressInfo).port);
