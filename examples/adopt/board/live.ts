import type { IncomingMessage } from 'node:http';

import type { NextFunction, Request, RequestHandler, Response } from 'express';
import type { SessionData } from 'express-session';
import type { Server } from 'socket.io';

import type { Notice } from './notices.ts';

type Upgraded = IncomingMessage & { sessionID?: string; session?: Partial<SessionData> };

/**
 * Live updates: everybody hears of a new notice. A socket has the session of the page that opened it, and ends with
 * it.
 */
export function createLive(io: Server, sessions: RequestHandler) {
  // The handshake carries the cookie; what follows on the same connection needs no session.
  io.engine.use((req: Request, res: Response, next: NextFunction) => {
    if (req.url.includes('&sid=')) next();
    else sessions(req, res, next);
  });
  io.on('connection', (socket) => {
    const { sessionID, session } = socket.request as Upgraded;
    if (sessionID && session?.passport) void socket.join(`session:${sessionID}`);
  });
  return {
    announce: (notice: Notice) => io.emit('notice', notice),
    end: (sessionId: string) => io.in(`session:${sessionId}`).disconnectSockets(true),
  };
}
