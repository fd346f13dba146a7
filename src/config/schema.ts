/**
 * Every setting of Redoubt: one entry a key, the only place where a default is decided.
 * `docs/config.md` and `config/default.json5`'s coverage test are made from it.
 *
 * Durations are strings with a unit in files (`250ms`) and milliseconds in code, under the key
 * with `Ms` behind it; sizes are strings (`64mb`) and bytes.
 */
export interface Leaf {
  /** One full sentence: what it does, with its effect. */
  readonly doc: string;
  readonly format:
    | 'duration'
    | 'size'
    | 'count'
    | 'ratio'
    | 'port'
    | 'boolean'
    | 'instant'
    | 'text'
    | 'list'
    | 'durations'
    | 'redisUrls'
    | 'redisUrl'
    | 'postgresUrl'
    | readonly string[];
  readonly default: unknown;
  /** Only where the contract names it; otherwise `REDOUBT_<PATH>`. */
  readonly env?: string;
  /** A second, short name that only `serve` reads: in a library it is the application's own. */
  readonly serverEnv?: string;
  /** Masked wherever the configuration is shown. */
  readonly sensitive?: boolean;
}

export interface Group {
  readonly [key: string]: Leaf | Group;
}

const probe = (dependency: string, deadline: string) =>
  ({
    every: {
      doc: `Time between two probes while ${dependency} is in use.`,
      format: 'duration',
      default: '250ms',
    },
    deadline: {
      doc: `Longest wait for one probe of ${dependency}, connecting included; longer than a call's deadline, so that a slow server is told from a dead one.`,
      format: 'duration',
      default: deadline,
    },
    backoffBase: {
      doc: `Upper bound of the first wait between two probes while ${dependency} is out of use; it doubles at each failure and is fully jittered.`,
      format: 'duration',
      default: '100ms',
    },
    backoffMax: {
      doc: `Upper bound of every wait between two probes of an unreachable ${dependency}; a return is noticed at most this much later.`,
      format: 'duration',
      default: '1s',
    },
    refusedBackoffAfter: {
      doc: 'How many refusals (password, rights, TLS, room for clients) are each tried again within backoffMax, before the waits double.',
      format: 'count',
      // With ten a password that is mended within eight seconds is used again after 1.3 s at most; doubling
      // from the first refusal it took 13 s.
      default: 10,
    },
    refusedBackoffMax: {
      doc: `Upper bound of the waits while ${dependency} goes on to refuse the password, the rights or TLS: configuration, which no quick retry mends.`,
      format: 'duration',
      default: '30s',
    },
  }) as const satisfies Group;

const detect = (dependency: string, slowCall: string) =>
  ({
    failuresToTrip: {
      doc: `Consecutive failed probes after which ${dependency} is taken out of use; a broken connection needs only one confirming probe.`,
      format: 'count',
      default: 2,
    },
    successesToRecover: {
      doc: `Consecutive passed probes before ${dependency} is reconciled and used again.`,
      format: 'count',
      // With two, a link that flaps five times a second is used and lost sixteen times a minute; with
      // three once (both measured). It costs a quarter of a second at each return.
      default: 3,
    },
    slowProbesToTrip: {
      doc: `Consecutive slow probes after which ${dependency} is taken out of use as slow, even without calls.`,
      format: 'count',
      default: 4,
    },
    window: {
      doc: 'Length of the sliding window over which failure and slow-call ratios are counted.',
      format: 'duration',
      default: '10s',
    },
    minimumCalls: {
      doc: 'Calls that the window must hold before a ratio says anything.',
      format: 'count',
      default: 20,
    },
    failureRatio: {
      doc: `Share of failed calls in the window (0 to 1) at which ${dependency} is taken out of use although its probes pass.`,
      format: 'ratio',
      default: 0.5,
    },
    slowCall: {
      doc: `A call or probe of ${dependency} that takes longer than this counts as slow.`,
      format: 'duration',
      default: slowCall,
    },
    slowCallRatio: {
      doc: `Share of slow calls in the window (0 to 1) at which ${dependency} is taken out of use as slow.`,
      format: 'ratio',
      default: 0.5,
    },
    loopLag: {
      doc: 'When our own event loop was blocked longer than this, calls and probes of that time say nothing and are voided.',
      format: 'duration',
      default: '100ms',
    },
  }) as const satisfies Group;

const delays = (dependency: string) =>
  ({
    connectTimeout: {
      doc: `Longest stay of the ${dependency} machine in connecting; createRedoubt() resolves at the latest then.`,
      format: 'duration',
      default: '2s',
    },
    recoverTimeout: {
      doc: `Longest stay of the ${dependency} machine in recovering; then it falls back to degraded.`,
      format: 'duration',
      default: '10s',
    },
  }) as const satisfies Group;

const holdDown = (dependency: string) =>
  ({
    dwell: {
      doc: `Least stay of the ${dependency} machine in degraded, however soon the probes pass.`,
      format: 'duration',
      default: '500ms',
    },
    base: {
      doc: 'Least stay in degraded at the second trip in short order; it doubles with each further one.',
      format: 'duration',
      default: '1s',
    },
    max: {
      doc: 'Upper bound of the least stay in degraded, however often it flaps.',
      format: 'duration',
      default: '60s',
    },
    halfLife: {
      doc: 'Time in which half of the trips are forgiven.',
      format: 'duration',
      default: '60s',
    },
  }) as const satisfies Group;

export const SCHEMA = {
  env: {
    doc: 'The kind of installation: names the second config file; production refuses to make up secrets and switches the demo off.',
    format: 'text',
    default: 'development',
    env: 'NODE_ENV',
  },
  log: {
    level: {
      doc: 'Least severity that is logged.',
      format: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
      default: 'info',
      serverEnv: 'LOG_LEVEL',
    },
  },
  server: {
    host: {
      doc: 'Address that the server listens on; 0.0.0.0 for every interface.',
      format: 'text',
      default: '127.0.0.1',
      serverEnv: 'HOST',
    },
    port: {
      doc: 'Port that the server listens on; 0 for any free one.',
      format: 'port',
      default: 3000,
      serverEnv: 'PORT',
    },
    app: {
      doc: "Module with your own routes, relative to the working directory; empty for none. Its default export is called with { app, io, redoubt, config } before the server's own error handler.",
      format: 'text',
      default: '',
    },
    demo: {
      doc: 'Whether the demo application (sessions, sockets and a worked queue) is served: yes, no, or auto for everywhere but in production.',
      format: ['auto', 'yes', 'no'],
      default: 'auto',
    },
    apiToken: {
      doc: 'Bearer token for /v1; without one /v1 is open outside production and off in production.',
      format: 'text',
      default: '',
      serverEnv: 'API_TOKEN',
      sensitive: true,
    },
    trustProxy: {
      doc: "Express' trust proxy setting as text: empty for none, a number of hops, or a list of addresses; needed for secure cookies behind a TLS proxy.",
      format: 'text',
      default: '',
    },
    bodyLimit: { doc: 'Largest request body that the server reads.', format: 'size', default: '1mb' },
    requestTimeout: {
      doc: 'Longest time in which a client must have sent a whole request; half-sent ones are answered 408 and closed.',
      format: 'duration',
      default: '30s',
    },
    shutdownTimeout: {
      doc: 'Longest time that a shutdown takes, from the stop signal or redoubt.shutdown(server); what is not flushed by then is given up, and said so.',
      format: 'duration',
      default: '10s',
    },
    drainDelay: {
      doc: 'Time between answering 503 on /health/ready and refusing connections, for load balancers to notice.',
      format: 'duration',
      default: '0ms',
    },
  },
  inspect: {
    enabled: {
      doc: 'Whether the official XState inspector may attach (serve --inspect): a WebSocket on loopback only.',
      format: 'boolean',
      default: false,
    },
    port: { doc: 'Port of the inspector bridge on 127.0.0.1; 0 for any free one.', format: 'port', default: 8080 },
    origins: {
      doc: 'Origins of pages that may attach to the inspector bridge, comma-separated.',
      format: 'list',
      default: ['https://stately.ai', 'https://www.stately.ai', 'https://editor.stately.ai'],
    },
  },
  machines: {
    dir: {
      doc: "Folder of the *.machine.json files; empty for Redoubt's own.",
      format: 'text',
      default: '',
      env: 'REDOUBT_MACHINES',
    },
    historyLength: {
      doc: 'Transitions that are kept in memory for each machine; /health shows the last 20.',
      format: 'count',
      default: 200,
    },
  },
  runtime: {
    extensions: {
      doc: 'Module with guards, actions, actors, events and detectors of your own for machine files, relative to the working directory; empty for none.',
      format: 'text',
      default: '',
    },
    delays: {
      doc: 'Delays of your own for machine files, by name: { maintenanceMax: "30m" }.',
      format: 'durations',
      default: {},
    },
    redis: {
      doc: 'Further Redises by name: { socketsRedis: "redis://…" }. Each is followed by the machine of its name and is a backend of that name for one or more services.',
      format: 'redisUrls',
      default: {},
      sensitive: true,
    },
    watch: {
      doc: 'Whether a changed configuration or machine file is checked and taken over while the server runs.',
      format: 'boolean',
      default: false,
    },
  },
  redis: {
    url: {
      doc: 'Where Redis is: redis://user:password@host:port/db, rediss:// for TLS, or none: then nothing is connected, and nothing is missed.',
      format: 'redisUrl',
      default: 'redis://127.0.0.1:6379',
      env: 'REDIS_URL',
      sensitive: true,
    },
    keyPrefix: { doc: 'Put before every key that Redoubt writes.', format: 'text', default: 'redoubt:' },
    connectTimeout: {
      doc: 'Longest wait for one connection to be ready for commands, the handshake included.',
      format: 'duration',
      default: '1s',
    },
    deadline: {
      doc: 'Longest wait for one Redis call of a service that has no deadline of its own.',
      format: 'duration',
      default: '250ms',
    },
    maxInFlight: {
      doc: 'High-water mark of Redis calls in flight; more are refused at once with ERR_BACKPRESSURE and fall to the next backend.',
      format: 'count',
      default: 10000,
    },
    probe: probe('Redis', '500ms'),
    detect: detect('Redis', '100ms'),
    delays: delays('Redis'),
    holdDown: holdDown('Redis'),
    ramp: {
      start: {
        doc: 'Redis calls that may be in flight in the first moment after a recovery; the bound then doubles every redis.ramp.step until it reaches redis.maxInFlight.',
        format: 'count',
        default: 32,
      },
      step: { doc: 'Time in which the bound of the ramp doubles.', format: 'duration', default: '100ms' },
    },
  },
  postgres: {
    url: {
      doc: 'Where PostgreSQL is: postgres://…; pglite:DIR for the embedded one; none or empty for none, but redoubt serve outside production takes empty for the embedded one in .redoubt/.',
      format: 'postgresUrl',
      default: '',
      env: 'DATABASE_URL',
      sensitive: true,
    },
    poolMax: { doc: 'Most connections to PostgreSQL.', format: 'count', default: 10 },
    queueMax: {
      doc: 'High-water mark of statements that wait for a connection; more are refused at once with ERR_BACKPRESSURE.',
      format: 'count',
      default: 500,
    },
    connectTimeout: {
      doc: 'Longest wait for a connection to PostgreSQL.',
      format: 'duration',
      default: '1s',
    },
    deadline: {
      doc: 'Longest wait for one statement, the wait for a connection included; also set as statement_timeout on the server.',
      format: 'duration',
      default: '1s',
    },
    probe: probe('PostgreSQL', '1s'),
    detect: detect('PostgreSQL', '500ms'),
    delays: delays('PostgreSQL'),
    holdDown: holdDown('PostgreSQL'),
  },
  fleet: {
    lease: {
      doc: 'How long an instance believes Redis after a heartbeat through PostgreSQL; an instance that loses Redis waits so long before it acknowledges what only PostgreSQL has. The same on every instance.',
      format: 'duration',
      default: '600ms',
    },
    heartbeat: {
      doc: 'Time between two heartbeats through PostgreSQL; a third of the lease or less.',
      format: 'duration',
      default: '150ms',
    },
    busEvery: {
      doc: 'Time between two looks for what instances without Redis have changed in the cache; half of it while there are any.',
      format: 'duration',
      default: '100ms',
    },
  },
  cache: {
    deadline: {
      doc: 'Longest wait for Redis in one cache call; past it this call and every other one is answered from memory until Redis answers in time again.',
      format: 'duration',
      // Dozens of round trips; a caller who waits longer had better not have waited at all. At 1,000 calls a
      // second fewer than one in a hundred of an 8 s outage meet it, all of them in its first moment.
      default: '50ms',
    },
    ttl: { doc: 'Lifetime of a value that is set without one.', format: 'duration', default: '5m' },
    grace: {
      doc: 'How long past the moment Redis was lost a value read before it may be served as stale.',
      format: 'duration',
      default: '10m',
    },
    maxStale: {
      doc: "Greatest age of what is known of others' changes at which a value read before may still be served as stale: it counts where PostgreSQL is gone as well, or there is none. 0ms: never stale.",
      format: 'duration',
      default: '30s',
    },
    maxEntries: { doc: 'Most entries in memory.', format: 'count', default: 50000 },
    maxBytes: { doc: 'Most bytes of keys and values in memory.', format: 'size', default: '64mb' },
    maxKeyBytes: { doc: 'Longest key, in bytes of UTF-8.', format: 'count', default: 512 },
    maxValueBytes: { doc: 'Largest value, serialised.', format: 'size', default: '1mb' },
    compressAbove: {
      doc: 'Values of more bytes are compressed in Redis (zstd); 0b for never.',
      format: 'size',
      default: '0b',
    },
    values: {
      doc: 'What readers of an object get: frozen, the same deeply frozen object for all of them, or copied, each a copy of its own, which costs a parse at every read.',
      format: ['frozen', 'copied'],
      default: 'frozen',
    },
    sweepEvery: { doc: 'Time between two sweeps of expired entries out of memory.', format: 'duration', default: '5m' },
    journalMax: {
      doc: 'Most keys whose writes are remembered while Redis is out of use; beyond it the whole cache starts a new epoch at the return, cold but never wrong.',
      format: 'count',
      default: 50000,
    },
    replayWait: {
      doc: 'How long the use of Redis waits for the journal when Redis is back. What is left then is replayed while Redis is used, and its keys are answered from memory until then.',
      format: 'duration',
      default: '200ms',
    },
    maxLoads: {
      doc: 'Most loaders of getOrSet that run at once; beyond it a value within its grace is served, or the call is refused with ERR_BACKPRESSURE.',
      format: 'count',
      default: 1000,
    },
    lock: {
      doc: 'How long one instance may load a key of getOrSet while the others wait for what it loads; 0ms: they do not wait.',
      format: 'duration',
      default: '2s',
    },
    jitter: {
      doc: 'Share of its lifetime (0 to 1) by which a loaded value is randomly shortened, so that what was loaded together does not end together.',
      format: 'ratio',
      default: 0,
    },
    hearing: {
      doc: "How memory hears of others' changes while Redis is in use: tracking by the server, messages published by the writers, none (every read goes to Redis), or auto for the first that Redis allows. The same on every instance.",
      format: ['auto', 'tracking', 'published', 'none'],
      default: 'auto',
    },
    beat: {
      doc: 'Time between two signs of life of the connection on which changes are heard.',
      format: 'duration',
      default: '50ms',
    },
    lease: {
      doc: 'How long after such a sign memory may still answer; an instance that was paused or cut off answers nothing of the time after it.',
      format: 'duration',
      // Three lost beats. Others see an acknowledged write at the latest then.
      default: '200ms',
    },
  },
  sessions: {
    secret: {
      doc: 'Comma-separated secrets of at least 32 characters: the first signs cookies and seals records, all of them verify and open.',
      format: 'list',
      default: [],
      env: 'SESSION_SECRET',
      sensitive: true,
    },
    cookieName: { doc: 'Name of the session cookie.', format: 'text', default: 'connect.sid' },
    ttl: { doc: 'Lifetime of a session whose cookie has no expiry of its own.', format: 'duration', default: '24h' },
    touchEvery: {
      doc: 'A session that is only read is prolonged at most this often.',
      format: 'duration',
      default: '60s',
    },
    deadline: {
      doc: 'Longest wait for Redis in one session call; past it PostgreSQL is asked.',
      format: 'duration',
      default: '250ms',
    },
    table: {
      doc: "Table of the sessions in PostgreSQL, in connect-pg-simple's layout.",
      format: 'text',
      default: 'session',
    },
    conflict: {
      doc: 'What becomes of a change whose session another request changed meanwhile. latest joins the two key by key, and the later change of a key wins, as in every store; merge answers 409 where both changed the same key; reject always answers 409.',
      format: ['latest', 'merge', 'reject'],
      // Parallel tabs store flash messages and the time of the last visit under the same keys: with merge, 7 of 8 such
      // requests were answered 409 in applications that have no fault.
      default: 'latest',
    },
    conflictKeys: {
      doc: 'Keys of the session for which two changes at the same time are answered 409 although sessions.conflict is latest, such as cart.',
      format: 'list',
      default: [],
    },
    disjoint: {
      doc: 'What an instance without PostgreSQL does while others may have only PostgreSQL: available works with Redis, then memory, and what it wrote is replayed; strict answers 503, so that no instance ever shows a session that is not the newest.',
      format: ['available', 'strict'],
      default: 'available',
    },
    adopt: {
      postgres: {
        doc: 'Whether sessions that connect-pg-simple left as plaintext rows in sessions.table are read, once each, and sealed; plaintext is never read while this is false.',
        format: 'boolean',
        default: false,
      },
      redisPrefix: {
        doc: 'Prefix of connect-redis keys (its own default is sess:) whose sessions are read, once each, and sealed; empty: none is ever read.',
        format: 'text',
        default: '',
      },
      until: {
        doc: 'Instant after which plaintext sessions are no longer read; empty: for as long as the two settings above say.',
        format: 'instant',
        default: '',
      },
      share: {
        doc: 'Where sessions are kept as plaintext while servers without Redoubt run beside this one, so that both see the same ones: in connect-pg-simple rows, under connect-redis keys, or nowhere; sealed ones are given back there as they are used.',
        format: ['no', 'postgres', 'redis'],
        default: 'no',
      },
    },
    pruneEvery: { doc: 'Time between two deletions of expired rows.', format: 'duration', default: '15m' },
    memoryMax: {
      doc: 'Most sealed sessions that are kept in memory for the case that Redis and PostgreSQL are both gone.',
      format: 'count',
      default: 10000,
    },
    retryAfter: {
      doc: 'What Retry-After says when a session cannot be looked up.',
      format: 'duration',
      default: '2s',
    },
  },
  sockets: {
    key: {
      doc: "Prefix of the Redis channels; the stock adapter's, so that both understand each other.",
      format: 'text',
      default: 'socket.io',
    },
    deadline: {
      doc: 'Longest wait for Redis to take one message.',
      format: 'duration',
      default: '250ms',
    },
    requestsTimeout: {
      doc: 'Longest wait for the answers of other instances (fetchSockets, serverSideEmit).',
      format: 'duration',
      default: '1s',
    },
  },
  jobs: {
    deadline: {
      doc: 'Longest wait for Redis to accept a job; past it the outcome is unknown and reported so.',
      format: 'duration',
      default: '1s',
    },
    prefix: { doc: "BullMQ's key prefix.", format: 'text', default: 'bull' },
    keepCompleted: {
      doc: 'How long a completed job, and with it its id against a second add, is kept; longer than the longest outage.',
      format: 'duration',
      default: '24h',
    },
    keepFailed: { doc: 'How long a failed job is kept.', format: 'duration', default: '7d' },
    drainTimeout: {
      doc: 'Longest wait for running jobs when the process stops.',
      format: 'duration',
      default: '5s',
    },
  },
  health: {
    details: {
      doc: 'Who sees more than the status: everybody, or only callers with the API token.',
      format: ['always', 'token'],
      default: 'always',
    },
    readiness: {
      doc: 'Machines that must be usable for /health/ready, comma-separated; postgres counts only where one is configured.',
      format: 'list',
      default: ['postgres'],
    },
  },
} as const satisfies Group;

type Value<L extends Leaf> = L['format'] extends 'boolean'
  ? boolean
  : L['format'] extends 'list'
    ? readonly string[]
    : L['format'] extends 'durations'
      ? Readonly<Record<string, number>>
      : L['format'] extends 'redisUrls'
        ? Readonly<Record<string, string>>
        : L['format'] extends 'text' | 'instant' | 'redisUrl' | 'postgresUrl'
          ? string
          : L['format'] extends readonly (infer Word)[]
            ? Word
            : number;

type Key<K, L> = L extends { readonly format: 'duration' } ? `${K & string}Ms` : K;

/** The configuration as code reads it: frozen, durations in milliseconds, sizes in bytes. */
export type ConfigOf<G> = {
  readonly [K in keyof G as Key<K, G[K]>]: G[K] extends Leaf ? Value<G[K]> : ConfigOf<G[K]>;
};
export type Config = ConfigOf<typeof SCHEMA>;

/** Whether a schema node is a setting, not a group of them. */
export function isLeaf(node: Leaf | Group): node is Leaf {
  return typeof (node as Leaf).doc === 'string' && 'format' in node;
}

/** The environment variable of a path: the contract's where it names one, else `defaultEnvName`. */
export function envName(path: string, leaf: Leaf): string {
  return leaf.env ?? defaultEnvName(path);
}

/** `sessions.touchEvery` → `REDOUBT_SESSIONS_TOUCH_EVERY`. */
export function defaultEnvName(path: string): string {
  const words = path.replaceAll('.', '_').replaceAll(/([a-z])([A-Z])/g, '$1_$2');
  return `REDOUBT_${words.toUpperCase()}`;
}

/** Walks all settings in order, with their dotted paths. */
export function* walkSchema(group: Group = SCHEMA, prefix = ''): Generator<[path: string, leaf: Leaf]> {
  for (const [key, node] of Object.entries(group)) {
    const path = prefix + key;
    if (isLeaf(node)) yield [path, node];
    else yield* walkSchema(node, `${path}.`);
  }
}
