import { fileURLToPath } from 'node:url';

import { Client } from 'pg';

import { OwnedProcess, waitUntilUp } from '../support/children.ts';
import { LOOPBACK, freePort } from '../support/ports.ts';
import { sharedDatabase } from '../support/postgres.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';

/** The two servers of examples/adopt. */
export const KINDS = ['stock', 'redoubt'] as const;
export type Kind = (typeof KINDS)[number];

const SECRET = 'a-planted-session-secret-of-40-characters';
const START_DEADLINE_MS = 20_000;

/** One server of the notice board in a process of its own. */
export interface Board extends AsyncDisposable {
  readonly kind: Kind;
  readonly url: string;
  readonly running: boolean;
  readonly log: string;
  /** Whether a visitor gets a page, and with Redoubt whether its health says `pass`. */
  isWell(): Promise<boolean>;
  /** Ends it as a deployment does; its exit code, or the signal that was needed. */
  stop(): Promise<number | NodeJS.Signals>;
}

/** Where a board keeps its data. */
export interface Place extends AsyncDisposable {
  readonly redis: TestRedis;
  readonly database: string;
  /** Ids of the notices, all of them or the mailed ones. */
  notices(which?: 'mailed'): Promise<number[]>;
}

export async function startPlace(): Promise<Place> {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis());
  const database = await sharedDatabase();
  const sql = new Client({ connectionString: database });
  await sql.connect();
  stack.defer(() => sql.end());
  const owned = stack.move();
  return {
    redis,
    database,
    notices: async (which) => {
      const where = which === 'mailed' ? 'where mailed_at is not null' : '';
      const { rows } = await sql.query<{ id: number }>(`select id from notice ${where} order by id`);
      return rows.map(({ id }) => id);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** How a board is started; anything not named is the usual. */
export interface BoardStart {
  readonly env?: NodeJS.ProcessEnv;
  /** `well` also means that Redoubt's health says `pass`. */
  readonly until?: 'well' | 'serving';
  readonly deadlineMs?: number;
}

/** Starts one of the servers as its README says, but with Redoubt from its sources. */
export async function startBoard(kind: Kind, { redis, database }: Place, start: BoardStart = {}): Promise<Board> {
  const port = await freePort();
  const main = fileURLToPath(new URL(`../../examples/adopt/${kind}/server.ts`, import.meta.url));
  const { PATH, HOME } = process.env;
  const server = new OwnedProcess(process.execPath, ['--conditions=redoubt-source', main], {
    env: {
      PATH,
      HOME,
      NODE_ENV: 'production',
      PORT: `${port}`,
      REDIS_URL: redis.url,
      DATABASE_URL: database,
      SESSION_SECRET: SECRET,
      ...start.env,
    },
  });
  const url = `http://${LOOPBACK}:${port}`;
  const ask = (path: string): Promise<Response> => fetch(url + path, { signal: AbortSignal.timeout(1_000) });
  const isWell = async (): Promise<boolean> => {
    if (kind === 'stock') return (await ask('/')).ok;
    return ((await (await ask('/health')).json()) as { status: string }).status === 'pass';
  };
  const isUp = async (): Promise<void> => {
    const up = start.until === 'serving' ? (await ask('/sign-in')).ok : await isWell();
    if (!up) throw new Error('it answers, but not well');
  };
  try {
    await waitUntilUp(`the ${kind} board`, server, isUp, start.deadlineMs ?? START_DEADLINE_MS);
  } catch (error) {
    await server.end('SIGKILL');
    throw error;
  }
  return {
    kind,
    url,
    get running() {
      return server.running;
    },
    get log() {
      return server.log;
    },
    isWell,
    stop: () => server.end('SIGTERM'),
    [Symbol.asyncDispose]: async () => {
      await server.end('SIGKILL');
    },
  };
}
