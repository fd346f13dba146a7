import type { TestPostgres } from '../test/support/postgres-server.ts';
import type { HopMode } from '../test/support/hop.ts';
import type { TestRedis } from '../test/support/redis.ts';
import type { BenchInstance } from './session-servers.ts';

/** What a fault may break. */
export interface Breakable {
  readonly redis: TestRedis;
  readonly postgres: TestPostgres;
  /** The instance that it hits, where it hits but one. */
  readonly instance: BenchInstance;
}

/** A fault; the functions resolve when it has begun and when what it broke has been told to work again. */
export interface Fault {
  /** The machines that are to come back. */
  readonly hits: readonly ('redis' | 'postgres')[];
  /** Done some time before, under load. */
  readonly prepare?: (target: Breakable) => Promise<unknown>;
  readonly begin: (target: Breakable) => unknown;
  /** It is over as soon as it has begun, and what is measured is what it leaves behind. */
  readonly isInstant?: true;
  readonly end: (target: Breakable) => unknown;
}

const PASSWORD = 'only-the-bench-knows-it';
/** A replica of nobody refuses writes all the same. */
const NOBODY = ['127.0.0.1', '1'] as const;

/** Faults of the servers, which every instance meets. */
export const SERVER_FAULTS: Readonly<Record<string, Fault>> = {
  kill: {
    hits: ['redis'],
    begin: ({ redis }) => redis.kill(),
    end: ({ redis }) => redis.restart({ empty: true }),
  },
  freeze: {
    hits: ['redis'],
    begin: ({ redis }) => redis.freeze(),
    end: ({ redis }) => redis.thaw(),
  },
  cut: link('redis', 'refuse'),
  silent: link('redis', 'blackhole'),
  flushall: {
    hits: ['redis'],
    isInstant: true,
    begin: ({ redis }) => redis.client().flushall(),
    end: () => undefined,
  },
  'old-snapshot': {
    hits: ['redis'],
    prepare: ({ redis }) => redis.client().save(),
    begin: ({ redis }) => redis.kill(),
    end: ({ redis }) => redis.restart(),
  },
  // Back at once, which gives nobody time to notice anything but a closed connection.
  'old-snapshot-now': {
    hits: ['redis'],
    isInstant: true,
    prepare: ({ redis }) => redis.client().save(),
    begin: ({ redis }) => redis.restart(),
    end: () => undefined,
  },
  oom: {
    hits: ['redis'],
    begin: ({ redis }) => redis.client().config('SET', 'maxmemory', '1'),
    end: ({ redis }) => redis.client().config('SET', 'maxmemory', '0'),
  },
  readonly: {
    hits: ['redis'],
    begin: ({ redis }) => redis.client().replicaof(...NOBODY),
    end: ({ redis }) => redis.client().replicaof('NO', 'ONE'),
  },
  'wrong-password': {
    hits: ['redis'],
    begin: async ({ redis }) => {
      const client = redis.client();
      await client.config('SET', 'requirepass', PASSWORD);
      for (const type of ['normal', 'pubsub']) await client.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes');
    },
    end: ({ redis }) => redis.client({ password: PASSWORD }).config('SET', 'requirepass', ''),
  },
  'postgres-stopped': {
    hits: ['postgres'],
    begin: ({ postgres }) => postgres.stop(),
    end: ({ postgres }) => postgres.start(),
  },
  'both-stopped': {
    hits: ['redis', 'postgres'],
    begin: ({ redis, postgres }) => Promise.all([redis.kill(), postgres.stop()]),
    end: ({ redis, postgres }) => Promise.all([redis.restart({ empty: true }), postgres.start()]),
  },
};

/** Faults of one instance's own ways to the servers. */
export const INSTANCE_FAULTS: Readonly<Record<string, Fault>> = {
  'redis-cut': link('redis', 'refuse'),
  'postgres-cut': link('postgres', 'refuse'),
  'redis-silent': link('redis', 'blackhole'),
  'postgres-silent': link('postgres', 'blackhole'),
};

function link(to: 'redis' | 'postgres', mode: HopMode): Fault {
  return {
    hits: [to],
    begin: ({ instance }) => (instance.links[to].mode = mode),
    end: async ({ instance }) => {
      instance.links[to].mode = 'pass';
      await instance.links[to].settled();
    },
  };
}
