import express, { Router } from 'express';
import type { Server } from 'socket.io';

import type { Config } from '../../config/schema.ts';
import { refuse, requireObject, requireText } from '../validate.ts';

const MAX_LENGTH = 200;
/** Socket.IO throws when one of these is emitted. */
const RESERVED = new Set(['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener']);

/** `/v1/sockets/publish`: an event to everybody in a room, on all instances that can be reached. */
export function socketsRoutes(io: Server, config: Config): Router {
  const router = Router();
  router.post('/v1/sockets/publish', express.json({ limit: config.server.bodyLimit }), (request, response) => {
    const { room, event, data } = requireObject(request.body);
    const to = requireText(room, 'room', MAX_LENGTH);
    const name = requireText(event, 'event', MAX_LENGTH);
    if (RESERVED.has(name)) throw refuse('event must not be one of Socket.IO itself');
    io.to(to).emit(name, data ?? null);
    response.status(202).json({ room: to, event: name });
  });
  return router;
}
