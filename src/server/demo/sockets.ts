import type { Server, Socket } from 'socket.io';

import { isRedoubtError } from '../../core/errors.ts';
import type { Logger } from '../../observe/log.ts';
import { traceOf } from '../trace.ts';
import { refuse, requireText } from '../validate.ts';

const MAX_ROOM_LENGTH = 100;
const MAX_ID_LENGTH = 100;
const MAX_TEXT_LENGTH = 4000;
/** Its own room, which every socket is in, counts as one. */
const MAX_ROOMS = 101;

/** What each demo event is acknowledged with. */
export type DemoAnswer =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: string; readonly message: string };

/** The demo's socket events: `join {room}`, `leave {room}`, `say {room,id,text}`; others in the room get `said`. */
export function serveDemoSockets(io: Server, log: Logger): void {
  io.on('connection', (socket) => {
    const on = (event: string, handle: (message: Record<string, unknown>) => unknown): void => {
      socket.on(event, async (message: unknown, acknowledge: unknown) => {
        const answer = await attempt(() => handle(asObject(message)), log);
        if (typeof acknowledge === 'function') acknowledge(answer);
      });
    };
    on('join', ({ room }) => join(socket, requireText(room, 'room', MAX_ROOM_LENGTH)));
    on('leave', ({ room }) => socket.leave(requireText(room, 'room', MAX_ROOM_LENGTH)));
    on('say', ({ room, id, text }) => {
      const to = requireText(room, 'room', MAX_ROOM_LENGTH);
      const said = { room: to, id: readId(id), text: requireText(text, 'text', MAX_TEXT_LENGTH), from: socket.id };
      socket.to(to).emit('said', said);
    });
  });
}

function join(socket: Socket, room: string): unknown {
  if (socket.rooms.size >= MAX_ROOMS && !socket.rooms.has(room)) throw refuse('this socket is in too many rooms');
  return socket.join(room);
}

function readId(id: unknown): string | number {
  return typeof id === 'number' && Number.isFinite(id) ? id : requireText(id, 'id', MAX_ID_LENGTH);
}

function asObject(message: unknown): Record<string, unknown> {
  return typeof message === 'object' && message !== null ? (message as Record<string, unknown>) : {};
}

async function attempt(handle: () => unknown, log: Logger): Promise<DemoAnswer> {
  try {
    await handle();
    return { ok: true };
  } catch (error) {
    if (isRedoubtError(error)) return { ok: false, code: error.code, message: error.message };
    log.error({ err: error, trace: traceOf(error) }, 'a socket event failed');
    return { ok: false, code: 'ERR_INTERNAL', message: 'The server made a mistake' };
  }
}
