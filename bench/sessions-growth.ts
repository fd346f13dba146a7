/**
 * Whether start, failover and failback cost more with more stored sessions: 10⁴, 10⁵ and 10⁶ of them in PostgreSQL
 * and in Redis, one server, 100 requests/s of sessions. Rows read tell it most plainly: whoever walks the table reads
 * all of it. `node sessions-growth.ts [sizes, comma-separated]`; about a minute for all three.
 */
import { Client } from 'pg';

import { type Hop, startHop } from '../test/support/hop.ts';
import { startLoad } from '../test/support/load.ts';
import { type TestServer, startServer } from '../test/support/server.ts';
import { type SessionServers, startSessionServers } from './session-stores.ts';

const sizes = (process.argv[2] ?? '10000,100000,1000000').split(',').map(Number);
const RATE = 100;
const USERS = 50;
const STEP_DEADLINE_MS = 30_000;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const rows: Record<string, string | number>[] = [];

for (const size of sizes) rows.push(await measure(size));
console.table(rows);
console.log('ms until the machine is there; longest request meanwhile in ms; rows that PostgreSQL read');

async function measure(size: number): Promise<Record<string, string | number>> {
  await using servers = await startSessionServers(['--enable-debug-command', 'yes']);
  const env = {
    DATABASE_URL: servers.databaseUrl,
    SESSION_SECRET: 'a-secret-for-the-bench-of-40-characters!',
    LOG_LEVEL: 'warn',
  };
  // A first server makes the tables and one session whose row serves as the pattern of the others.
  await using hop = await startHop({ to: servers.redis.port });
  {
    await using first = await startServer({ env: { ...env, REDIS_URL: hop.url() } });
    await becomes(first, 'available');
    await login(first, 'pattern');
    await first.stop();
  }
  const client = new Client({ connectionString: servers.databaseUrl });
  await client.connect();
  await fill(servers, client, size);

  const startRows = await rowsReadBy(client, async () => {
    await using server = await startServer({ env: { ...env, REDIS_URL: hop.url() } });
    await becomes(server, 'available');
    await server.stop();
  });
  let outage: Outage | undefined;
  const outageRows = await rowsReadBy(client, async () => {
    const startedAt = performance.now();
    await using server = await startServer({ env: { ...env, REDIS_URL: hop.url() } });
    await becomes(server, 'available');
    outage = { 'start ms': Math.round(performance.now() - startedAt), ...(await suffer(server, hop)) };
    await server.stop();
  });
  await client.end();
  return { sessions: size, ...outage, 'rows at start': startRows, 'rows with outage': outageRows };
}

type Outage = Record<string, number>;

/** Takes Redis away for a second and gives it back, under load. */
async function suffer(server: TestServer, hop: Hop): Promise<Outage> {
  const cookies = await Promise.all(Array.from({ length: USERS }, (_, i) => login(server, `user ${i}`)));
  const load = startLoad({
    ratePerSecond: RATE,
    maxRequests: 60 * RATE,
    request: async (index) => {
      const answer = await server.fetch('/demo/session', { headers: { cookie: cookies[index % USERS]! } });
      await answer.arrayBuffer();
      return answer.status;
    },
    failed: (status) => status !== 200,
  });
  await sleep(1_000);
  const lostAt = performance.now();
  hop.mode = 'refuse';
  await becomes(server, 'degraded');
  const degradedAt = performance.now();
  await sleep(1_000);
  const backAt = performance.now();
  hop.mode = 'pass';
  await becomes(server, 'available');
  const availableAt = performance.now();
  await sleep(1_000);
  const seen = await load.stop();
  return {
    'failover ms': Math.round(degradedAt - lostAt),
    'max request': Math.round(seen.between(lostAt, backAt).maxMs),
    'failback ms': Math.round(availableAt - backAt),
    'max request ': Math.round(seen.between(backAt, Infinity).maxMs),
    failed: seen.failures,
  };
}

/** Copies the one session that is there under other ids, in PostgreSQL and, of like size and prefix, in Redis. */
async function fill({ redis }: SessionServers, client: Client, size: number): Promise<void> {
  const { rows: columns } = await client.query<{ column_name: string }>(
    `select column_name from information_schema.columns where table_name = 'session' order by ordinal_position`,
  );
  const names = columns.map(({ column_name }) => `"${column_name}"`);
  const values = names.map((name) => (name === '"sid"' ? `md5(i::text) || md5((-i)::text)` : name));
  await client.query(
    `insert into session (${names.join(', ')}) select ${values.join(', ')}
     from (select * from session limit 1) as pattern, generate_series(1, $1::int) as i`,
    [size],
  );
  await client.query('vacuum analyze session');
  const probe = redis.client();
  const pattern = (await probe.keys('redoubt:s:*')).find((key) => key.length > 30) ?? 'redoubt:s:1:';
  await probe.call('DEBUG', 'POPULATE', size, pattern.slice(0, pattern.lastIndexOf(':')), 300);
  const { rows: counted } = await client.query<{ count: string }>('select count(*) from session');
  const stored = Math.min(Number(counted[0]?.count), await probe.dbsize());
  if (stored < size) throw new Error(`only ${stored} of ${size} sessions could be stored`);
}

/**
 * Rows that scans and index look-ups have read while `work` ran. It must end its connections: a backend reports some
 * of its counters only when it ends.
 */
async function rowsReadBy(client: Client, work: () => Promise<void>): Promise<number> {
  const read = async (): Promise<number> => {
    await sleep(200);
    const { rows: found } = await client.query<{ read: string }>(
      `select coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0) as read from pg_stat_user_tables`,
    );
    return Number(found[0]?.read);
  };
  const before = await read();
  await work();
  return (await read()) - before;
}

async function becomes(server: TestServer, wanted: string): Promise<void> {
  const endAt = performance.now() + STEP_DEADLINE_MS;
  for (let now = ''; now !== wanted && !now.startsWith(`${wanted}.`); await sleep(5)) {
    if (performance.now() > endAt) throw new Error(`still ${now}, not ${wanted}`);
    const { machines } = (await server.health()).body as { machines: Record<string, { state: string }> };
    now = machines['redis']?.state ?? '';
    if (wanted === 'available' && machines['postgres']?.state !== 'available') now = 'waiting for PostgreSQL';
  }
}

async function login(server: TestServer, user: string): Promise<string> {
  const answer = await server.fetch('/demo/session/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user }),
  });
  if (!answer.ok) throw new Error(`login answered ${answer.status}`);
  return (answer.headers.getSetCookie()[0] ?? '').split(';')[0] ?? '';
}
