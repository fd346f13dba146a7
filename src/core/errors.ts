/**
 * Every way a Redoubt call can fail, by code. Callers branch on `code`; people read `message`
 * and `hint`. `retryable` says whether the same call may succeed later without a change.
 */
export const ERRORS = {
  ERR_DEADLINE: {
    message: 'The backend did not answer within its deadline',
    hint: 'Whether the backend executed the call is unknown. Retry only what may run twice.',
    retryable: true,
    status: 503,
  },
  ERR_REDIS_UNAVAILABLE: {
    message: 'Redis is not in use at the moment',
    hint: 'GET /health says why (machines.redis.reason) and when it is probed next.',
    retryable: true,
    status: 503,
  },
  ERR_REDIS_REPLY: {
    message: 'Redis refused the command',
    hint: 'The reply names the mistake; Redis itself is well. Correct the command or the key.',
    retryable: false,
    status: 500,
  },
  ERR_POSTGRES_UNAVAILABLE: {
    message: 'PostgreSQL is not in use at the moment',
    hint: 'GET /health says why (machines.postgres.reason).',
    retryable: true,
    status: 503,
  },
  ERR_POSTGRES_REPLY: {
    message: 'PostgreSQL refused the statement',
    hint: 'The cause carries the SQLSTATE; PostgreSQL itself is well.',
    retryable: false,
    status: 500,
  },
  ERR_BACKPRESSURE: {
    message: 'More calls are waiting than the high-water mark allows',
    hint: 'Slow down and retry, or raise the bound that details.bound names.',
    retryable: true,
    status: 503,
  },
  ERR_JOBS_UNAVAILABLE: {
    message: 'Jobs cannot be accepted while Redis is not in use',
    hint: 'Nothing was queued. Retry after the time in Retry-After; GET /health says when Redis is back.',
    retryable: true,
    status: 503,
  },
  ERR_JOB_UNKNOWN: {
    message: 'It is unknown whether Redis accepted the job',
    hint: 'Add it again with the same id: BullMQ drops a second job with an id it knows.',
    retryable: true,
    status: 503,
  },
  ERR_JOB_INVALID: {
    message: 'The job cannot be used',
    hint: 'details.message or the cause says what is wrong with its queue, id, delay or data; data is what JSON can carry.',
    retryable: false,
    status: 400,
  },
  ERR_SESSION_UNKNOWN: {
    message: 'The session cannot be looked up: neither Redis nor PostgreSQL answers',
    hint: 'Retry after the time in Retry-After. The cookie stays valid.',
    retryable: true,
    status: 503,
  },
  ERR_SESSION_NOT_SAVED: {
    message: 'The session could not be saved, so the answer was withheld',
    hint: 'Nothing was changed; send the request again.',
    retryable: true,
    status: 503,
  },
  ERR_SESSION_CONFLICT: {
    message: 'Another request changed the same session meanwhile, so the answer was withheld',
    hint: 'Nothing of this request was saved. Send it again: it then starts from what the other one wrote.',
    retryable: true,
    status: 409,
  },
  ERR_SESSION_VALUE: {
    message: 'The session cannot be stored',
    hint: 'A session is what JSON can carry: no cycles, no BigInt, no key __proto__, no methods of express-session overwritten.',
    retryable: false,
    status: 500,
  },
  ERR_SESSION_OPTION: {
    message: 'The session middleware does not take this option',
    hint: 'The message names it. Sessions are stored by Redoubt: leave store out.',
    retryable: false,
    status: 500,
  },
  ERR_SESSION_METHOD: {
    message: 'The session store cannot do this',
    hint: 'Session ids are stored as hashes and contents sealed: list or end sessions by what your application knows of them.',
    retryable: false,
    status: 500,
  },
  ERR_SESSION_SECRET: {
    message: 'Sessions need a secret',
    hint: 'Set SESSION_SECRET to one or more comma-separated values of at least 32 characters; the first one signs.',
    retryable: false,
    status: 500,
  },
  ERR_CACHE_KEY: {
    message: 'The cache key cannot be used',
    hint: 'A key is a non-empty string of at most cache.maxKeyBytes bytes.',
    retryable: false,
    status: 400,
  },
  ERR_CACHE_VALUE: {
    message: 'The cache value or an option of it cannot be used',
    hint: 'A value is what JSON gives back as it was, or a Buffer, within cache.maxValueBytes; details.path says where it is not, details.option which option is meant.',
    retryable: false,
    status: 413,
  },
  ERR_CACHE_LOAD_TIMEOUT: {
    message: 'The loader did not answer within its hardTimeoutMs, and no value within its grace could stand in',
    hint: 'Whatever the loader asks is slow or gone. Raise hardTimeoutMs, or graceMs so that the last value is served.',
    retryable: true,
    status: 503,
  },
  ERR_CONFIG: {
    message: 'The configuration has mistakes',
    hint: 'Each line names the file, the path, what was found and what is allowed.',
    retryable: false,
    status: 500,
  },
  ERR_MACHINE: {
    message: 'A machine definition has mistakes',
    hint: 'Run redoubt check; each finding names the file, the place and what to write instead.',
    retryable: false,
    status: 500,
  },
  ERR_EXTENSIONS: {
    message: 'The module of runtime.extensions cannot be used',
    hint: 'Its default export is an object made by defineExtensions(); the message names the file and what it threw.',
    retryable: false,
    status: 500,
  },
  ERR_SCRIPT: {
    message: 'The script of a simulation has mistakes',
    hint: 'Each line names the file, the path, what was found and what is allowed; docs/simulate.md describes scripts.',
    retryable: false,
    status: 500,
  },
  ERR_EVENT: {
    message: 'The machine does not take this event from an operator',
    hint: 'Operator events are operator.isolate and operator.release.',
    retryable: false,
    status: 400,
  },
  ERR_EMBEDDED_LOCKED: {
    message: 'The embedded PostgreSQL directory is in use by another process',
    hint: 'Run one instance per directory, or set DATABASE_URL to a PostgreSQL server.',
    retryable: true,
    status: 503,
  },
  ERR_PEER: {
    message: 'Something that is needed is not installed, or is too old',
    hint: 'Install what the message names beside redoubt-runtime; each part brings nothing that others do not use.',
    retryable: false,
    status: 500,
  },
  ERR_CLOSED: {
    message: 'Redoubt has been closed',
    hint: 'No call is accepted after close().',
    retryable: false,
    status: 503,
  },
  ERR_USAGE: {
    message: 'The command was called in a way it does not know',
    hint: 'redoubt --help lists the commands and their options.',
    retryable: false,
    status: 400,
  },
  ERR_CACHE_MISS: {
    message: 'The cache does not hold this key',
    hint: 'PUT it first. X-Cache and X-Backend say who was asked.',
    retryable: false,
    status: 404,
  },
  ERR_NOT_FOUND: {
    message: 'There is nothing at this address',
    hint: 'The README lists the routes.',
    retryable: false,
    status: 404,
  },
  ERR_REQUEST: {
    message: 'The request cannot be understood',
    hint: 'Correct it; sending the same one again does not help.',
    retryable: false,
    status: 400,
  },
  ERR_BODY_TOO_LARGE: {
    message: 'The request body is larger than the server reads',
    hint: 'Send less, or raise server.bodyLimit.',
    retryable: false,
    status: 413,
  },
  ERR_UNAUTHORIZED: {
    message: 'The request carries no valid API token',
    hint: 'Send Authorization: Bearer with the API_TOKEN of the server.',
    retryable: false,
    status: 401,
  },
  ERR_LOGIN: {
    message: 'Nobody is signed in',
    hint: 'POST /demo/session/login with a user first, and send the cookie back.',
    retryable: false,
    status: 401,
  },
  ERR_API_OFF: {
    message: 'The API is switched off',
    hint: 'In production /v1 needs a token: set API_TOKEN and restart.',
    retryable: false,
    status: 403,
  },
  ERR_FOREIGN_PAGE: {
    message: 'The request was sent by a page of another site',
    hint: 'Without an API token the server answers only its own pages and programs on this machine: set API_TOKEN.',
    retryable: false,
    status: 403,
  },
  ERR_INTERNAL: {
    message: 'The server made a mistake',
    hint: 'The log tells more.',
    retryable: false,
    status: 500,
  },
  ERR_APP_MODULE: {
    message: 'The module of server.app cannot be used',
    hint: 'Its default export must be a function that takes { app, io, redoubt, config }.',
    retryable: false,
    status: 500,
  },
  ERR_LISTEN: {
    message: 'The server cannot listen',
    hint: 'Choose another PORT or HOST, or stop what uses it.',
    retryable: false,
    status: 500,
  },
} as const satisfies Record<string, ErrorEntry>;

interface ErrorEntry {
  readonly message: string;
  readonly hint: string;
  readonly retryable: boolean;
  /** The HTTP status that the server answers with. */
  readonly status: number;
}

export type ErrorCode = keyof typeof ERRORS;

/** Facts beside a code: numbers, names and paths, never a secret or a session's content. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | undefined>>;

/**
 * The one error class of Redoubt.
 *
 * `status`, `headers` and `expose` are what Express and its error handlers read, so that an
 * error handed to `next` becomes the right answer in any Express application.
 */
export class RedoubtError extends Error {
  override readonly name = 'RedoubtError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  /**
   * @param details - facts, also `retryAfterMs` where the caller can be told when to come back
   * @param options - `cause`: what the driver threw
   */
  constructor(code: ErrorCode, details: ErrorDetails = {}, options?: { cause?: unknown }) {
    const { message } = ERRORS[code];
    const detail = details['message'];
    super(typeof detail === 'string' ? `${message}: ${detail}` : message, options);
    this.code = code;
    this.details = details;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }

  /** What the caller can do about it. */
  get hint(): string {
    return ERRORS[this.code].hint;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get headers(): Record<string, string> {
    const { retryAfterMs } = this.details;
    return typeof retryAfterMs === 'number'
      ? { 'Retry-After': String(Math.max(1, Math.ceil(retryAfterMs / 1000))) }
      : {};
  }
}

/** Whether `error` is a RedoubtError, with this code where one is given. */
export function isRedoubtError(error: unknown, code?: ErrorCode): error is RedoubtError {
  return error instanceof RedoubtError && (code === undefined || error.code === code);
}
