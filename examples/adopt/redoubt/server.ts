import { createServer } from 'node:http';

import express from 'express';
import { createRedoubt } from 'redoubt-runtime';
import { Server } from 'socket.io';

import { addBoard } from '../board/board.ts';
import { config } from '../board/config.ts';
import { openDatabase } from '../board/database.ts';
import { mailWith } from '../board/mailer.ts';

const pool = await openDatabase(config.databaseUrl);
const redoubt = await createRedoubt();

const sessions = redoubt.sessions.middleware({
  secret: config.sessionSecret,
  resave: false,
  saveUninitialized: false,
  cookie: { maxAge: 24 * 60 * 60 * 1_000, sameSite: 'lax' },
});

async function cached<T>(key: string, load: () => Promise<T>): Promise<T> {
  return redoubt.cache.getOrSet(key, load, { ttlMs: 60_000 });
}
const forget = (key: string) => redoubt.cache.delete(key);

const app = express();
const server = createServer(app);
const io = new Server(server, { adapter: redoubt.sockets.adapter });

const mail = redoubt.jobs.queue('mail');
redoubt.jobs.work('mail', mailWith(pool));

app.use('/health', redoubt.health.router());
addBoard(app, { pool, io, sessions, mail, cached, forget });
server.listen(config.port, config.host, () => console.log(`http://${config.host}:${config.port}`));

process.once('SIGTERM', async () => {
  await redoubt.shutdown(io);
  process.exit();
});
