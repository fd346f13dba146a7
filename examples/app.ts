/**
 * Your own routes on Redoubt's server:
 *
 *     REDOUBT_SERVER_APP=examples/app.ts npm start
 *
 * The default export is called once, before the server listens. Errors that routes throw, and promises
 * that they reject, become application/problem+json.
 */
import express from 'express';

import type { UserAppContext } from '../src/server/user-app.ts';

declare module 'express-session' {
  interface SessionData {
    basket?: string[];
  }
}

export default function addRoutes({ app, io, redoubt }: UserAppContext): void {
  const { cache, jobs, sessions } = redoubt;

  // The cache: one load for all who wait, from Redis or from memory, never an error because of Redis.
  app.get('/products/:id', async (request, response) => {
    const { id } = request.params;
    const product = await cache.getOrSet(`product:${id}`, () => loadProduct(id), { ttlMs: 60_000 });
    response.json(product);
  });

  // Sessions: the answer goes out when the session is saved. Mounted where it is needed, so that
  // no other route pays for a lookup.
  app.use('/basket', sessions.middleware(), express.json());
  app.post('/basket', (request, response) => {
    const { id } = request.body as { id: string };
    request.session.basket = [...(request.session.basket ?? []), id];
    response.json(request.session.basket);
  });
  app.get('/basket', (request, response) => {
    response.json(request.session.basket ?? []);
  });

  // Jobs: an id of your own makes a second attempt harmless. Without Redis this rejects at once with
  // ERR_JOBS_UNAVAILABLE, which the server answers as 503 with Retry-After.
  app.post('/orders/:id', async (request, response) => {
    const { id } = request.params;
    const added = await jobs.queue('orders').add('send', { id }, { id: `order-${id}` });
    response.status(202).json(added);
  });

  // A worker goes on by itself after an outage. It tells everybody who watches the order.
  jobs.work('orders', ({ data }) => {
    const { id } = data as { id: string };
    io.to(`order:${id}`).emit('order.sent', { id });
  });

  // Sockets: rooms and clients stay through every change of mode.
  io.on('connection', (socket) => {
    socket.on('order.watch', (id: unknown) => {
      if (typeof id === 'string' && id.length <= 100) void socket.join(`order:${id}`);
    });
  });
}

/** Stands for your database. */
async function loadProduct(id: string): Promise<{ id: string; name: string }> {
  return { id, name: `Product ${id}` };
}
