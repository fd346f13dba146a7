import { resolve } from 'node:path';

import { loadConfig } from '../config/load.ts';
import { formatOf } from '../config/formats.ts';
import { type Config, SCHEMA } from '../config/schema.ts';
import { systemClock } from '../core/clock.ts';
import { withDeadline } from '../core/deadline.ts';
import { RedoubtError } from '../core/errors.ts';
import { assertPeers } from '../core/peers.ts';
import { type Logger, createLogger } from '../observe/log.ts';
import { type ComposedRedoubt, composeRedoubt } from '../redoubt.ts';
import type { ServerApp } from '../server/app.ts';
import type { InspectorBridge } from '../server/inspect/bridge.ts';
import { listen } from '../server/listen.ts';
import { waitForStop } from '../server/stop.ts';
import { shutDown } from '../shutdown.ts';
import { type Command, type Context, EXIT, type Invocation } from './command.ts';

/** `redoubt serve`. */
export const serve: Command = {
  usage: 'serve [--config FILE] [--machines DIR] [--host HOST] [--port PORT] [--inspect]',
  description: `Runs the server until SIGINT or SIGTERM. It listens at once, Redis and PostgreSQL or not; a mistake in
the configuration or in a machine stops it before that. Exit code 0 after an orderly stop, 1 otherwise.`,
  options: {
    config: { type: 'string', value: 'FILE', doc: 'One more configuration file on top (REDOUBT_CONFIG).' },
    machines: { type: 'string', value: 'DIR', doc: 'Folder of *.machine.json files (REDOUBT_MACHINES).' },
    host: { type: 'string', value: 'HOST', doc: 'Address to listen on (HOST).' },
    port: { type: 'string', value: 'PORT', doc: 'Port to listen on, 0 for any free one (PORT).' },
    inspect: { type: 'boolean', doc: 'Let the official XState inspector attach, on loopback only.' },
  },
  positionals: 0,
  run: runServe,
};

/** What the ready-made server is made of, beyond what the library needs. */
const SERVER_PEERS = [
  'express',
  'helmet',
  'socket.io',
  'socket.io-adapter',
  '@socket.io/redis-adapter',
  'bullmq',
] as const;

/** What is written in the log may wait for this long when the start has failed. */
const GIVE_UP_MS = 1000;

async function runServe({ values }: Invocation, context: Context): Promise<number> {
  assertPeers('redoubt serve needs', SERVER_PEERS);
  const path = (name: string): string | undefined => {
    const value = values[name];
    return typeof value === 'string' ? resolve(context.cwd, value) : undefined;
  };
  const file = path('config');
  const config = withOptions(loadConfig({ audience: 'server', file, env: context.env }).config, values);
  const machines = path('machines');
  const log = createLogger(config.log.level);
  const redoubt = await composeRedoubt(
    {
      logger: log,
      ...(file === undefined ? {} : { config: file }),
      ...(machines === undefined ? {} : { machines }),
    },
    'server',
  );
  using stop = waitForStop(process, log);
  const server = await start(redoubt, config, context, log);
  // The usual signal for "read your files again".
  const reload = (): void => void redoubt.reload('signal');
  process.on('SIGHUP', reload);
  const cause = await stop.requested;
  process.off('SIGHUP', reload);
  const ended = await shutDown({
    servers: [server.http, server.io],
    requests: server.requests,
    extras: server.extras,
    redoubt,
    config,
    log,
    clock: systemClock,
    random: Math.random,
  });
  return ended && cause !== 'error' ? EXIT.fine : EXIT.wrong;
}

async function start(redoubt: ComposedRedoubt, config: Config, context: Context, log: Logger): Promise<ServerApp> {
  try {
    const { createServerApp } = await import('../server/app.ts');
    const server = await createServerApp({ redoubt, config, log, cwd: context.cwd });
    const url = await listen(server.http, config.server.host, config.server.port);
    log.info({ url, afterMs: Math.round(performance.now()) }, `listening on ${url}`);
    const bridges = config.inspect.enabled ? [await startBridge(redoubt, config, log)] : [];
    return { ...server, extras: [...server.extras, ...bridges] };
  } catch (error) {
    // What the start has opened must not keep its error from being read.
    await withDeadline(redoubt.close(), GIVE_UP_MS, { clock: systemClock }).catch(() => undefined);
    throw error;
  }
}

/** Loaded only where it is asked for: it brings a WebSocket server of its own. */
async function startBridge(redoubt: ComposedRedoubt, config: Config, log: Logger): Promise<InspectorBridge> {
  assertPeers('The inspector bridge needs', ['@statelyai/inspect', 'ws']);
  const { startInspectorBridge } = await import('../server/inspect/bridge.ts');
  return startInspectorBridge({ machines: redoubt.machines, ...config.inspect, log });
}

/** The command line has the last word, the environment's included. */
function withOptions(config: Config, values: Invocation['values']): Config {
  const { host, port, inspect } = values;
  return {
    ...config,
    server: {
      ...config.server,
      ...(typeof host === 'string' ? { host } : {}),
      ...(typeof port === 'string' ? { port: readPort(port) } : {}),
    },
    inspect: { ...config.inspect, ...(inspect === true ? { enabled: true } : {}) },
  };
}

function readPort(text: string): number {
  const format = formatOf(SCHEMA.server.port);
  const port = format.read(text);
  if (typeof port === 'number' && Number.isInteger(port)) return port;
  throw new RedoubtError('ERR_USAGE', { message: `--port must be ${format.allowed}` });
}
