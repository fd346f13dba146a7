import type { Server } from 'socket.io';
import { expect, it } from 'vitest';

import { silentLogger } from '../../../src/observe/log.ts';
import { type DemoAnswer, serveDemoSockets } from '../../../src/server/demo/sockets.ts';

type Handler = (message: unknown, acknowledge?: unknown) => Promise<void>;

/** One socket of a server without a network. */
function connect() {
  const handlers = new Map<string, Handler>();
  const sent: unknown[] = [];
  const rooms = new Set(['own']);
  const socket = {
    id: 'own',
    rooms,
    on: (event: string, handler: Handler) => handlers.set(event, handler),
    join: (room: string) => rooms.add(room),
    leave: (room: string) => rooms.delete(room),
    to: (room: string) => ({ emit: (event: string, message: object) => sent.push({ room, event, message }) }),
  };
  const io = { on: (_event: string, listener: (each: typeof socket) => void) => listener(socket) };
  serveDemoSockets(io as unknown as Server, silentLogger);
  const ask = (event: string, message: unknown): Promise<DemoAnswer> =>
    new Promise((resolve) => {
      void handlers.get(event)?.(message, resolve);
    });
  return { rooms, sent, handlers, ask };
}

it('join, leave and say are acknowledged, and say reaches the others in the room', async () => {
  const { rooms, sent, ask } = connect();
  expect(await ask('join', { room: 'a' })).toEqual({ ok: true });
  expect(rooms.has('a')).toBe(true);
  expect(await ask('say', { room: 'a', id: 'm1', text: 'hello' })).toEqual({ ok: true });
  expect(sent).toEqual([{ room: 'a', event: 'said', message: { room: 'a', id: 'm1', text: 'hello', from: 'own' } }]);
  expect(await ask('leave', { room: 'a' })).toEqual({ ok: true });
  expect(rooms.has('a')).toBe(false);
});

it('refuses what is malformed or too long with a code, and sends nothing', async () => {
  const { sent, ask } = connect();
  const wrong: [string, unknown][] = [
    ['join', null],
    ['join', 'a'],
    ['join', { room: '' }],
    ['join', { room: 'x'.repeat(101) }],
    ['say', { room: 'a', id: {}, text: 'x' }],
    ['say', { room: 'a', id: 'm', text: 'x'.repeat(4001) }],
  ];
  for (const [event, message] of wrong) {
    expect(await ask(event, message)).toMatchObject({ ok: false, code: 'ERR_REQUEST' });
  }
  expect(sent).toEqual([]);
});

it('lets a socket into a bounded number of rooms', async () => {
  const { ask } = connect();
  for (let i = 0; i < 100; i += 1) expect(await ask('join', { room: `r${i}` })).toEqual({ ok: true });
  expect(await ask('join', { room: 'one more' })).toMatchObject({ ok: false });
  expect(await ask('join', { room: 'r1' })).toEqual({ ok: true });
});

it('takes an event without an acknowledgement', async () => {
  const { rooms, handlers } = connect();
  await handlers.get('join')?.({ room: 'a' });
  expect(rooms.has('a')).toBe(true);
});
