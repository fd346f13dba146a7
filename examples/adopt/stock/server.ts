import { createServer } from 'node:http';

import { createAdapter } from '@socket.io/redis-adapter';
import { Queue, Worker } from 'bullmq';
import { RedisStore } from 'connect-redis';
import express from 'express';
import session from 'express-session';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { Server } from 'socket.io';

import { addBoard } from '../board/board.ts';
import { config } from '../board/config.ts';
import { openDatabase } from '../board/database.ts';
import { mailWith } from '../board/mailer.ts';

const pool = await openDatabase(config.databaseUrl);
const redis = new Redis(config.redisUrl, { maxRetriesPerRequest: null });
const client = await createClient({ url: config.redisUrl }).on('error', console.error).connect();

const sessions = session({
  store: new RedisStore({ client }),
  secret: config.sessionSecret,
  resave: false,
  saveUninitialized: false,
  cookie: { maxAge: 24 * 60 * 60 * 1_000, sameSite: 'lax' },
});

async function cached<T>(key: string, load: () => Promise<T>): Promise<T> {
  const hit = await redis.get(key);
  if (hit !== null) return JSON.parse(hit) as T;
  const value = await load();
  await redis.setex(key, 60, JSON.stringify(value));
  return value;
}
const forget = (key: string) => redis.del(key);

const app = express();
const server = createServer(app);
const io = new Server(server, { adapter: createAdapter(redis, redis.duplicate()) });

const mail = new Queue('mail', { connection: redis });
const worker = new Worker('mail', mailWith(pool), { connection: redis.duplicate() });

addBoard(app, { pool, io, sessions, mail, cached, forget });
server.listen(config.port, config.host, () => console.log(`http://${config.host}:${config.port}`));

process.once('SIGTERM', async () => {
  await Promise.all([io.close(), worker.close()]);
  process.exit();
});
